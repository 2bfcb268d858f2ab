"""A conversation as its template writes it, and the token ids that stand around its texts.

What a template puts around texts is read off renderings of conversations of made-up texts. Their
first words differ in kind, because some tokenizers glue the space before a word to the word: of
`[INST] What` the last token is the space and the word. What may be glued belongs to the text, so
that the model samples it itself, as it did in training.
"""

from collections.abc import Sequence
from datetime import date
from itertools import pairwise, takewhile

from pipeline.dialects.tokenizer import Tokenizer, decode
from schemas.errors import ModelError

Messages = list[dict[str, str]]
Marker = tuple[int, ...]

FROZEN_DAY = date(2024, 7, 26)
"""What a template that asks for today's date is told, so that an opening never changes. It is the
day that Llama 3 names where the date is not known."""

_STYLES = ("What{}z", "how{}s", "I{}", "7{}31", "Что{}ю", "漢字{}語", "Émoi{}")
_LONGEST = 300
_NUMBERS = ("402", "517", "638", "749", "851", "963")


def made_up_texts(count: int) -> list[list[str]]:
    """Lists of `count` distinct texts, each list in a style of its own."""
    return [[style.format(n) for n in _NUMBERS[:count]] for style in _STYLES]


def alternate(texts: Sequence[str], *, system: str | None = None) -> Messages:
    """The texts as turns of user and assistant, the user first."""
    roles = ("user", "assistant")
    head = [] if system is None else [{"role": "system", "content": system}]
    return head + [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]


def unusable(tokenizer: Tokenizer, reason: str) -> ModelError:
    """The refusal of a template, with its reason."""
    return ModelError(
        f"The chat template of {tokenizer.name_or_path or 'this tokenizer'} cannot be used: "
        f"{reason}. Expected a template that writes the turns of user and assistant in order, "
        "each text once and unchanged, between markers that are the same in every turn. Use "
        "another model, or put a template of this kind into its chat_template.jinja."
    )


def render(tokenizer: Tokenizer, messages: Messages, *, ask: bool = False) -> str:
    """The text of a conversation; with `ask`, up to where the assistant's next text starts."""
    try:
        text: str = tokenizer.apply_chat_template(
            messages,
            tokenize=False,
            add_generation_prompt=ask,
            strftime_now=FROZEN_DAY.strftime,
        )
    # A template is a program of the model's own and may fail in any way.
    except Exception as error:
        roles = ", ".join(message["role"] for message in messages)
        reason = str(error).strip().rstrip(".")[:_LONGEST] or type(error).__name__
        raise unusable(tokenizer, f"it refuses the turns {roles} ({reason})") from error
    return text


def writes_prompt(tokenizer: Tokenizer, messages: Messages) -> bool:
    """Whether the template has a generation prompt at all."""
    return render(tokenizer, messages, ask=True) != render(tokenizer, messages)


def gaps(tokenizer: Tokenizer, rendered: str, texts: Sequence[str]) -> list[Marker]:
    """The ids before the first text, between texts, and after the last, none of them touching."""
    ids, offsets = _encode(tokenizer, rendered)
    edges = [0]
    for span in _spans(tokenizer, rendered, texts):
        inside = _inside(offsets, span)
        edges += [inside.start, inside.stop]
    edges.append(len(ids))
    if any(left > right for left, right in pairwise(edges)):
        raise unusable(tokenizer, "nothing stands between two of its turns")
    return [tuple(ids[a:b]) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def ids_of(tokenizer: Tokenizer, whole: str, part: str) -> Marker:
    """The ids of a part of a text, those included that reach over its edges."""
    ids, offsets = _encode(tokenizer, whole)
    start = whole.index(part)
    inside = _inside(offsets, (start, start + len(part)))
    return tuple(ids[inside.start : inside.stop])


def text_gaps(tokenizer: Tokenizer, rendered: str, texts: Sequence[str]) -> list[str]:
    """The same as texts."""
    spans = _spans(tokenizer, rendered, texts)
    edges = [0, *(place for span in spans for place in span), len(rendered)]
    return [rendered[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)]


def shared_gaps(tokenizer: Tokenizer, found: list[list[Marker]]) -> list[Marker]:
    """What the gaps of renderings in different styles share, up to blanks glued to a text."""
    return [_shared(tokenizer, same_place) for same_place in zip(*found, strict=True)]


def _shared(tokenizer: Tokenizer, markers: Sequence[Marker]) -> Marker:
    together = takewhile(lambda ids: len(set(ids)) == 1, zip(*markers, strict=False))
    shared = tuple(ids[0] for ids in together)
    for marker in markers:
        if not is_blank(tokenizer, marker[len(shared) :]):
            raise unusable(
                tokenizer,
                f"the tokens around turns are not the same in every conversation "
                f"({_shown(decode(tokenizer, markers[0]))} here, "
                f"{_shown(decode(tokenizer, marker))} there)",
            )
    return shared


def _shown(text: str) -> str:
    return repr(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}...")


def is_blank(tokenizer: Tokenizer, ids: Marker) -> bool:
    """Whether the ids are white space only."""
    return not decode(tokenizer, ids).strip()


def _encode(tokenizer: Tokenizer, text: str) -> tuple[list[int], list[tuple[int, int]]]:
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    return encoded["input_ids"], encoded["offset_mapping"]


def _inside(offsets: list[tuple[int, int]], span: tuple[int, int]) -> range:
    """The tokens that touch a span."""
    start, end = span
    touching = [i for i, (a, b) in enumerate(offsets) if a < end and b > start]
    return range(touching[0], touching[-1] + 1)


def _spans(tokenizer: Tokenizer, rendered: str, texts: Sequence[str]) -> list[tuple[int, int]]:
    spans, cursor = [], 0
    for text in texts:
        start = rendered.find(text, cursor)
        if start < 0:
            moved = text in rendered
            raise unusable(
                tokenizer, f"it {'reorders' if moved else 'drops or changes'} the texts of turns"
            )
        if rendered.count(text) > 1:
            raise unusable(tokenizer, "it writes the text of a turn more than once")
        cursor = start + len(text)
        spans.append((start, cursor))
    return spans

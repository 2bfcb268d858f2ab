"""Reasoning that a template strips from history: which tag ends it, and what else goes with it."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.dialects.rendering import (
    Marker,
    alternate,
    ids_of,
    made_up_texts,
    render,
    text_gaps,
    unusable,
)
from pipeline.dialects.tokenizer import Tokenizer, decode
from schemas.errors import ModelError

_CLOSING_TAG = re.compile(r"</[\w:|-]+>|\[/[\w:|-]+\]|<[\w:-]+\|>")
"""`</x>`, `[/x]` and `<x|>`, which close `<x>`, `[x]` and `<|x>`."""
_BLANKS = ("\n", " ", "\t")
_SURROUNDINGS = (("\n", "\n\n"), ("", ""), (".", " "), (".\n\n", "\n"))


class Tags(NamedTuple):
    """The texts around a reasoning part."""

    open: str
    close: str


class Reasoning(NamedTuple):
    """Reasoning between tags, as ids."""

    close: Marker
    tags: Marker
    """Both tags, where they are tokens of their own."""
    open: str
    """The text of the opening tag."""
    end: str
    """The text of the closing tag."""
    blanks: tuple[int, ...]
    """Ids made of the white space that the template strips after the closing tag."""


def read_reasoning(tokenizer: Tokenizer) -> Reasoning | None:
    """How the template strips what stands between two tags from history; None if it does not."""
    for tags in dict.fromkeys(_named_tags(tokenizer.get_chat_template())):
        if _strips(tokenizer, tags):
            close = _close_ids(tokenizer, tags)
            opening = ids_of(tokenizer, tags.open + "\n", tags.open)
            return Reasoning(
                close, close + opening, tags.open, tags.close, _blank_ids(tokenizer, tags)
            )
    return None


def _named_tags(template: str) -> Iterator[Tags]:
    for found in _CLOSING_TAG.finditer(template):
        close = found.group()
        if close.endswith("|>"):
            yield Tags(f"<|{close[1:-2]}>", close)
        else:
            yield Tags(close.replace("/", "", 1), close)


def _close_ids(tokenizer: Tokenizer, tags: Tags) -> Marker:
    """The closing tag as ids, which must be the same wherever it stands."""
    thought, answer = made_up_texts(2)[0]
    found = {
        ids_of(tokenizer, f"{tags.open}{thought}{before}{tags.close}{after}{answer}", tags.close)
        for before, after in _SURROUNDINGS
    }
    if len(found) > 1:
        raise unusable(
            tokenizer,
            f"it strips the reasoning before {tags.close} from history, but this text is other "
            "tokens in other surroundings, so the end of the reasoning cannot be told from ids",
        )
    return found.pop()


def _blank_ids(tokenizer: Tokenizer, tags: Tags) -> tuple[int, ...]:
    stripped = {blank for blank in _BLANKS if _strips_blank(tokenizer, tags, blank)}
    if not stripped:
        return ()
    return tuple(i for i, text in _texts(tokenizer) if text and set(text) <= stripped)


def _strips(tokenizer: Tokenizer, tags: Tags) -> bool:
    thought, *texts = made_up_texts(4)[0]
    try:
        rendered = render(tokenizer, _with_thought(tags, thought, texts, "\n\n"))
    except ModelError:
        return False
    return thought not in rendered and texts[1] in rendered


def _strips_blank(tokenizer: Tokenizer, tags: Tags, blank: str) -> bool:
    thought, *texts = made_up_texts(4)[0]
    plain = text_gaps(tokenizer, render(tokenizer, alternate(texts)), texts)[1]
    rendered = render(tokenizer, _with_thought(tags, thought, texts, blank))
    found = text_gaps(tokenizer, rendered, texts)[1]
    if found not in (plain, plain + blank):
        raise unusable(
            tokenizer,
            f"where it strips reasoning it leaves {found[:200]!r} before an answer, and "
            f"{plain[:200]!r} before one without reasoning",
        )
    return found == plain


def _with_thought(tags: Tags, thought: str, texts: list[str], blank: str) -> list[dict[str, str]]:
    user, answer, follow_up = texts
    turn = f"{tags.open}\n{thought}\n{tags.close}{blank}{answer}"
    return alternate([user, turn, follow_up])


def _texts(tokenizer: Tokenizer) -> Iterator[tuple[int, str]]:
    """Every id with the text that it adds after another one."""
    anchor = tokenizer("x", add_special_tokens=False)["input_ids"][-1:]
    width = len(decode(tokenizer, anchor))
    ids = sorted(tokenizer.get_vocab().values())
    texts = tokenizer.backend_tokenizer.decode_batch(
        [[*anchor, i] for i in ids], skip_special_tokens=False
    )
    for i, text in zip(ids, texts, strict=True):
        yield i, text[width:]

"""What begins and what ends a text of a model, with or without a chat template.

The start is the first of these that opens no turn:

1. what the tokenizer itself puts in front of plain text;
2. its own BOS token;
3. `bos_token_id` of config.json, then of generation_config.json, if the tokenizer has such a
   control token: some configurations carry the number of another vocabulary;
4. what separates documents, and so stood before every one but the first: an end of texts that
   stands in no marker of the template; else a special token whose name says that it ends a text;
   else an end of texts that closes answers only.

A token between a user's text and the answer to it marks turns and begins no text, whatever the
tokenizer calls it: the BOS of some chat models is the opener of their turns, which their
pre-training never saw. All of this is read from files; `arborist probe` proves it by the weights.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pipeline.dialects.markers import Markers
from pipeline.dialects.rendering import Marker
from pipeline.dialects.tokenizer import Tokenizer, declared_bos_ids, encode

_SAY_END = ("endoftext", "endofdocument")
"""In names of special tokens, letters alone."""

NO_MARKERS = Markers((), (), (), ())


class Ends(NamedTuple):
    """The ids around a text."""

    start: Marker
    stops: Marker


def read_ends(tokenizer: Tokenizer, markers: Markers, eos_ids: Sequence[int]) -> Ends:
    """The start of texts, () if there is none, and all that ends them."""
    eos = tokenizer.eos_token_id
    stops = [*([] if eos is None else [eos]), *eos_ids]
    named = _named_ends(tokenizer)
    opens_turns = {*markers.after_user, *markers.ask_assistant}
    begins = (ids for ids in _beginnings(tokenizer) if ids and opens_turns.isdisjoint(ids))
    separators = ((i,) for i in _separators(markers, stops, named))
    start = next(begins, None) or next(separators, ())
    return Ends(start, tuple(dict.fromkeys([*stops, *named])))


def _beginnings(tokenizer: Tokenizer) -> Iterator[Marker]:
    added = tokenizer.added_tokens_decoder
    yield _put_in_front(tokenizer)
    if tokenizer.bos_token_id is not None:
        yield (tokenizer.bos_token_id,)
    for i in declared_bos_ids(tokenizer.name_or_path):
        if i in added and added[i].special:
            yield (i,)


def _put_in_front(tokenizer: Tokenizer) -> Marker:
    """The special tokens that the tokenizer writes before a text by itself."""
    whole, plain = tokenizer("x")["input_ids"], encode(tokenizer, "x")
    return tuple(whole[: whole.index(plain[0])]) if plain[0] in whole else ()


def _separators(markers: Markers, stops: Sequence[int], named: Sequence[int]) -> Iterator[int]:
    closing = {i for marker in markers for i in marker}
    yield from (i for i in stops if i not in closing)
    yield from named
    yield from (i for i in stops if i not in {*markers.after_user, *markers.ask_assistant})


def _named_ends(tokenizer: Tokenizer) -> list[int]:
    special = {i: t.content for i, t in tokenizer.added_tokens_decoder.items() if t.special}
    return [i for i, name in sorted(special.items()) if _says_end(name)]


def _says_end(name: str) -> bool:
    letters = "".join(filter(str.isalpha, name)).lower()
    return letters in _SAY_END

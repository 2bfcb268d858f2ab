"""What ends a turn, and what has no business inside one."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from pipeline.dialects.markers import Markers
from pipeline.dialects.rendering import Marker, unusable
from pipeline.dialects.tokenizer import Tokenizer, decode


class Stops(NamedTuple):
    """What ends a turn of one role."""

    ids: tuple[int, ...] = ()
    strings: tuple[str, ...] = ()


def user_stops(tokenizer: Tokenizer, markers: Markers, eos_ids: Sequence[int]) -> Stops:
    """What the template closes a user's turn with, and the ends of a text."""
    closing = _closing(tokenizer, markers, markers.after_user)
    if closing == Stops():
        raise unusable(tokenizer, "nothing marks where a user's turn ends")
    return _with_ends(tokenizer, closing, eos_ids)


def assistant_stops(tokenizer: Tokenizer, markers: Markers, eos_ids: Sequence[int]) -> Stops:
    """What a conversation's last turn is closed with, and the ends of a text.

    Where history closes the turn otherwise, that also ends parts of a turn and must not stop it.
    """
    closing = _closing(tokenizer, markers, markers.last)
    if not closing.ids:
        closing = _closing(tokenizer, markers, markers.after_assistant)
    stops = _with_ends(tokenizer, closing, eos_ids)
    if stops == Stops():
        raise unusable(tokenizer, "nothing marks where an assistant's turn ends")
    return stops


def leak_ids(
    tokenizer: Tokenizer, markers: Markers, stops: Sequence[Stops], *, spared: Sequence[int] = ()
) -> tuple[int, ...]:
    """All control tokens but those spared and those that end the turns of every role."""
    harmless = set.intersection(*(set(role.ids) for role in stops)).union(spared)
    return tuple(sorted(control_ids(tokenizer, markers) - harmless))


def leak_strings(tokenizer: Tokenizer, markers: Markers, stops: Sequence[Stops]) -> tuple[str, ...]:
    """The texts of role markers that are made of ordinary tokens and stand by themselves.

    After a control token, as in `<|im_start|>user`, that token gives a leak away; and a bare word
    such as `user` may stand in any text.
    """
    ends = {tokenizer.bos_token_id}.union(*(role.ids for role in stops))
    found: list[str] = []
    for marker in (markers.after_user, markers.after_assistant):
        guarded = False
        for piece in _pieces(tokenizer, markers, marker):
            if isinstance(piece, int):
                guarded = piece not in ends
            elif not guarded and not piece.isalnum():
                found.append(piece)
    return tuple(dict.fromkeys(found))


def _closing(tokenizer: Tokenizer, markers: Markers, marker: Marker) -> Stops:
    first = next(_pieces(tokenizer, markers, marker), None)
    if isinstance(first, int):
        return Stops(ids=(first,))
    return Stops(strings=(first,)) if first else Stops()


def _with_ends(tokenizer: Tokenizer, closing: Stops, eos_ids: Sequence[int]) -> Stops:
    eos = tokenizer.eos_token_id
    ids = (*closing.ids, *([] if eos is None else [eos]), *eos_ids)
    return closing._replace(ids=tuple(dict.fromkeys(ids)))


def _pieces(tokenizer: Tokenizer, markers: Markers, marker: Marker) -> Iterator[int | str]:
    """A marker's control tokens, and the texts between them without white space around."""
    control = control_ids(tokenizer, markers)
    for is_control, run in groupby(marker, key=control.__contains__):
        if is_control:
            yield from run
        elif text := decode(tokenizer, list(run)).strip():
            yield text


def control_ids(tokenizer: Tokenizer, markers: Markers) -> set[int]:
    """Special tokens, and what the template uses like them: some role openers are not declared."""
    added = tokenizer.added_tokens_decoder
    special = {i for i, token in added.items() if token.special}
    used = {*markers.after_user, *markers.after_assistant, *markers.last} & set(added)
    return special | {i for i in used if added[i].content.strip()}

"""The dialect of rehearsals without any model: tokens are UTF-8 bytes and three markers."""

from schemas.dialect import Dialect
from schemas.fingerprint import digest
from schemas.records import Ids, to_ids

OPEN_USER, OPEN_ASSISTANT, END = 256, 257, 258


def scripted_dialect() -> Dialect:
    """`text <user> U <end> <assistant> A <end> <user> U ...`, a byte a token."""
    return Dialect(
        tokenizer=digest(b"bytes, <user>, <assistant>, <end>"),
        template=digest(b"text <user> U <end> <assistant> A <end> <user>"),
        vocab_size=END + 1,
        after_user=(END, OPEN_ASSISTANT),
        ask_assistant=(END, OPEN_ASSISTANT),
        after_assistant=(END, OPEN_USER),
        user_stop_ids=(END,),
        assistant_stop_ids=(END,),
        leak_ids=(OPEN_USER, OPEN_ASSISTANT),
    )


def scripted_ids(text: str) -> tuple[int, ...]:
    """A text of the run's own."""
    return tuple(text.encode())


def scripted_opening(text: str) -> Ids:
    """The ids up to where the first user's text starts."""
    return to_ids([*text.encode(), OPEN_USER])

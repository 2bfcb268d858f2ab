"""The dialect of rehearsals without any model: tokens are UTF-8 bytes and four markers."""

from pipeline.dialects.frames import conversation, plain_text
from schemas.dialect import Dialect
from schemas.fingerprint import digest
from schemas.records import Frame, Ids, Opening, to_ids

OPEN_USER, OPEN_ASSISTANT, END, BOS = 256, 257, 258, 259


def scripted_dialect() -> Dialect:
    """`text <user> U <end> <assistant> A <end> <user> U ...`, a byte a token."""
    return Dialect(
        tokenizer=digest(b"bytes, <user>, <assistant>, <end>, <bos>"),
        template=digest(b"text <user> U <end> <assistant> A <end> <user>"),
        vocab_size=BOS + 1,
        start=(BOS,),
        text_stop_ids=(END,),
        after_user=(END, OPEN_ASSISTANT),
        ask_assistant=(END, OPEN_ASSISTANT),
        after_assistant=(END, OPEN_USER),
        user_stop_ids=(END,),
        assistant_stop_ids=(END,),
        leak_ids=(OPEN_USER, OPEN_ASSISTANT, BOS),
    )


class ScriptedSpeller:
    """Spells texts as bytes."""

    def opening(self, frame: Frame) -> Opening:
        """A frame, down to the end of its last text."""
        if (text := plain_text(frame)) is not None:
            return Opening(to_ids([BOS, *text.encode()]), "text")
        system, turns = conversation(frame)
        ids = [*system.encode(), OPEN_USER]
        for number, turn in enumerate(turns):
            opener = OPEN_USER if turn.role == "user" else OPEN_ASSISTANT
            ids += [*([END, opener] if number else []), *turn.text.encode()]
        return Opening(to_ids(ids), turns[-1].role if turns else "system")

    def ids(self, text: str) -> Ids:
        """A text that stands between two markers."""
        return to_ids(list(text.encode()))

    def heard(self, text: str) -> Ids:
        """The same; every text is bytes."""
        return self.ids(text)

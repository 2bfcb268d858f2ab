"""Rows in the trainee's own ids: the messages along a path, spelled by its template.

Texts in which the run masks something for readers are told with the masks in their places.
"""

from pipeline.sft.example import Example, Mask
from pipeline.sft.rows.linearise import Row
from pipeline.sft.rows.path_ids import PathIds, TurnSpan, learned_ids
from pipeline.sft.rows.run_source import SealedRun
from pipeline.sft.rows.sampled import example_of
from pipeline.sft.rows.spelled import spell_pair, spell_turns
from pipeline.sft.trainee import Trainee
from pipeline.tree.conversations import messages, said_between
from schemas.errors import ModelError
from schemas.manifest import BadRow
from schemas.records import Candidate, Ids, Message, Root
from schemas.sft_spec import Loss

CUT = "length"
"""How a turn is finished that did not come to its end."""
ACROSS = "personal data that the run's spec masks reach over the edge of what is learned"


class Retold:
    """Makes examples for one trainee."""

    def __init__(self, sealed: SealedRun, loss: Loss, trainee: Trainee) -> None:
        self._sealed, self._loss, self._trainee = sealed, loss, trainee
        self._between = said_between(sealed.run)
        dialect = trainee.dialect
        self._ends = {*dialect.user_stop_ids, *dialect.assistant_stop_ids, *dialect.text_stop_ids}

    def unfit(self, root: Root, node: Candidate) -> str | None:
        """Whoever wrote it, it can be told."""
        return None

    def last_only(self, node: Candidate) -> bool:
        """Whether the trainee's template writes an answer otherwise in history than at the end."""
        dialect = self._trainee.dialect
        if node.role != "assistant":
            return False
        stripped = bool(dialect.reasoning_end) and dialect.reasoning_end in node.text
        return stripped or dialect.ask_assistant != dialect.after_user

    def example(self, root: Root, row: Row) -> Example | BadRow:
        """The row as the trainee spells it."""
        where = self._sealed.where(row.path[-1])
        try:
            told = self._text if self._sealed.run.is_text else self._chat
            ids, learned = told(root, row)
        except ModelError as error:
            return BadRow(where=where, why=str(error))
        return example_of(ids, learned, where)

    def _chat(self, root: Root, row: Row) -> tuple[Ids, Mask]:
        said = messages(root, row.path, self._between)
        shown = [Message(role, self._sealed.shown(role, text)) for role, text in said]
        ids, spans = spell_turns(shown, self._trainee)
        turns, own, place = row.path[1:], list[TurnSpan](), len(root.frame)
        for node in turns:
            place += self._between[node.level - 1] is not None
            own.append(TurnSpan(spans[place][0], self._end(ids, node, spans[place][1]), False))
            place += 1
        found = PathIds(ids, own[0].start, tuple(own))
        return ids, learned_ids(found, row.learns, everything=self._loss == "all")

    def _end(self, ids: Ids, node: Candidate, stop: int) -> int:
        """Where what a turn teaches ends: without an end that it did not come to."""
        while node.finish_reason == CUT and int(ids[stop - 1]) in self._ends:
            stop -= 1
        return stop

    def _text(self, root: Root, row: Row) -> tuple[Ids, Mask]:
        """What is learned of a text is its end, since all above was learned before it."""
        first = row.learns.index(True, 1)
        parts = [*(message.text for message in root.frame), *(node.text for node in row.path[1:])]
        edge = len(root.frame) + first - 1
        before, after = (
            self._sealed.shown("text", "".join(some)) for some in (parts[:edge], parts[edge:])
        )
        if before + after != self._sealed.shown("text", "".join(parts)):
            raise ModelError(ACROSS)
        loss: Loss = "all" if row.learns[0] and self._loss == "all" else "answers"
        ids, learned = spell_pair(before, after, self._trainee, loss)
        stop = self._end(ids, row.path[-1], len(ids))
        return ids[:stop], learned[:stop]

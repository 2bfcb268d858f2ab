"""Rows in the very ids that the model saw and sampled.

What a run masks in exports is not learned either. Ids cannot be masked and stay what was sampled,
so a turn in which something would be masked is left out, with all below it, as if it had been
dropped; rows end before it. (Told anew, its masked text stands in its place.)
"""

from collections.abc import Sequence

import numpy as np

from pipeline.sft.example import Example, Mask, Targets
from pipeline.sft.rows.linearise import Row
from pipeline.sft.rows.path_ids import is_whole_last_only, learned_ids, path_ids
from pipeline.sft.rows.run_source import SealedRun
from pipeline.sft.rows.stored import Distributions, targets_of
from schemas.manifest import BadRow
from schemas.records import Candidate, Ids, Role, Root
from schemas.sft_spec import Loss

MASKED = (
    "holds personal data that the run's spec masks, and ids cannot be masked; `tokens: template` "
    "spells the masked text"
)
FOREIGN = (
    "was written in the ids or markers of another model than the rows are in; `tokens: template` "
    "spells its text"
)
NOTHING = "nothing in it can be learned: its turns are empty"
NO_DISTRIBUTION = "nothing in it can be learned: the run stored no distribution of its turns"


class Sampled:
    """Makes examples of rows that one model wrote."""

    def __init__(
        self, sealed: SealedRun, loss: Loss, tongue: int, stored: Distributions | None
    ) -> None:
        self._sealed, self._loss, self._tongue, self._stored = sealed, loss, tongue, stored

    def unfit(self, root: Root, node: Candidate) -> str | None:
        """Whether it was written by others, or something in it is masked for readers."""
        if not node.level:
            return MASKED if any(self._is_masked(*message) for message in root.frame) else None
        if self._sealed.run.tongues[node.model_index] != self._tongue:
            return FOREIGN
        return MASKED if self._is_masked(node.role, node.text) else None

    def last_only(self, node: Candidate) -> bool:
        """Whether history has it otherwise than it was sampled."""
        return is_whole_last_only(self._sealed.run, node)

    def example(self, root: Root, row: Row) -> Example | BadRow:
        """The ids of a row, with the stored distributions of what is learned if there are any."""
        where, found = self._sealed.where(row.path[-1]), path_ids(self._sealed.run, root, row.path)
        if found is None:
            return BadRow(where=where, why=FOREIGN)
        if self._joins_to_masked(root, row.path):
            return BadRow(where=where, why=MASKED)
        learned = learned_ids(found, row.learns, everything=self._loss == "all")
        if self._stored is None:
            return example_of(found.ids, learned, where)
        targets = targets_of(found, row.path[1:], row.learns[1:], self._stored)
        if targets is None:
            return BadRow(where=where, why=NO_DISTRIBUTION)
        return Example(found.ids, _at(targets, len(found.ids)), where, targets)

    def _is_masked(self, role: Role, text: str) -> bool:
        return self._sealed.shown(role, text) != text

    def _joins_to_masked(self, root: Root, path: Sequence[Candidate]) -> bool:
        """Whether parts of a plain text, each harmless, are not so together."""
        if "text" not in self._sealed.run.masked or path[-1].role != "text":
            return False
        parts = [*(message.text for message in root.frame), *(node.text for node in path[1:])]
        return self._is_masked("text", "".join(parts))


def example_of(ids: Ids, learned: Mask, where: str) -> Example | BadRow:
    """An example, unless there is nothing to learn in it."""
    return Example(ids, learned, where) if learned.any() else BadRow(where=where, why=NOTHING)


def _at(targets: Targets, length: int) -> Mask:
    """What has a distribution is learned, and nothing else."""
    learned: Mask = np.zeros(length, dtype=np.bool_)
    learned[targets.at] = True
    return learned

"""Texts that a report shows: topics, repeats, dropped turns."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.report_source import Source
from pipeline.embedders.hashing import HashingEmbedder
from pipeline.report.content import Example
from pipeline.report.diversity import Vectors
from pipeline.report.repeats import RepeatGroups, RepeatTally
from pipeline.report.sampling import Sample
from pipeline.report.survey import keeper_texts, stored_vectors, texts_of
from pipeline.report.topics import Topics, topics_of
from pipeline.storage.drops import read_drops

_LONGEST_EXAMPLE = 1_500
_LEAST_OPENINGS = 8
_NO_REPEATS = ("subtree", "withdrawn")
"""Why rows are left out that repeat nothing."""

_STORED, _HASHED = "the vectors that the run stored", "hashed character n-grams"


def topics_in(found: Source) -> tuple[Topics | None, str]:
    """Of the first thing that is asked in each conversation, and what told topics apart."""
    level = _opening_level(found)
    own = found.rows.levels.get(level)
    rows = own.sample.rows() if own else None
    if own is None or rows is None:
        return None, ""
    ids, texts = rows.column("node_id").to_pylist(), texts_of(rows, found.show)
    vectors, by = _vectors(found, level, ids, texts)
    known = np.flatnonzero(np.any(vectors != 0, axis=1))
    if len(known) < _LEAST_OPENINGS:
        return None, ""
    told = [texts[i] for i in known]
    return topics_of(told, vectors[known], seen=own.sample.seen, seed=found.seed), by


def _vectors(
    found: Source, level: int, ids: Sequence[str], texts: Sequence[str]
) -> tuple[Vectors, str]:
    """A row a text, zero where there is none; as the run stored them if it did."""
    stored = stored_vectors(found.store, found.snapshot, level, ids) if level else {}
    if len(stored) < _LEAST_OPENINGS:
        return HashingEmbedder().embed(texts), _HASHED
    none = np.zeros_like(next(iter(stored.values())))
    return np.stack([stored.get(one, none) for one in ids]), _STORED


def _opening_level(found: Source) -> int:
    """The roots are questions where an answer comes first."""
    roots = found.rows.levels.get(0)
    answers_first = found.view.run.rules[0].role == "assistant"
    return 0 if answers_first and roots is not None and roots.role == "user" else 1


def repeats_in(found: Source) -> RepeatGroups:
    """What fell for what while the trees grew."""
    tally = found.rows.repeats
    texts = keeper_texts(found.store, found.snapshot, tally.keepers(), found.show)
    return tally.groups(texts, found.show)


def refined_in(found: Source) -> RepeatGroups | None:
    """What refinements found to repeat each other."""
    if found.snapshot.drops is None:
        return None
    columns = ["reason", "keeper_id", "similarity"]
    drops = read_drops(found.store, found.snapshot.drops, columns)
    told = drops.filter(pc.invert(pc.is_in(drops.column("reason"), pa.array(_NO_REPEATS))))
    tally = RepeatTally()
    tally.add(told.rename_columns(["drop_reason", *columns[1:]]))
    return tally.groups({}, found.show)


def examples_in(found: Source) -> dict[str, tuple[Example, ...]]:
    """Some dropped turns by reason."""
    return {reason: _examples(found, sample) for reason, sample in found.rows.reasons.items()}


def _examples(found: Source, sample: Sample) -> tuple[Example, ...]:
    """Of one reason to drop."""
    rows = sample.rows()
    shown = [] if rows is None else rows.to_pylist()
    return tuple(
        Example(
            node_id=row["node_id"],
            level=row["level"],
            role=row["role"],
            text=found.show(row["role"], row["text"])[:_LONGEST_EXAMPLE],
            similarity=row["similarity"],
            keeper_id=row["keeper_id"],
        )
        for row in shown
    )

"""A report's levels: what became of each candidate, and what the turns that remain are like."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from jobs.report_source import Source
from pipeline.curate.languages import languages_of
from pipeline.embedders.hashing import HashingEmbedder
from pipeline.report.content import LevelReport
from pipeline.report.diversity import diversity_of, least_words
from pipeline.report.funnel import funnel
from pipeline.report.status import LevelStatus
from pipeline.report.survey import texts_of
from pipeline.storage.drops import read_drops

_LANGUAGE_TEXTS = 150


def levels_of(found: Source) -> Iterator[LevelReport]:
    """Those of which something is committed."""
    later = _left_out(found)
    texts = {
        level: texts_of(own.sample.rows(), found.show) for level, own in found.rows.levels.items()
    }
    budget = least_words(told for level, told in texts.items() if level)
    for status in found.standing.status.levels:
        if status.waves:
            yield _level(status, later.get(status.level, {}), found, texts, budget)


def _level(
    status: LevelStatus,
    left_out: Mapping[str, int],
    found: Source,
    texts: Mapping[int, Sequence[str]],
    budget: int,
) -> LevelReport:
    own, told = found.rows.levels.get(status.level), texts.get(status.level, [])
    counts = (status.asked, status.kept, status.dropped)
    return LevelReport(
        level=status.level,
        role=status.role,
        funnel=funnel(*counts, given=status.given, left_out=left_out),
        parents=status.parents,
        prompt_tokens=status.prompt_tokens,
        output_tokens=status.output_tokens,
        aside_tokens=status.aside_tokens,
        unused_tokens=status.unused_tokens,
        lengths=own.lengths.lengths() if own else None,
        finished=dict(own.finished.most_common()) if own else {},
        diversity=diversity_of(told, HashingEmbedder().embed(told), budget) if told else None,
        languages=languages_of(told[:_LANGUAGE_TEXTS]) if told else None,
    )


def _left_out(found: Source) -> dict[int, Counter[str]]:
    """By level and reason, the rows that a drop list takes away."""
    later: dict[int, Counter[str]] = defaultdict(Counter)
    if found.snapshot.drops is not None:
        drops = read_drops(found.store, found.snapshot.drops, ["path", "reason"])
        levels = pc.list_value_length(drops.column("path"))
        both = pa.table({"level": levels, "reason": drops.column("reason")})
        for row in both.group_by(["level", "reason"]).aggregate([([], "count_all")]).to_pylist():
            later[row["level"]][row["reason"]] = row["count_all"]
    return later

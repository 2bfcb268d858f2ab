"""What a card tells of an export, as values."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from pipeline.card.papers import Paper, papers_of
from pipeline.card.shown import Said
from pipeline.tree.run import Run
from schemas.errors import CorruptData
from schemas.export import Kind
from schemas.manifest import Manifest, RunFile, Snapshot
from schemas.wave_id import WaveId


@dataclass
class LevelFacts:
    """What became of one level."""

    level: int
    role: str
    asked: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    given: int = 0
    tokens: int = 0
    """Sampled for its candidates."""

    def add(self, manifest: Manifest) -> None:
        """Count a wave."""
        counts = manifest.counts
        self.asked += counts.asked
        self.kept += counts.kept
        self.dropped.update(counts.dropped)
        self.given += counts.given
        self.tokens += counts.output_tokens


_KINDS = {
    "messages": "Conversations",
    "text": "Texts",
    "preference": "Preferences",
    "nodes": "Turns",
}


def levels_of(run: Run, manifests: Iterable[Manifest]) -> tuple[LevelFacts, ...]:
    """By level, from 1, what the waves of a snapshot hold."""
    levels = tuple(LevelFacts(n, rule.role) for n, rule in enumerate(run.rules, start=1))
    for manifest in manifests:
        index = WaveId.parse(manifest.wave).level - 1
        if index >= len(levels):
            raise CorruptData(
                f"ledger: wave {manifest.wave} is of level {index + 1}, but the run has "
                f"{len(levels)}; it is not of this run's plan."
            )
        levels[index].add(manifest)
    return levels


@dataclass(frozen=True)
class Rows:
    """What was exported."""

    kind: Kind
    count: int
    schema: pa.Schema
    command: str
    """By which it is made again, from the run."""
    languages: Mapping[str, float] = field(default_factory=dict)
    """Shares by code."""
    examples: Sequence[Sequence[Said]] = ()
    how_chosen: str | None = None
    """Of preferences, what tells better answers from worse ones."""


@dataclass(frozen=True)
class Facts:
    """All that a card tells."""

    run: Run
    run_file: RunFile
    snapshot: Snapshot
    levels: Sequence[LevelFacts]
    rows: Rows
    rehearsal: bool
    """Scripted engines wrote it."""
    license: str | None = None
    """As far as a person has said it."""

    @property
    def recipe(self) -> str:
        """Its name."""
        return self.run.recipe.name

    @property
    def writers(self) -> tuple[str, ...]:
        """Names of the models."""
        spec = self.run.spec
        return (spec.model.name, *(spec.models[group].name for group in sorted(spec.models)))

    @property
    def papers(self) -> Sequence[Paper]:
        """What it is made after."""
        critique = any(rule.critique is not None for rule in self.run.rules)
        return papers_of(self.recipe, critique=critique)

    @property
    def title(self) -> str:
        """Of the card."""
        writers = ", ".join(dict.fromkeys(self.writers))
        return f"{_KINDS[self.rows.kind]} of {self.recipe}, written by {writers}"

"""What curation costs the driver a candidate, and a worker a turn."""

import statistics
import time
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from typing import NamedTuple

import numpy as np
from labelled_texts import TextsMissingError, labelled_texts

from pipeline.curate.curate import curate
from pipeline.curate.measure import Measurer
from pipeline.dialects.scripted import scripted_dialect
from schemas.curation_spec import CurationSpec
from schemas.measures import Measures, Turns
from schemas.records import Candidate, Role, Verdict, to_ids

WAVE = 2048
FAMILIES = (1, 12, 64, WAVE)
OVERSAMPLE = 1.5
DIMENSIONS = 256
"""Those of the packaged embedder."""
TARGET_US = 30
REPEATED = 0.1
"""Share of turns that repeat one of their scope but for the first word."""
OPENING_WORDS = 15
TEMPLATE = "Can you explain how {} works, and why it matters for {}?"
NEEDS_MORE = ("judge", "decontaminate")
"""Filters that need more than the turn: another request, a benchmark's texts."""


class Shape(NamedTuple):
    """A wave of 2,048 candidates."""

    family: int
    level: int
    alike: bool = False
    """Whether all are made from one template: each shares a bucket with half of the others."""


SHAPES = (
    *(Shape(family, 2) for family in FAMILIES),
    Shape(1, 1),
    Shape(WAVE, 1),
    Shape(1, 1, alike=True),
)


def verdicts_section(repetitions: int) -> dict:
    """Microseconds a candidate by shape of wave, with and without vectors."""
    texts, source = _texts()
    rows = [
        _verdicts(shape, texts, vectors, repetitions)
        for shape in SHAPES
        for vectors in (False, True)
    ]
    above = [row for row in rows if row["us"] > TARGET_US]
    return {
        "candidates": WAVE,
        "of": source,
        "target_us": TARGET_US,
        "waves_above_target": len(above),
        "waves": rows,
    }


def features_section(repetitions: int) -> dict:
    """Turns a second of the default filters, and of all that need no more than the turn."""
    from pipeline.curate.filters import FILTERS

    everything = {"filters": [name for name in FILTERS if name not in NEEDS_MORE]}
    texts, source = _texts()
    return {
        "of": source,
        "turns_per_second": [
            _features(name, CurationSpec(**spec, diversity=None), texts, role, repetitions)
            for name, spec in (("default", {}), ("all filters", everything))
            for role in ("user", "assistant")
        ],
    }


def _verdicts(shape: Shape, texts: Sequence[str], vectors: bool, repetitions: int) -> dict:
    candidates = _wave(shape, texts)
    spec = CurationSpec() if vectors else CurationSpec(diversity=None)
    measures = _measures(candidates, spec)
    fanout = max(1, round(shape.family / OVERSAMPLE))

    def judge() -> list[Verdict]:
        return curate(candidates, measures, fanout=fanout, compared="siblings", spec=spec)

    verdicts = judge()
    seconds = _timed(judge, repetitions)
    return {
        **shape._asdict(),
        "vectors": DIMENSIONS if vectors else 0,
        "near": sum(verdict.drop_reason == "near_duplicate" for verdict in verdicts),
        "kept": sum(verdict.kept for verdict in verdicts),
        "us": round(statistics.median(seconds) * 1e6 / WAVE, 2),
        "lowest": round(min(seconds) * 1e6 / WAVE, 2),
        "highest": round(max(seconds) * 1e6 / WAVE, 2),
    }


def _wave(shape: Shape, texts: Sequence[str]) -> list[Candidate]:
    """Some of the turns repeat others of their scope."""
    draw = np.random.default_rng(0)
    said = _from_template(texts, draw) if shape.alike else list(islice(cycle(texts), WAVE))
    if shape.level == 1 and not shape.alike:
        said = [" ".join(text.split()[:OPENING_WORDS]) for text in said]
    for row in np.flatnonzero(draw.random(WAVE) < REPEATED).tolist():
        first = 0 if shape.level == 1 else row - row % shape.family
        said[row] = "Well, " + said[draw.integers(first, row + 1)]
    return [_candidate(row, shape, text) for row, text in enumerate(said)]


def _from_template(texts: Sequence[str], draw: np.random.Generator) -> list[str]:
    words = sorted({word for text in texts for word in text.split() if word.isalpha()})
    picked = draw.choice(words, (WAVE, 2)).tolist()
    return [TEMPLATE.format(*pair) for pair in picked]


def _candidate(row: int, shape: Shape, text: str) -> Candidate:
    parent, child = divmod(row, shape.family)
    path = (parent, child) if shape.level > 1 else (child,)
    return Candidate(
        tree_id=0 if shape.level > 1 else parent,
        node_id=f"{row:032x}",
        parent_id=f"parent-{parent}",
        path=path,
        role="user" if shape.level % 2 else "assistant",
        token_ids=to_ids([0] * len(text.split())),
        text=text,
        finish_reason="stop",
    )


def _measures(candidates: Sequence[Candidate], spec: CurationSpec) -> Measures:
    draw = np.random.default_rng(0)

    def embed(texts: Sequence[str]) -> np.ndarray:
        """Any directions: what they say costs nothing here."""
        found: np.ndarray = draw.standard_normal((len(texts), DIMENSIONS), dtype=np.float32)
        return found

    turns = _turns([row.text for row in candidates], candidates[0].role)
    return Measurer(spec, scripted_dialect(), embed=embed)(turns)


def _features(
    name: str, spec: CurationSpec, texts: Sequence[str], role: Role, repetitions: int
) -> dict:
    turns, measurer = _turns(texts, role), Measurer(spec, scripted_dialect())
    seconds = _timed(lambda: measurer(turns), max(3, repetitions // 2))
    rates = sorted(round(len(texts) / own) for own in seconds)
    return {
        "filters": name,
        "role": role,
        "columns": len(measurer(turns).names),
        "median": round(statistics.median(rates)),
        "lowest": rates[0],
        "highest": rates[-1],
    }


def _turns(texts: Sequence[str], role: Role) -> Turns:
    """All of one parent, with a token a word."""
    counts = [len(text.split()) for text in texts]
    return Turns(
        role=role,
        node_ids=[f"{row:032x}" for row in range(len(texts))],
        texts=list(texts),
        token_ids=to_ids(list(range(sum(counts)))),
        ends=np.cumsum(counts),
        reasoning_tokens=np.zeros(len(texts), dtype=np.int32),
        finish_reasons=["stop"] * len(texts),
        logprob_sums=-np.array(counts, dtype=np.float64),
        families=np.zeros(len(texts), dtype=np.int32),
        above=[("You are a helpful assistant.", "Tell me about the history of the place.")],
        references=[""],
        tongues=np.zeros(len(texts), dtype=np.int8),
    )


def _texts() -> tuple[list[str], str]:
    """A passage a turn: real ones where they can be had."""
    try:
        forms = [entry.text for entry in labelled_texts()]
        return forms[:: len(forms) // WAVE], "passages of Wikipedia and OpenWebText"
    except TextsMissingError as error:
        return _made_up(), f"made-up words, since {error}"


def _made_up() -> list[str]:
    draw = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = ["".join(draw.choice(letters, size)) for size in draw.integers(2, 10, 5000)]
    return [" ".join(draw.choice(words, 100)) for _ in range(WAVE)]


def _timed(work: Callable[[], object], repetitions: int) -> list[float]:
    """Seconds of each run after the first."""
    work()
    seconds = []
    for _ in range(repetitions):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return seconds

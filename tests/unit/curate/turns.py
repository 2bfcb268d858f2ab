"""Turns as filters are given them, and what filters say of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.curate.filters import FILTERS
from pipeline.curate.measure import Measurer
from schemas.curation_spec import CurationSpec
from schemas.dialect import Dialect
from schemas.measures import Measures, Turns
from schemas.records import Role
from tests.unit.samples import DIALECT

ABOVE = ("On rivers.", "What does a river carry to the sea?")


def make_turns(
    *texts: str,
    role: Role = "assistant",
    above: Sequence[tuple[str, ...]] = (ABOVE,),
    families: Sequence[int] | None = None,
    token_ids: Sequence[Sequence[int]] | None = None,
    reasoning_tokens: int = 0,
    finish_reason: str = "stop",
    logprob_sum: float = float("nan"),
    references: Sequence[str] | None = None,
    asked: str = "",
    tongues: Sequence[int] | None = None,
) -> Turns:
    """Turns of these texts; a token a byte, and all of the first family, unless told otherwise."""
    ids = [list(text.encode()) for text in texts] if token_ids is None else token_ids
    return Turns(
        role=role,
        node_ids=[f"node-{index}" for index in range(len(texts))],
        texts=list(texts),
        token_ids=np.array([token for own in ids for token in own], dtype=np.int32),
        ends=np.cumsum([len(own) for own in ids], dtype=np.int64),
        reasoning_tokens=np.full(len(texts), reasoning_tokens, dtype=np.int32),
        finish_reasons=[finish_reason] * len(texts),
        logprob_sums=np.full(len(texts), logprob_sum, dtype=np.float64),
        families=np.array(families or [0] * len(texts), dtype=np.int32),
        above=list(above),
        references=list(references or [""] * len(above)),
        tongues=np.array(tongues or [0] * len(texts), dtype=np.int8),
        asked=asked,
    )


def make_spec(*filters: Any, duplicates: str = "keep", diversity: Any = None) -> CurationSpec:
    """Nothing but these filters, unless something else is said."""
    return CurationSpec.model_validate(
        {"filters": filters, "duplicates": duplicates, "diversity": diversity}
    )


def measure(
    turns: Turns, *filters: Any, dialect: Dialect = DIALECT, benchmark: Any = None
) -> Measures:
    """The scores of filters alone."""
    return Measurer(make_spec(*filters), dialect, benchmark=benchmark)(turns)


def fallen(
    turns: Turns, name: str, *, dialect: Dialect = DIALECT, benchmark: Any = None, **settings: Any
) -> list[bool]:
    """By turn, whether one filter drops it."""
    entry = {"filter": name, **settings}
    spec = make_spec(entry)
    measures = Measurer(spec, dialect, benchmark=benchmark)(turns)
    return FILTERS[name].drops(measures, spec.filters[0]).tolist()


def falls(text: str, name: str, **settings: Any) -> bool:
    """Whether a filter drops an answer."""
    return fallen(make_turns(text), name, **settings) == [True]

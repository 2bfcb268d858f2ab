"""All that decides rows, in one value: what every pure function of growth may ask for."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.tree.recipe import Recipe
from schemas.dialect import Dialect
from schemas.generation_spec import GenerationSpec
from schemas.records import Ids


@dataclass(frozen=True, eq=False)
class Run:
    """One run, resolved: ids can be derived and prompts be built."""

    run_id: str
    spec: GenerationSpec
    recipe: Recipe
    dialect: Dialect
    openings: Mapping[str, Ids]
    """Opening ids of each root's text."""
    questions: Mapping[str, Ids] = field(default_factory=dict)
    """Ids of each question about a turn."""
    curation: Mapping[str, str] = field(default_factory=dict)
    """Versions of what decides verdicts, as the run's identity has them."""

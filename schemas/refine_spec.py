"""RefineSpec: what falls when a whole run is compared with itself and with earlier runs."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.curation_spec import LOWEST_NEAR, Strict

Scope = Literal["openings", "turns", "conversations"]
"""The turns of level 1, but for answers to prompts; all user turns; conversations from the opening
to the last answer, among those that answer the same prompt, or none."""


class RefineSpec(Strict):
    """How alike may be what stays."""

    duplicates: Literal["near", "exact", "keep"] = "near"
    threshold: Annotated[float, Field(ge=LOWEST_NEAR, le=1.0)] = 0.8
    """Jaccard similarity of shingles from which turns or conversations are near duplicates."""
    cosine: Annotated[float, Field(ge=0.7, le=1.0)] | None = None
    """Cosine of stored vectors from which turns are too similar; None: not compared."""
    scopes: tuple[Scope, ...] = ("openings", "conversations")
    """What is compared over the whole run. A follow-up under another parent is another thing to
    say, so `turns` is left out unless asked for."""

    @model_validator(mode="after")
    def _cosine_has_turns(self) -> Self:
        if self.cosine is not None and not {"openings", "turns"} & set(self.scopes):
            raise ValueError(
                "cosine: vectors are of turns; expected `openings` or `turns` among the scopes, "
                f"found {', '.join(self.scopes) or 'none'}"
            )
        return self

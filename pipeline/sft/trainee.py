"""The trainee: the model that is trained, as far as rows need to know it."""

from dataclasses import dataclass

from pipeline.dialects.tokenizer import Tokenizer
from schemas.dialect import Dialect


@dataclass(frozen=True, eq=False)
class Trainee:
    """A model's directory, and how it spells."""

    location: str
    tokenizer: Tokenizer
    dialect: Dialect
    """Holds the digests of tokenizer and template, by which a run's rows are known to be its own
    tokens or not."""
    weights: str
    """Digest, as runs name the model that wrote them."""
    context: int
    """Tokens it takes at most."""

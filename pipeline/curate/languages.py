"""Which languages texts are in, by py3langid."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

READ_CHARS = 4000
_LEAST_CHARS = 20
_SURE = 0.5
_LEAST_SHARE = 0.05

UNSURE = "unsure"
"""No language is likelier than all others together."""


@dataclass(frozen=True)
class Languages:
    """Of a sample of texts."""

    texts: int
    """Long enough to tell."""
    too_short: int
    shares: dict[str, float]
    """By ISO 639-1 code, the most frequent first."""

    @property
    def named(self) -> dict[str, float]:
        """Shares of the texts that could be told; languages of a few texts, which may be errors of
        py3langid, are left out."""
        told = 1 - self.shares.get(UNSURE, 0)
        shares = {code: part / told for code, part in self.shares.items() if code != UNSURE}
        return {code: part for code, part in shares.items() if part >= _LEAST_SHARE}


def languages_of(texts: Sequence[str]) -> Languages:
    """One language a text; texts without as many letters as a guess takes are counted apart."""
    read = [text[:READ_CHARS] for text in texts]
    judged = [text for text in read if sum(map(str.isalpha, text)) >= _LEAST_CHARS]
    found = sorted(Counter(map(_language, judged)).items(), key=lambda pair: (-pair[1], pair[0]))
    return Languages(
        texts=len(judged),
        too_short=len(texts) - len(judged),
        shares={code: count / len(judged) for code, count in found},
    )


def _language(text: str) -> str:
    code, probability = identifier().classify(text)
    return str(code) if probability >= _SURE else UNSURE


@cache
def identifier() -> Any:
    """py3langid's model, which gives probabilities."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

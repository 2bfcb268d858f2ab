"""Which token a model takes for the beginning of a text, by its weights.

Ordinary texts are read after each candidate and after nothing. A model is surer of a text after
what it saw before texts in training, so the right candidate gives the lowest negative
log-likelihood a token. Each text's first token is left out: after nothing, it has none.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.dialects.spelling import TokenizerSpeller
from pipeline.dialects.tokenizer import Tokenizer, decode
from schemas.dialect import Dialect
from schemas.records import Ids, to_ids

Score = Callable[[Sequence[Ids]], Sequence[npt.NDArray[np.float32]]]
"""By text, the log-probability of each id but the first."""

CLEAR = 0.05
"""So many nats a token lie between a start that is proven and any other."""

TEXTS = (
    "The ferry had already left when Marta reached the harbour, so she sat down on her suitcase "
    "and watched the lights of the other shore come on, one after the other.",
    "Copper is a reddish metal that conducts heat and electricity well. It has been used for "
    "tools since ancient times and is found today in nearly every electric wire.",
    "The council voted on Tuesday to close the market street to cars for the summer. Shop owners "
    "had asked for more time, but the mayor said that the plan had been known for a year.",
    "def mean(values):\n    total = 0\n    for value in values:\n        total += value\n"
    "    return total / len(values)\n",
    "To make the dough, mix the flour with the salt, add warm water little by little, and knead "
    "it for ten minutes. Cover the bowl with a cloth and leave it in a warm place.",
    "Thanks for your letter. We are all well here, and the garden is finally dry enough to work "
    "in. Come and see us in May if you can, there is always a bed for you.",
    "Der Zug nach Leipzig hatte eine halbe Stunde Verspätung, weil auf der Strecke gebaut wurde. "
    "Die meisten Reisenden warteten geduldig auf dem Bahnsteig.",
    "La bibliothèque est ouverte tous les jours, sauf le lundi. On peut y emprunter des livres, "
    "des films et des jeux pour trois semaines.",
)
"""Plain sentences of several kinds."""


class Candidate(NamedTuple):
    """Something that texts may begin with."""

    ids: tuple[int, ...]
    roles: list[str]
    """As what it is known: `derived`, `bos`, `end`, `nothing`."""


def start_report(tokenizer: Tokenizer, dialect: Dialect) -> dict[str, Any]:
    """The start as it was derived, before any proof."""
    return {"ids": list(dialect.start), "text": decode(tokenizer, dialect.start)}


def prove_start(
    tokenizer: Tokenizer, dialect: Dialect, score: Score, texts: Sequence[str] = TEXTS
) -> dict[str, Any]:
    """The report with the candidates, the best first, and what they say of the derived one."""
    candidates = candidates_of(tokenizer, dialect)
    speller = TokenizerSpeller(tokenizer, dialect)
    losses = _losses(candidates, [speller.ids(text) for text in texts], score)
    ranked = sorted(zip(losses, candidates, strict=True), key=lambda pair: pair[0])
    rows = [
        {
            "ids": list(candidate.ids),
            "text": decode(tokenizer, candidate.ids),
            "roles": candidate.roles,
            "nll": round(loss, 4),
        }
        for loss, candidate in ranked
    ]
    lead = _lead(rows)
    return {
        **start_report(tokenizer, dialect),
        "candidates": rows,
        "lead": round(lead, 4),
        "verdict": "proven" if lead >= CLEAR else "refuted" if lead <= -CLEAR else "unclear",
    }


def candidates_of(tokenizer: Tokenizer, dialect: Dialect) -> list[Candidate]:
    """All that might begin a text, each once."""
    bos = tokenizer.bos_token_id
    named = [
        *([("derived", dialect.start)] if dialect.start else []),
        *([("bos", (bos,))] if bos is not None else []),
        *(("end", (i,)) for i in dialect.text_stop_ids),
        ("nothing", ()),
    ]
    roles: dict[tuple[int, ...], list[str]] = {}
    for role, ids in named:
        roles.setdefault(ids, []).append(role)
    return [Candidate(ids, known) for ids, known in roles.items()]


def longest_prompt(tokenizer: Tokenizer, dialect: Dialect) -> int:
    """How many ids the longest text has after a candidate."""
    speller = TokenizerSpeller(tokenizer, dialect)
    return max(1, len(dialect.start)) + max(len(speller.ids(text)) for text in TEXTS)


def _losses(candidates: Sequence[Candidate], texts: Sequence[Ids], score: Score) -> list[float]:
    """By candidate, the mean over the tokens of all texts."""
    prompts = [np.concatenate([to_ids(c.ids), ids]) for c in candidates for ids in texts]
    found = score(prompts)
    losses = []
    for first in range(0, len(prompts), len(texts)):
        pairs = zip(found[first : first + len(texts)], texts, strict=True)
        tails = [logprobs[len(logprobs) - len(ids) + 1 :] for logprobs, ids in pairs]
        losses.append(-float(np.concatenate(tails).mean(dtype=np.float64)))
    return losses


def _lead(rows: Sequence[dict[str, Any]]) -> float:
    """By how much the derived start is better than the best of the others; nothing, if none is."""
    own = "derived" if any("derived" in row["roles"] for row in rows) else "nothing"
    derived = next(row["nll"] for row in rows if own in row["roles"])
    others = [row["nll"] for row in rows if own not in row["roles"]]
    return float(min(others, default=derived) - derived)

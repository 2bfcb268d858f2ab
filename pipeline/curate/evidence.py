"""Why a filter dropped a turn, told from stored scores: the comparisons that its scores fail."""

from collections.abc import Callable, Mapping
from operator import gt, lt
from typing import Any, NamedTuple

import numpy as np

from schemas.filter_spec import AlphabetSpec, AnyFilter, DisagreesSpec, LanguageSpec

Scores = Mapping[str, float]


class Comparison(NamedTuple):
    """A score that lies on the wrong side of a threshold."""

    score: str
    value: float
    relation: str
    """Of the value to the threshold."""
    threshold: float


class _Limit(NamedTuple):
    score: str
    relation: str
    setting: str | None
    """None: the threshold is fixed."""
    fixed: float = 0.0


_RELATIONS: dict[str, Callable[[Any, Any], Any]] = {"<": lt, ">": gt}

_SAME_NAME = (
    *("duplicate_lines", "duplicate_line_chars", "top_2gram", "top_3gram", "top_4gram"),
    *("duplicate_5gram", "duplicate_10gram"),
)

_LIMITS: dict[str, tuple[_Limit, ...]] = {
    "length": tuple(
        _Limit(unit, relation, f"{end}_{unit}")
        for unit in ("tokens", "chars")
        for relation, end in (("<", "min"), (">", "max"))
    ),
    "repetition": tuple(_Limit(name, ">", name) for name in _SAME_NAME),
    "char_repetition": (_Limit("char_repetition", ">", "max_share"),),
    "language": (_Limit("allowed_languages", "<", "min_probability"),),
    "symbols": (
        _Limit("symbol_to_word", ">", "max_symbol_to_word"),
        _Limit("alphabetic_words", "<", "min_alphabetic_words"),
        _Limit("bullet_lines", ">", "max_bullet_lines"),
        _Limit("ellipsis_lines", ">", "max_ellipsis_lines"),
    ),
    "alphabet": (_Limit("allowed_letters", "<", "min_share"),),
    "disagrees": (_Limit("same_answer", "<", None, 1.0),),
    "path_repetition": (_Limit("path_similarity", ">", "max_similarity"),),
    "echo": (_Limit("echo", ">", "max_share"),),
    "likelihood": (
        _Limit("mean_logprob", "<", "min_mean"),
        _Limit("mean_logprob", ">", "max_mean"),
    ),
    "profanity": (_Limit("profanity", ">", "max_share"),),
    "decontaminate": (_Limit("contaminated", ">", "max_share"),),
    "judge": (_Limit("judge", "<", "min_score"),),
    **{
        name: (_Limit(name, ">", None),)
        for name in (
            *("empty", "truncated", "role_leak", "boilerplate", "refusal"),
            *("gives_away", "pii"),
        )
    },
}


def evidence(entry: AnyFilter, scores: Scores) -> list[Comparison]:
    """What speaks against a turn; as the filter compares it, in float32."""
    known = {**scores, **_named(entry, scores)}
    found = []
    for limit in _LIMITS[entry.filter]:
        value = known.get(limit.score)
        threshold = getattr(entry, limit.setting) if limit.setting else limit.fixed
        if value is None or threshold is None:
            continue
        if _RELATIONS[limit.relation](np.float32(value), np.float32(threshold)):
            found.append(Comparison(limit.score, value, limit.relation, threshold))
    return found


def _named(entry: AnyFilter, scores: Scores) -> dict[str, float]:
    """What is compared under another name: shares of all languages or letters that are asked for
    together, the final answer that an entry is about."""
    if isinstance(entry, LanguageSpec):
        shares = [scores.get(f"language_{code}") for code in dict.fromkeys(entry.allowed)]
        return {} if None in shares else {"allowed_languages": sum(filter(None, shares))}
    if isinstance(entry, DisagreesSpec):
        same = scores.get(f"same_{entry.final}")
        return {} if same is None else {"same_answer": same}
    if isinstance(entry, AlphabetSpec) and scores.get("letters"):
        counts = [scores.get(f"letters_{name}") or 0.0 for name in dict.fromkeys(entry.scripts)]
        return {"allowed_letters": sum(counts) / scores["letters"]}
    return {}

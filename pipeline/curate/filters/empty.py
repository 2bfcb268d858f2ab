"""A turn without any visible text, its reasoning left aside."""

from schemas.dialect import Dialect
from schemas.records import Candidate


def empty(candidate: Candidate, dialect: Dialect) -> str | None:
    """Drop turns that are empty, or nothing but white space or reasoning."""
    only_reasoning = candidate.reasoning_tokens >= len(candidate.token_ids)
    return "empty" if only_reasoning or not candidate.text.strip() else None

"""A turn that did not come to its own end."""

from schemas.dialect import Dialect
from schemas.records import Candidate


def truncated(candidate: Candidate, dialect: Dialect) -> str | None:
    """Drop turns that ran into their token budget, or whose reasoning never closed."""
    endless = bool(dialect.reasoning_close) and candidate.role == "assistant"
    unclosed = endless and candidate.reasoning_tokens == 0 and _opened(candidate)
    return "truncated" if candidate.finish_reason != "stop" or unclosed else None


def _opened(candidate: Candidate) -> bool:
    return "<think>" in candidate.text

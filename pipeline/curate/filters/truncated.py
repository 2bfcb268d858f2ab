"""A turn that did not come to its own end."""

from schemas.dialect import Dialect
from schemas.records import Candidate


def truncated(candidate: Candidate, dialect: Dialect) -> str | None:
    """Drop turns that ran into their token budget, or whose reasoning never closed."""
    unclosed = candidate.role == "assistant" and _is_unclosed(candidate, dialect)
    return "truncated" if candidate.finish_reason != "stop" or unclosed else None


def _is_unclosed(candidate: Candidate, dialect: Dialect) -> bool:
    """Reasoning was opened, by the prompt or in the turn, and `reasoning_close` never came."""
    if not dialect.reasoning_close or candidate.reasoning_tokens:
        return False
    opened_by_model = bool(dialect.reasoning_open) and dialect.reasoning_open in candidate.text
    return opened_by_model or _opened_by_prompt(dialect)


def _opened_by_prompt(dialect: Dialect) -> bool:
    """The prompt for an answer goes beyond history's marker, and does not close again."""
    asks, close = dialect.ask_assistant, dialect.reasoning_close
    closed = any(asks[i : i + len(close)] == close for i in range(len(asks)))
    return asks != dialect.after_user and not closed

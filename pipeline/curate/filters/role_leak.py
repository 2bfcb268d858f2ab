"""A turn in which the model went on to play the other role, or wrote control tokens."""

import numpy as np

from schemas.dialect import Dialect
from schemas.records import Candidate


def role_leak(candidate: Candidate, dialect: Dialect) -> str | None:
    """Drop turns that hold a marker of the template, as a control token or spelled out."""
    answer = candidate.token_ids[candidate.reasoning_tokens :]
    if dialect.leak_ids and np.isin(answer, dialect.leak_ids).any():
        return "role_leak"
    if candidate.reasoning_tokens:
        # Reasoning may quote markers, and its text is not told apart from the answer's here.
        return None
    return "role_leak" if any(s in candidate.text for s in dialect.leak_strings) else None

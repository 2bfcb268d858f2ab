"""The log-probabilities that scripted turns come with: made up, but of a real distribution."""

from math import log1p

import numpy as np
import numpy.typing as npt

from pipeline.engines.scripted_author import VOCAB_SIZE, Turn
from pipeline.engines.top_logprobs import tail_mass
from schemas.records import TopLogprobs

TOKEN_LOGPROB = -1.25
"""Of every scripted token."""


def scripted_top_logprobs(turn: Turn, top: int) -> TopLogprobs:
    """The written token first, and each id after it less likely by the same factor.

    The shares of such a geometric distribution add up to 1 over all ids.
    """
    written = turn.token_ids if turn.stop_id is None else np.append(turn.token_ids, turn.stop_id)
    ranks = np.arange(top)
    ids = ((written[:, None] + ranks) % VOCAB_SIZE).astype(np.int32)
    row: npt.NDArray[np.float32] = TOKEN_LOGPROB + ranks * log1p(-np.exp(TOKEN_LOGPROB))
    logprobs = np.tile(row.astype(np.float32), (len(written), 1))
    return TopLogprobs(ids, logprobs, tail_mass(logprobs))

"""Re-check the most likely tokens beside a wave's turns: whose they are, what they add up to."""

from collections.abc import Iterator, Mapping
from itertools import zip_longest

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.storage.shards import WaveRows
from pipeline.tree.run import Run
from schemas.logprob_table import LOGPROB_SCHEMA, from_logprob_table
from schemas.manifest import Table
from schemas.records import Candidate, TopLogprobs, to_ids
from schemas.wave_id import WaveId

ROUNDING = 1e-3
"""By so much may probabilities miss their sum, and log-probabilities each other."""


def logprob_defects(
    run: Run, wave: WaveId, rows: WaveRows, tables: Mapping[Table, pa.Table]
) -> Iterator[str]:
    """One entry for each sampled turn of a wave that asks for them, in row order."""
    asked = run.rule(wave.level).sampling.top_logprobs
    turns = [c for c, _ in (*rows.nodes, *rows.asides) if asked and _has_some(c)]
    found = list(from_logprob_table(tables.get("logprobs", LOGPROB_SCHEMA.empty_table())))
    ids, expected = [node_id for node_id, _ in found], [turn.node_id for turn in turns]
    if ids != expected:
        first = next(a or b for a, b in zip_longest(ids, expected) if a != b)
        yield (
            f"the logprobs of wave {wave.name}: there are {len(ids)}, expected one of each of its "
            f"{len(expected)} sampled turns in row order; the first that differs is of {first}."
        )
        return
    for turn, (_, top) in zip(turns, found, strict=True):
        for said in _defects(turn, top, asked):
            yield f"the logprobs of {turn.node_id}: {said}"


def _has_some(row: Candidate) -> bool:
    """Whether it was sampled as a turn of its level: what is said about turns is asked for without
    log-probabilities."""
    sampled = row.origin != "given" and row.failure is None
    return sampled and row.kind in ("turn", "draft", "rewrite")


def _defects(turn: Candidate, top: TopLogprobs, asked: int) -> Iterator[str]:
    written = _written(turn)
    own = turn.token_logprobs
    if top.ids.shape != (len(written), asked):
        positions, k = top.ids.shape
        yield (
            f"{positions} positions of {k} tokens; expected {len(written)}, one for each of its "
            f"tokens and for what ended it, of {asked}."
        )
        return
    if own is not None and len(own) != len(turn.token_ids):
        yield f"its row has {len(own)} log-probabilities of {len(turn.token_ids)} tokens."
        return
    for said, right in _properties(turn, top, written).items():
        if not right.all():
            yield f"at position {int(np.argmin(right))} {said}."


def _written(turn: Candidate) -> npt.NDArray[np.int32]:
    end = [] if turn.stop_id is None else [turn.stop_id]
    return np.concatenate([turn.token_ids, to_ids(end)])


def _properties(
    turn: Candidate, top: TopLogprobs, written: npt.NDArray[np.int32]
) -> dict[str, npt.NDArray[np.bool_]]:
    """By what is wrong, at which positions it is right."""
    logprobs = top.logprobs.astype(np.float64)
    in_order = np.sort(top.ids, axis=1)
    with np.errstate(over="ignore"):
        total = np.exp(logprobs).sum(axis=1) + top.tail
    return {
        "a token is listed twice": (in_order[:, 1:] != in_order[:, :-1]).all(axis=1),
        "the most likely are not first": (logprobs[:, 1:] <= logprobs[:, :-1]).all(axis=1),
        "the mass of all others is negative or no number": top.tail >= 0,
        "the probabilities do not add up to 1": np.abs(total - 1) <= ROUNDING,
        "the token that was sampled has another log-probability": _sampled_alike(
            turn, top, written
        ),
    }


def _sampled_alike(
    turn: Candidate, top: TopLogprobs, written: npt.NDArray[np.int32]
) -> npt.NDArray[np.bool_]:
    """Where its own log-probability is stored: it is the listed one, or below all listed ones."""
    right = np.ones(len(written), dtype=bool)
    if turn.token_logprobs is None or not top.ids.shape[1]:
        return right
    count = len(turn.token_logprobs)
    listed = top.ids[:count] == written[:count, None]
    own, last = turn.token_logprobs.astype(np.float64), top.logprobs[:count, -1]
    there = np.where(listed, top.logprobs[:count], 0).sum(axis=1)
    right[:count] = np.where(
        listed.any(axis=1), np.abs(there - own) <= ROUNDING, own <= last + ROUNDING
    )
    return right

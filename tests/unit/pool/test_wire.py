"""What goes over the wire comes back equal."""

import math
from dataclasses import asdict, fields
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.pool.wire import pack_outcomes, pack_requests, unpack_outcomes, unpack_requests
from schemas.records import ChildKey, Completion, Failure, Request, Sampling, TopLogprobs

int32 = st.integers(-(2**31), 2**31 - 1)
ids = st.lists(int32, max_size=6).map(lambda values: np.asarray(values, dtype=np.int32))
floats = st.lists(st.floats(width=32, allow_nan=False), max_size=6)
logprobs = floats.map(lambda values: np.asarray(values, dtype=np.float32))
kinds = st.sampled_from(["turn", "judge", "draft", "critique", "rewrite"])
keys = st.builds(ChildKey, st.text(), kinds, st.integers(0, 2**31 - 1))
samplings = st.builds(
    Sampling,
    max_tokens=st.integers(1, 2**40),
    temperature=st.floats(0, 2),
    stop_ids=st.lists(int32).map(tuple),
    stop_strings=st.lists(st.text()).map(tuple),
    logprobs=st.sampled_from(["none", "sum", "tokens"]),
    top_logprobs=st.integers(0, 1024),
    ignore_eos=st.booleans(),
)
requests = st.builds(
    Request,
    wave=st.text(),
    parent_id=st.text(),
    first_child=st.integers(0, 2**31 - 1),
    n=st.integers(1, 2**31 - 1),
    prompt=ids,
    sampling=samplings,
    seed=st.none() | st.integers(0, 2**63 - 1),
    kind=kinds,
    group=st.text(),
)


@st.composite
def tops(draw) -> TopLogprobs:
    shape = draw(st.integers(0, 4)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    return TopLogprobs(
        rng.integers(-(2**31), 2**31, shape, dtype=np.int32),
        rng.standard_normal(shape, dtype=np.float32),
        rng.random(shape[0], dtype=np.float32),
    )


completions = st.builds(
    Completion,
    key=keys,
    token_ids=ids,
    text=st.text(),
    finish_reason=st.text(),
    stop_id=st.none() | int32,
    logprob_sum=st.none() | st.floats(allow_nan=False),
    token_logprobs=st.none() | logprobs,
    top=st.none() | tops(),
)
failures = st.builds(Failure, key=keys, reason=st.text(), message=st.text())


def plain(record: Any) -> dict[str, Any]:
    """A record with its arrays as dtype and list, so that equality is by value."""
    return {field.name: plain_value(getattr(record, field.name)) for field in fields(record)}


def plain_value(value: Any) -> Any:
    if isinstance(value, TopLogprobs):
        return tuple(map(plain_value, value))
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, value.tolist()
    return value


@settings(deadline=None)
@given(st.lists(requests, max_size=5))
def test_requests_packed_come_back_equal(batch: list[Request]):
    back = unpack_requests(pack_requests(batch))
    assert [plain(one) for one in back] == [plain(one) for one in batch]


@settings(deadline=None)
@given(st.lists(completions | failures, max_size=8))
def test_outcomes_packed_come_back_equal_in_order(batch: list[Completion | Failure]):
    back = unpack_outcomes(pack_outcomes(batch))
    assert [type(one) for one in back] == [type(one) for one in batch]
    assert [plain(one) for one in back] == [plain(one) for one in batch]


def test_outcomes_with_infinite_and_missing_logprobs_keep_them():
    key = ChildKey("p", "turn", 0)
    values = np.asarray([-math.inf, -0.5], dtype=np.float32)
    made = Completion(key, np.zeros(2, dtype=np.int32), "", "stop", None, -math.inf, values)
    (back,) = unpack_outcomes(pack_outcomes([made]))
    assert asdict(back)["logprob_sum"] == -math.inf
    assert back.token_logprobs.tolist() == values.tolist()

"""What becomes of vLLM's outputs; vLLM itself is not needed for that."""

from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.engines.vllm_outcome import outcome
from schemas.records import ChildKey, Completion, Failure, Sampling

TEXTS = ["Hello", " world", ". B", "ye", "<end>"]
END = 4
KEY = ChildKey("parent", "turn", 3)


def decode(ids) -> str:
    return "".join(TEXTS[i] for i in ids)


def finished(ids, reason, stop_reason=None):
    """As vLLM hands out a finished child, with one log-probability a position."""
    flat = SimpleNamespace(
        start_indices=list(range(len(ids))), logprobs=[-0.5 * (i + 1) for i in range(len(ids))]
    )
    return SimpleNamespace(
        token_ids=ids, finish_reason=reason, stop_reason=stop_reason, logprobs=flat
    )


def taken(output, logprobs="none") -> Completion:
    found = outcome(KEY, Sampling(8, logprobs=logprobs), output, decode)
    assert isinstance(found, Completion)
    return found


@pytest.mark.parametrize("stop_reason", [None, END])
def test_outcome_of_a_stop_drops_the_terminator(stop_reason):
    completion = taken(finished([0, 1, END], "stop", stop_reason))
    assert (completion.token_ids.tolist(), completion.text) == ([0, 1], "Hello world")
    assert completion.stop_id == END


def test_outcome_of_a_length_keeps_all():
    completion = taken(finished([0, 1, 2], "length"))
    assert (completion.text, completion.stop_id) == ("Hello world. B", None)
    assert completion.finish_reason == "length"


def test_outcome_of_a_stop_string_drops_the_token_it_starts_in():
    completion = taken(finished([0, 1, 2, 3], "stop", "Bye"))
    assert (completion.token_ids.tolist(), completion.text) == ([0, 1], "Hello world")
    assert (completion.finish_reason, completion.stop_id) == ("stop", None)


def test_outcome_logprobs_are_those_of_the_kept_ids():
    completion = taken(finished([0, 1, END], "stop"), logprobs="tokens")
    assert completion.token_logprobs.tolist() == [-0.5, -1.0]
    assert completion.logprob_sum == -1.5
    assert taken(finished([0, 1, END], "stop"), logprobs="sum").token_logprobs is None


def with_top(ids, reason, stop_reason=None, **sampling) -> Completion:
    """The completion of a child for which vLLM lists two tokens beside the sampled one."""
    output = finished(ids, reason, stop_reason)
    width = 3
    output.logprobs = SimpleNamespace(
        start_indices=[width * i for i in range(len(ids))],
        token_ids=[token for i in ids for token in (i, 10 * i, 10 * i + 1)],
        logprobs=[lp for i in range(len(ids)) for lp in (-5.0, -0.5 - i, -1.0 - i)],
    )
    found = outcome(KEY, Sampling(8, top_logprobs=2, **sampling), output, decode)
    assert isinstance(found, Completion)
    return found


def test_outcome_top_logprobs_are_the_most_likely_without_the_sampled_one():
    top = with_top([0, 1], "length").top
    assert top.ids.tolist() == [[0, 1], [10, 11]]
    assert top.logprobs.tolist() == [[-0.5, -1.0], [-1.5, -2.0]]
    assert top.tail == pytest.approx(1 - np.exp(top.logprobs).sum(axis=1), abs=1e-6)
    assert {part.dtype for part in top} == {np.dtype(np.int32), np.dtype(np.float32)}


@pytest.mark.parametrize("stop_reason", [None, END])
def test_outcome_top_logprobs_of_a_stop_hold_the_terminators_position(stop_reason):
    completion = with_top([0, 1, END], "stop", stop_reason)
    assert completion.token_ids.tolist() == [0, 1]
    assert completion.top.ids.tolist() == [[0, 1], [10, 11], [40, 41]]


def test_outcome_top_logprobs_of_a_stop_string_are_trimmed_with_the_turn():
    completion = with_top([0, 1, 2, 3], "stop", "Bye")
    assert completion.token_ids.tolist() == [0, 1]
    assert completion.top.ids.tolist() == [[0, 1], [10, 11]]


def test_outcome_top_logprobs_come_without_those_of_the_sampled_tokens():
    completion = with_top([0], "length", logprobs="none")
    assert completion.logprob_sum is completion.token_logprobs is None
    assert completion.top.ids.tolist() == [[0, 1]]
    assert with_top([0], "length", logprobs="sum").logprob_sum == -5.0


@pytest.mark.parametrize("reason", ["abort", "error", None])
def test_outcome_of_a_child_broken_off_is_a_failure(reason):
    found = outcome(KEY, Sampling(8), finished([0], reason), decode)
    assert isinstance(found, Failure)
    assert (found.key, found.reason) == (KEY, "engine")

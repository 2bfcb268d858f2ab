"""What becomes of vLLM's outputs; vLLM itself is not needed for that."""

from types import SimpleNamespace

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


@pytest.mark.parametrize("reason", ["abort", "error", None])
def test_outcome_of_a_child_broken_off_is_a_failure(reason):
    found = outcome(KEY, Sampling(8), finished([0], reason), decode)
    assert isinstance(found, Failure)
    assert (found.key, found.reason) == (KEY, "engine")

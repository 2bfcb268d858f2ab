"""What every engine promises: scripted, vLLM on this machine's CPU, and over a vLLM server."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from schemas.records import Completion, Failure, Outcome, Request, to_ids
from tests.engine_benches import (
    CONTEXT,
    SLOTS,
    TOP,
    Bench,
    scripted_bench,
    server_bench,
    vllm_bench,
)

LONG = 60
"""So many tokens are enough for most turns to end by themselves."""


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(scripted_bench, id="scripted"),
        pytest.param(vllm_bench, id="vllm", marks=[pytest.mark.vllm, pytest.mark.slow]),
        pytest.param(server_bench, id="server", marks=[pytest.mark.vllm, pytest.mark.slow]),
    ],
)
def bench(request) -> Iterator[Bench]:
    make = request.param
    at = (request.getfixturevalue("served").url,) if make is server_bench else ()
    bench = make(*at)
    report = bench.start()
    assert report.weights and report.dtype and report.device
    yield bench
    bench.close()
    bench.thread.shutdown()


def texts(outcomes: list[Outcome]) -> dict[int, str]:
    return {outcome.key.child_index: outcome.text for outcome in outcomes}


def ids_by_child(outcomes: list[Outcome]) -> dict[int, list[int]]:
    return {outcome.key.child_index: outcome.token_ids.tolist() for outcome in outcomes}


def test_run_every_child_has_exactly_one_outcome(bench):
    requests = [bench.request(n, first_child=first) for n, first in [(1, 0), (5, 0), (12, 3)]]
    outcomes = bench.run(*requests)
    asked = [key for request in requests for key in request.keys]
    assert sorted(outcome.key for outcome in outcomes) == sorted(asked)
    assert all(isinstance(outcome, Completion) for outcome in outcomes)


def test_step_without_work_returns_at_once(bench):
    assert not bench.engine.has_work()
    before = bench.stats()
    assert bench.step() == []
    assert bench.stats() == before


def test_children_of_one_request_differ(bench):
    said = texts(bench.run(bench.request(6)))
    assert sorted(said) == list(range(6))
    assert len(set(said.values())) > 1


def test_child_alone_says_what_it_says_among_siblings(bench):
    together = ids_by_child(bench.run(bench.request(4)))
    alone = {}
    for child in (2, 0, 3, 1):
        alone |= ids_by_child(bench.run(bench.request(1, first_child=child)))
    assert alone == together


def test_cut_request_says_the_same(bench):
    whole = bench.request(6, first_child=2)
    expected = ids_by_child(bench.run(whole))
    assert ids_by_child(bench.run(*whole.cut(4))) == expected


def test_children_without_seed_differ(bench):
    requests = [bench.request(1, seed=None) for _ in range(6)]
    assert len({outcome.text for outcome in bench.run(*requests)}) > 1


def test_completion_ids_exclude_terminator_and_decode_to_text(bench):
    for completion in bench.run(bench.request(8, sampling={"max_tokens": 40})):
        assert completion.text == bench.decode(completion.token_ids)
        assert completion.token_ids.dtype == np.int32
        assert bench.stop_id not in completion.token_ids


def test_finish_reason_stop_carries_the_stop_id(bench):
    completions = bench.run(bench.request(8, sampling={"max_tokens": LONG}))
    stopped = [c for c in completions if c.finish_reason == "stop"]
    assert stopped
    assert {c.stop_id for c in stopped} == {bench.stop_id}


def test_finish_reason_length_fills_max_tokens(bench):
    for completion in bench.run(bench.request(4, sampling={"max_tokens": 3})):
        if completion.finish_reason == "length":
            assert (len(completion.token_ids), completion.stop_id) == (3, None)
        else:
            assert len(completion.token_ids) < 3
    (one,) = bench.run(bench.request(1, sampling={"max_tokens": 1}))
    assert one.finish_reason == "length"


def test_stop_string_ends_the_turn_before_it(bench):
    stop = "e"
    sampling = {"max_tokens": 24, "stop_strings": (stop,)}
    free = texts(bench.run(bench.request(8, sampling={"max_tokens": 24})))
    stopped = bench.run(bench.request(8, sampling=sampling))
    cut = [c for c in stopped if stop in free[c.key.child_index]]
    assert cut
    for completion in cut:
        assert free[completion.key.child_index].partition(stop)[0].startswith(completion.text)
        assert completion.text == bench.decode(completion.token_ids)
        assert (completion.finish_reason, completion.stop_id) == ("stop", None)


@pytest.mark.parametrize("logprobs", ["none", "sum", "tokens"])
def test_logprobs_are_what_was_asked(bench, logprobs):
    for completion in bench.run(bench.request(3, sampling={"logprobs": logprobs})):
        assert (completion.logprob_sum is None) == (logprobs == "none")
        assert (completion.token_logprobs is None) == (logprobs != "tokens")
        if completion.token_logprobs is not None:
            assert len(completion.token_logprobs) == len(completion.token_ids)
            assert (completion.token_logprobs <= 0).all()
            assert completion.logprob_sum == pytest.approx(completion.token_logprobs.sum())


def test_ignore_eos_without_stops_goes_on_past_the_end_to_max_tokens(bench):
    sampling = {"max_tokens": LONG}
    ending = ids_by_child(
        [
            replace(c, token_ids=to_ids([*c.token_ids, c.stop_id]))
            for c in bench.run(bench.request(8, sampling=sampling))
            if c.finish_reason == "stop"
        ]
    )
    assert ending
    sampling |= {"ignore_eos": True, "stop_ids": ()}
    completions = bench.run(bench.request(8, sampling=sampling))
    for completion in completions:
        assert (len(completion.token_ids), completion.finish_reason) == (LONG, "length")
        assert completion.stop_id is None
        assert completion.text == bench.decode(completion.token_ids)
    for child, ids in ending.items():
        assert ids_by_child(completions)[child][: len(ids)] == ids


def test_ignore_eos_leaves_the_stop_ids_that_are_given(bench):
    sampling = {"max_tokens": LONG}
    expected = bench.run(bench.request(8, sampling=sampling))
    found = bench.run(bench.request(8, sampling=sampling | {"ignore_eos": True}))
    assert ids_by_child(found) == ids_by_child(expected)
    assert bench.stop_id in {completion.stop_id for completion in found}


def with_top(bench: Bench, n: int = 8, top: int = TOP, **sampling) -> list[Completion]:
    sampling = {"max_tokens": 24, "top_logprobs": top, "logprobs": "tokens"} | sampling
    return bench.run(bench.request(n, sampling=sampling))


@pytest.mark.parametrize("top", [1, TOP])
def test_top_logprobs_are_the_most_likely_and_the_tail_all_others(bench, top):
    for completion in with_top(bench, top=top):
        found = completion.top
        positions = len(completion.token_ids) + (completion.stop_id is not None)
        assert found.ids.shape == found.logprobs.shape == (positions, top)
        assert (found.ids.dtype, found.logprobs.dtype) == (np.int32, np.float32)
        assert (np.diff(found.logprobs) <= 0).all()
        assert all(len(set(row)) == top for row in found.ids.tolist())
        mass = np.exp(found.logprobs.astype(np.float64)).sum(axis=1)
        assert found.tail.shape == (positions,)
        assert (found.tail >= 0).all()
        assert mass + found.tail == pytest.approx(np.ones(positions), abs=1e-5)


def test_top_logprobs_hold_what_each_sampled_token_reports(bench):
    num_listed = 0
    for completion in with_top(bench):
        reported = completion.token_logprobs
        rows = zip(
            completion.token_ids,
            reported,
            completion.top.ids,
            completion.top.logprobs,
            strict=False,
        )
        for token, logprob, ids, logprobs in rows:
            if token in ids:
                num_listed += 1
                assert logprobs[ids.tolist().index(token)] == logprob
            else:
                assert logprob <= logprobs[-1]
    assert num_listed


def test_top_logprobs_teach_the_end_where_a_stop_id_ended_the_turn(bench):
    stopped = [c for c in with_top(bench, max_tokens=LONG) if c.finish_reason == "stop"]
    assert stopped
    assert any(c.stop_id in c.top.ids[len(c.token_ids)] for c in stopped)


def test_top_logprobs_of_a_greedy_turn_begin_with_what_it_says(bench):
    (completion,) = with_top(bench, n=1, temperature=0.0, max_tokens=12)
    said = completion.token_ids.tolist()
    if completion.stop_id is not None:
        said.append(completion.stop_id)
    assert completion.top.ids[:, 0].tolist() == said


def test_top_logprobs_are_of_the_distribution_before_temperature_and_truncation(bench):
    (plain,) = with_top(bench, n=1)
    (sharp,) = with_top(bench, n=1, temperature=0.3, top_p=0.5, top_k=2)
    assert sharp.top.ids[0].tolist() == plain.top.ids[0].tolist()
    assert sharp.top.logprobs[0] == pytest.approx(plain.top.logprobs[0], abs=1e-4)


def test_top_logprobs_end_where_a_stop_string_trims_the_turn(bench):
    for completion in with_top(bench, stop_strings=("e",)):
        positions = len(completion.token_ids) + (completion.stop_id is not None)
        assert len(completion.top.ids) == len(completion.top.tail) == positions


def test_top_logprobs_need_no_logprobs_of_the_sampled_tokens(bench):
    expected = {c.key.child_index: c.top.ids.tolist() for c in with_top(bench, n=3)}
    for completion in with_top(bench, n=3, logprobs="none"):
        assert completion.logprob_sum is completion.token_logprobs is None
        assert completion.top.ids.tolist() == expected[completion.key.child_index]
    for completion in with_top(bench, n=3, top=0):
        assert completion.top is None


def test_requests_may_be_added_while_others_run(bench):
    first = bench.request(SLOTS + 2)
    bench.add(first)
    outcomes = bench.step() + bench.step()
    second = bench.request(3)
    bench.add(second)
    outcomes += bench.finish()
    assert sorted(o.key for o in outcomes) == sorted([*first.keys, *second.keys])


def invalid_requests(bench: Bench) -> dict[str, Request]:
    return {
        "empty": bench.request(2, prompt=to_ids([])),
        "context": bench.request(2, prompt=to_ids([5] * CONTEXT)),
        "max_tokens": bench.request(1, sampling={"max_tokens": CONTEXT}),
        "token ids": bench.request(1, prompt=to_ids([5, bench.vocab_size])),
        "-1": bench.request(1, prompt=to_ids([5, -1])),
        "max_tokens is 0": bench.request(1, sampling={"max_tokens": 0}),
        "temperature": bench.request(1, sampling={"temperature": -1.0}),
        "top_p": bench.request(1, sampling={"top_p": 0.0}),
        "stop_strings": bench.request(1, sampling={"stop_strings": ("",)}),
        "top_logprobs is -1": bench.request(1, sampling={"top_logprobs": -1}),
        "this engine gives 0 to": bench.request(1, sampling={"top_logprobs": 1 << 20}),
    }


def test_invalid_requests_fail_without_disturbing_others(bench):
    good = bench.request(3)
    expected = texts(bench.run(good))
    bad = invalid_requests(bench)
    outcomes = bench.run(*bad.values(), good)
    failures = {o.key.parent_id: o for o in outcomes if isinstance(o, Failure)}
    for word, request in bad.items():
        failure = failures[request.parent_id]
        assert failure.reason == "invalid"
        assert word in failure.message
    assert texts([o for o in outcomes if isinstance(o, Completion)]) == expected
    assert len(outcomes) == sum(request.n for request in [*bad.values(), good])


def test_prompt_that_just_fits_is_answered(bench):
    max_tokens = 4
    prompt = np.resize(bench.encode(bench.opening), CONTEXT - max_tokens)
    (outcome,) = bench.run(bench.request(prompt=prompt, sampling={"max_tokens": max_tokens}))
    assert isinstance(outcome, Completion)


def test_prompts_too_long_for_one_step_together_are_answered_as_alone(bench):
    words = bench.encode(bench.opening)
    prompts = [np.resize(np.roll(words, turn), CONTEXT * 2 // 3) for turn in range(4)]
    requests = [bench.request(prompt=prompt, sampling={"max_tokens": 8}) for prompt in prompts]
    together = {o.key.parent_id: o.token_ids.tolist() for o in bench.run(*requests)}
    for request in requests:
        (alone,) = bench.run(request)
        assert together[request.parent_id] == alone.token_ids.tolist()


def test_stats_advance_with_the_work(bench):
    before = bench.stats()
    request = bench.request(2 * SLOTS, sampling={"max_tokens": 40})
    bench.add(request)
    assert bench.stats().waiting == 2 * SLOTS
    outcomes = bench.step()
    while bench.stats().steps == before.steps:
        outcomes += bench.step()
    during = bench.stats()
    assert 0 < during.running <= SLOTS
    assert during.running + during.waiting + len(outcomes) == 2 * SLOTS
    assert 0 < during.kv_use <= 1 or not bench.sees_cache
    assert during.steps == before.steps + 1
    outcomes += bench.finish()
    after = bench.stats()
    assert (after.running, after.waiting) == (0, 0)
    assert after.prompt_tokens - before.prompt_tokens == 2 * SLOTS * len(request.prompt)
    sampled = sum(len(o.token_ids) + (o.finish_reason == "stop") for o in outcomes)
    assert after.tokens - before.tokens == sampled


def test_siblings_share_their_prompt_in_the_cache(bench):
    before = bench.stats()
    # Another first token, so that nothing is cached from other tests.
    fresh = bench.encode(f"Once more: {bench.opening}{bench.opening}")
    bench.run(bench.request(4, prompt=fresh))
    cached = bench.stats().cached_tokens - before.cached_tokens
    assert 2 * len(fresh) < cached <= 3 * len(fresh)

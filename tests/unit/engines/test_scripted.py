"""The scripted engine's habits and faults."""

import pickle
import time
from collections import Counter

import pytest

from pipeline.engines.scripted import ScriptedConfig, ScriptedEngine
from pipeline.engines.scripted_author import DUPLICATE, OPEN_USER, decode
from schemas.errors import EngineError, SpecError
from schemas.records import Completion, Failure, Outcome, Request, Sampling, to_ids

END = 258
PROMPT = to_ids(list(b"system<user>"))


def ask(n: int, *, parent: str = "p", prompt: str = "hello", max_tokens: int = 400, **more):
    sampling = Sampling(max_tokens=max_tokens, stop_ids=(END,))
    ids = to_ids(list(prompt.encode()))
    return Request("000000", parent, 0, n, ids, sampling, **{"seed": 99} | more)


def started(incarnation: int = 0, **settings) -> ScriptedEngine:
    engine = ScriptedEngine(ScriptedConfig(**settings), incarnation)
    engine.start()
    return engine


def run(engine: ScriptedEngine, *requests: Request) -> list[Outcome]:
    for request in requests:
        engine.add(request)
    outcomes = []
    while engine.has_work():
        outcomes += engine.step()
    return outcomes


def rows(outcomes: list[Outcome]) -> dict:
    return {
        o.key: (o.text, o.token_ids.tolist(), o.finish_reason, o.stop_id, o.logprob_sum)
        if isinstance(o, Completion)
        else (o.reason, o.message)
        for o in outcomes
    }


HABITS = {
    "duplicate_share": 0.1,
    "empty_share": 0.1,
    "leak_share": 0.1,
    "truncate_share": 0.1,
    "fail_share": 0.1,
}


def test_rows_depend_on_seeds_alone():
    slow_and_narrow = started(3, max_num_seqs=3, tokens_per_step=7, **HABITS)
    fast_and_wide = started(8, max_num_seqs=500, tokens_per_step=64, **HABITS)
    requests = [ask(20, parent=f"p{i}", seed=i * 1000) for i in range(10)]
    expected = rows(run(slow_and_narrow, *requests))
    assert rows(run(fast_and_wide, *reversed(requests))) == expected


def test_habits_come_in_about_their_shares():
    outcomes = run(started(**HABITS), ask(2000))
    turns = [o for o in outcomes if isinstance(o, Completion)]
    seen = Counter(
        duplicate=sum(turn.text == DUPLICATE.decode() for turn in turns),
        empty=sum(turn.text == "" for turn in turns),
        leak=sum(OPEN_USER in turn.token_ids for turn in turns),
        truncate=sum(turn.finish_reason == "length" for turn in turns),
        fail=sum(isinstance(o, Failure) and o.reason == "engine" for o in outcomes),
    )
    assert all(120 < number < 280 for number in seen.values()), seen


def test_ordinary_turns_are_all_different_sentences():
    turns = run(started(), ask(5000))
    texts = [turn.text for turn in turns]
    long = [text for text in texts if len(text) > 40]
    assert len(set(long)) == len(long) > 3000
    assert all(text[0].isupper() and text.endswith(".") for text in texts)


def test_mean_and_spread_of_lengths_follow_the_settings():
    lengths = {
        sigma: sorted(len(t.text) for t in run(started(mean_tokens=120, sigma=sigma), ask(2000)))
        for sigma in (0.0, 0.8)
    }
    assert sum(lengths[0.0]) / 2000 == pytest.approx(120, rel=0.1)
    assert lengths[0.0][-1] < 2 * lengths[0.0][0]
    assert lengths[0.8][1900] > 4 * lengths[0.8][100]


def test_longer_turns_take_more_steps():
    def num_steps(mean_tokens: int) -> int:
        engine = started(mean_tokens=mean_tokens, sigma=0, tokens_per_step=1)
        run(engine, ask(1))
        return engine.stats().steps

    assert num_steps(200) > 3 * num_steps(40)


def test_engine_seeds_differ_between_incarnations():
    first, second = (
        {o.text for o in run(started(incarnation), ask(200, seed=None))} for incarnation in (0, 1)
    )
    assert len(first & second) < 40


def test_leak_decodes_to_the_marker():
    (turn,) = run(started(leak_share=1.0), ask(1))
    assert "<user>" in turn.text
    assert turn.text == decode(turn.token_ids)


def test_fail_start_raises():
    with pytest.raises(EngineError, match="fails to start"):
        ScriptedEngine(ScriptedConfig(fail_start=True)).start()


def test_die_after_finishes_so_many_and_raises():
    engine = started(die_after=5, max_num_seqs=4)
    engine.add(ask(20))
    outcomes = []
    with pytest.raises(EngineError, match="die_after"):
        while engine.has_work():
            outcomes += engine.step()
    assert 5 <= len(outcomes) < 5 + 4


def test_hang_after_stands_still_with_work():
    engine = started(hang_after=0)
    engine.add(ask(3))
    before = engine.stats()
    assert [engine.step() for _ in range(5)] == [[]] * 5
    assert engine.stats() == before
    assert engine.has_work()


def test_poison_kills_only_when_its_prompt_runs():
    engine = started(poison="arsenic")
    assert len(run(engine, ask(2))) == 2
    with pytest.raises(EngineError, match="parent bad"):
        run(engine, ask(1, parent="bad", prompt="old arsenic and lace"))


def test_faults_strike_the_named_incarnations_only():
    faults = {"fail_start": True, "die_after": 0, "poison": "hello", "faulty_incarnations": (0, 2)}
    assert len(run(started(1, **faults), ask(3))) == 3
    with pytest.raises(EngineError):
        started(2, **faults)


def test_settings_from_a_spec_become_a_config():
    settings = {"step_s": 0.5, "die_after": 3, "faulty_incarnations": [0, 1]}
    config = ScriptedConfig.from_settings(settings)
    assert config == ScriptedConfig(step_s=0.5, die_after=3, faulty_incarnations=(0, 1))
    assert pickle.loads(pickle.dumps(config)) == config


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"stepp_s": 1}, "stepp_s: unknown"),
        ({"leak_share": 1.5}, "leak_share: found 1.5"),
        ({"leak_share": 0.6, "empty_share": 0.6}, "add up to at most 1"),
        ({"max_num_seqs": 0}, "max_num_seqs: found 0"),
    ],
)
def test_wrong_settings_are_refused_by_name(settings, complaint):
    with pytest.raises(SpecError, match=complaint):
        ScriptedConfig.from_settings(settings)


def test_step_s_is_the_time_a_step_takes():
    engine = started(step_s=0.02, tokens_per_step=1000)
    began = time.monotonic()
    run(engine, ask(1))
    assert time.monotonic() - began >= 0.02

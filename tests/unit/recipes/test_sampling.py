"""How turns are sampled and what ends them, with what recipes say where a spec does not."""

from dataclasses import replace

import pytest

from pipeline.dialects.scripted import scripted_dialect
from pipeline.recipes import RECIPES
from pipeline.tree.recipe import LevelRule, with_stops
from schemas.dialect import Dialect
from schemas.records import Sampling
from tests.golden.methods import level, make_method_spec

DIALECT = Dialect(
    tokenizer="t",
    template="t",
    vocab_size=100,
    start=(1,),
    text_stop_ids=(2, 3, 4),
    after_user=(3, 10),
    ask_assistant=(3, 10),
    after_assistant=(4, 11),
    user_stop_ids=(3, 10),
    user_stop_strings=("<answer>",),
    assistant_stop_ids=(4,),
)
"""Of a chat model: 2 ends texts, 3 questions, 4 answers, and each of them is a text's end."""


def rules(method: str, **changes) -> list[LevelRule]:
    spec = make_method_spec(method, **changes)
    return [RECIPES[spec.recipe].rule(spec, n) for n in range(1, len(spec.levels) + 1)]


def stops(rule: LevelRule, dialect: Dialect = DIALECT) -> tuple:
    sampling = with_stops(rule, dialect)
    return sampling.stop_ids, sampling.stop_strings, sampling.ignore_eos


def test_stops_turns_end_as_their_role_does_and_as_the_spec_says():
    levels = [level("user", stop=["###"]), level("assistant", stop=["END"])]
    question, answer = rules("tg-sft", levels=levels, turns={})
    assert stops(question) == ((3, 10), ("<answer>", "###"), False)
    assert stops(answer) == ((4,), ("END",), False)


@pytest.mark.parametrize("method", ["context-free", "tg-pt"])
def test_stops_plain_text_ends_as_texts_do(method):
    (rule,) = rules(method, levels=[level("text", stop=["END"])])
    assert stops(rule) == ((2, 3, 4), ("END",), False)


def test_stops_whole_conversations_end_only_where_no_question_does():
    (rule,) = rules("context-free-reasoning")
    assert stops(rule) == ((2, 4), (), True)


def test_stops_whole_conversations_go_on_where_each_end_closes_questions_too():
    (rule,) = rules("context-free-reasoning")
    assert stops(rule, scripted_dialect()) == ((), (), True)


@pytest.mark.parametrize("method", ["context-free", "context-free-reasoning", "tg-pt"])
def test_stops_ignore_eos_leaves_no_stops_but_those_of_the_spec(method):
    (rule,) = rules(method, levels=[level("text", ignore_eos=True, stop=["END"])])
    assert stops(rule) == ((), ("END",), True)


def test_stops_ignore_eos_holds_for_turns_too():
    (rule,) = rules("tg-sft", levels=[level("user", ignore_eos=True)], turns={})
    assert stops(rule) == ((), (), True)


def test_rule_context_free_samples_untouched_with_all_logprobs():
    (rule,) = rules("context-free", levels=[{"role": "text", "fanout": 7, "max_tokens": 9}])
    assert rule.asked == rule.fanout == 7
    untouched = Sampling(max_tokens=9, logprobs="tokens", top_logprobs=4)
    assert with_stops(rule, DIALECT) == replace(untouched, stop_ids=(2, 3, 4))


def test_rule_magpie_questions_at_one_end_at_a_line_and_answers_are_one_and_greedy():
    levels = [
        {"role": "user", "fanout": 9, "max_tokens": 9},
        {"role": "assistant", "max_tokens": 9},
    ]
    question, answer = rules("magpie", levels=levels)
    assert (question.asked, question.fanout) == (9, 9)
    assert (question.sampling.temperature, question.sampling.stop_strings) == (1.0, ("\n",))
    assert (answer.asked, answer.fanout) == (1, 1)
    assert (answer.sampling.temperature, answer.sampling.stop_strings) == (0.0, ())


def test_rule_magpie_spec_says_otherwise():
    question = {"role": "user", "fanout": 8, "max_tokens": 9, "stop": [], "oversample": 1.5}
    answer = {"role": "assistant", "fanout": 4, "max_tokens": 9, "temperature": 0.7}
    first, second = rules("magpie", levels=[question, answer])
    assert (first.asked, first.sampling.stop_strings) == (12, ())
    # Only a greedy answer is asked for once: 1.5 is what the second level has by default.
    assert (second.asked, second.sampling.temperature) == (6, 0.7)


def test_rule_magpie_several_greedy_answers_are_refused():
    answer = {"role": "assistant", "fanout": 2, "max_tokens": 9}
    with pytest.raises(ValueError, match=r"levels\.1\.temperature: 0\.0 is greedy, so all 2"):
        rules("magpie", levels=[level("user"), answer])


def test_rule_self_distill_asks_once_and_falls_back_to_the_reference():
    (rule,) = rules("self-distill", levels=[{"role": "assistant", "max_tokens": 9}])
    assert (rule.asked, rule.fanout, rule.falls_back) == (1, 1, True)


@pytest.mark.parametrize("method", ["tg-sft", "magpie", "contextual", "rehearsal", "topics"])
def test_rule_no_other_method_falls_back(method):
    assert not any(rule.falls_back for rule in rules(method))


def test_rule_contextual_asks_for_as_many_as_it_keeps():
    (rule,) = rules("contextual", levels=[{"role": "assistant", "fanout": 5, "max_tokens": 9}])
    assert rule.asked == rule.fanout == 5


def test_rule_topics_are_short_lines_at_temperature_one():
    (rule,) = rules("topics", levels=[{"role": "assistant", "fanout": 5, "say": "Name one."}])
    sampling = rule.sampling
    assert (sampling.max_tokens, sampling.temperature, sampling.stop_strings) == (24, 1.0, ("\n",))
    assert (rule.say, rule.asked) == ("Name one.", 10)


def test_rule_repeats_are_looked_for_among_answers_to_one_prompt_or_all_openings():
    among = {m: rules(m)[0].compared for m in RECIPES}
    assert {m for m, where in among.items() if where == "siblings"} == {
        "contextual",
        "self-distill",
    }
    deeper = [rule.compared for m in RECIPES for rule in rules(m)[1:]]
    assert set(deeper) == {"siblings"}


def test_rule_groups_critique_and_what_is_said_are_those_of_the_level():
    critique = {"critique": "What is wrong?", "rewrite": "Again.", "engine": "third"}
    levels = [
        level("user", engine="first"),
        level("assistant", engine="second", critique=critique),
        level("assistant", say="And more?"),
    ]
    found = rules("tg-sft", levels=levels, turns={})
    assert [rule.group for rule in found] == ["first", "second", "main"]
    assert [rule.say for rule in found] == [None, None, "And more?"]
    assert [rule.critique and rule.critique.engine for rule in found] == [None, "third", None]


def test_rule_judge_is_asked_about_its_roles_only():
    curation = {"filters": [{"filter": "judge", "roles": ["assistant"]}]}
    judged = [rule.judge is not None for rule in rules("tg-sft", curation=curation)]
    assert judged == [False, True, False, True]

"""Plain texts without a template, and answers to what we say: every filter does the right thing.

Above a plain text stand no system prompt, then the lead-in and the texts that it continues. Above
an answer to a level's `say` our own messages stand between the answers.
"""

import numpy as np
import pytest

from pipeline.curate.filters import FILTERS
from pipeline.curate.measure import Measurer
from pipeline.curate.shingles import shingles
from pipeline.curate.signature import signatures
from pipeline.embedders.hashing import HashingEmbedder
from pipeline.tree.expand import attach, expand
from pipeline.tree.frontier import frontier_of
from pipeline.tree.turns import turns_of
from schemas.records import RootRow
from tests.unit.curate.prose import ANSWER, GERMAN, GOOD, LISTED
from tests.unit.curate.turns import fallen, make_spec, make_turns, measure
from tests.unit.samples import DIALECT, answer, by_key, make_run, plant_some
from tests.unit.samples import make_spec as make_generation_spec

LEAD_IN = "Here are some useful facts about the rivers of the north and what they carry:"
FIRST = "The river rises in the mountains and flows for three hundred kilometres to the sea."
TEXTS = ("", LEAD_IN, FIRST, "Floods became more frequent once it had been straightened.")
BARE = DIALECT.model_copy(
    update={
        "template": "",
        "after_user": (),
        "ask_assistant": (),
        "after_assistant": (),
        "leak_ids": (7,),
        "leak_strings": (),
    }
)
"""A model without a template; 7 is a control token of it, such as one for images."""
NEEDS_MORE = ("judge", "decontaminate")


def texts(*found, above=TEXTS, **changes):
    return make_turns(*found, role="text", above=[above], **changes)


@pytest.mark.parametrize("name", sorted(set(FILTERS) - set(NEEDS_MORE)))
def test_ordinary_continuations_pass_every_filter(name):
    settings = {"allowed": ("en", "de")} if name == "language" else {}
    turns = texts(ANSWER, LISTED, GERMAN)
    assert fallen(turns, name, dialect=BARE, **settings) == [False] * 3


def test_filters_look_at_plain_texts_unless_they_are_about_dialogues_alone():
    spec = make_spec(*(name for name in FILTERS if name != "decontaminate"))
    blind = {entry.filter for entry in spec.filters if "text" not in entry.roles}
    assert blind == {"gives_away", "disagrees", "judge"}


def test_path_repetition_of_a_text_looks_at_all_texts_that_it_continues():
    again = [text.upper() for text in TEXTS[1:]]
    assert fallen(texts(*again, ANSWER), "path_repetition") == [True, True, True, False]
    assert fallen(texts(FIRST, above=("", LEAD_IN)), "path_repetition") == [False]
    alone = measure(texts(FIRST, above=("",)), "path_repetition")
    assert np.isnan(alone.column("path_similarity")).all()


def test_echo_of_a_text_is_that_of_the_text_it_continues():
    turns = texts(TEXTS[-1], FIRST, LEAD_IN)
    assert fallen(turns, "echo") == [True, False, False]
    assert fallen(texts(LEAD_IN, above=("", LEAD_IN)), "echo") == [True]
    assert fallen(texts(LEAD_IN, above=("",)), "echo") == [False]


def test_truncated_texts_are_those_that_filled_their_budget_whatever_the_template_opens():
    thinking = DIALECT.model_copy(
        update={
            "reasoning_close": (61,),
            "reasoning_open": "<think>",
            "reasoning_end": "=",
            "ask_assistant": (*DIALECT.ask_assistant, 60),
        }
    )
    assert fallen(texts("<think>Hm"), "truncated", dialect=thinking) == [False]
    assert fallen(texts("Hm", finish_reason="length"), "truncated", dialect=thinking) == [True]


def test_role_leak_of_a_text_is_a_control_token():
    turns = texts("AB", "AB", "user: B", token_ids=[[65, 7, 66], [65, 66], [65]])
    assert fallen(turns, "role_leak", dialect=BARE) == [True, False, False]
    without = BARE.model_copy(update={"leak_ids": ()})
    assert fallen(turns, "role_leak", dialect=without) == [False] * 3


def test_refusals_in_plain_texts_are_found():
    text = "As an AI language model, I have never seen a river."
    assert fallen(texts(text, ANSWER), "refusal") == [True, False]
    assert fallen(texts(text), "refusal", roles=("assistant",)) == [False]


def test_plain_texts_are_shingled_by_words():
    found = Measurer(make_spec(duplicates="near"), BARE)(texts(*GOOD))
    expected = signatures([shingles(text, "assistant") for text in GOOD])
    assert found.signatures.tolist() == expected.tolist()


@pytest.mark.parametrize(("query", "close"), [("parent", 0), ("topic", 1)])
def test_relevance_of_a_text_is_to_its_parent_or_to_the_lead_in(query, close):
    spec = make_spec(diversity={"query": query})
    found = Measurer(spec, BARE, embed=HashingEmbedder().embed)(texts(TEXTS[-1], LEAD_IN))
    relevance = found.column("relevance")
    assert relevance[close] == 1
    assert relevance[1 - close] < 0.5


def test_relevance_of_a_text_from_nothing_is_not_known():
    for query in ("parent", "topic"):
        spec = make_spec(diversity={"query": query})
        turns = texts(ANSWER, above=("", ""))
        found = Measurer(spec, BARE, embed=HashingEmbedder().embed)(turns)
        assert np.isnan(found.column("relevance")).all()


ASKS = ("Name an area of knowledge.", "Name a narrower one.", "Name one topic within that.")
PATH = ("", ASKS[0], "Biology of the seas", ASKS[1], "Deep sea animals")


def topics(*found, above=PATH, asked=ASKS[2]):
    return make_turns(*found, above=[above], asked=asked)


def test_path_repetition_of_a_topic_looks_at_earlier_topics_and_not_at_what_we_say():
    again = topics("biology of the seas.", "Deep Sea Animals", *ASKS, "Squids of the deep")
    expected = [True, True, False, False, False, False]
    assert fallen(again, "path_repetition") == expected
    unasked = topics(*again.texts, asked="")
    assert fallen(unasked, "path_repetition") == expected


def test_path_repetition_of_a_first_topic_has_nothing_to_look_at():
    first = topics("Biology of the seas", ASKS[0], above=("",), asked=ASKS[0])
    assert np.isnan(measure(first, "path_repetition").column("path_similarity")).all()


def test_echo_of_a_topic_is_that_of_what_we_said():
    turns = topics(f"{ASKS[2].upper()}!", "Deep sea animals in it")
    assert fallen(turns, "echo") == [True, False]


def test_relevance_of_a_topic_is_to_the_topic_above_it():
    turns = topics("Deep sea animals", ASKS[2])
    spec = make_spec(diversity={"query": "parent"})
    relevance = Measurer(spec, DIALECT, embed=HashingEmbedder().embed)(turns).column("relevance")
    assert relevance[0] == 1
    assert relevance[1] < 0.5


def grown(recipe, levels, rows):
    """The turns of the last of some levels, with nothing dropped."""
    spec = make_generation_spec(recipe=recipe, levels=levels, roots={"trees": 1})
    run = make_run(spec)
    parents = plant_some(run, range(1), rows)
    for level in range(1, len(levels) + 1):
        rule = run.recipe.rule(spec, level)
        requests = expand(run, f"w{level}", parents, rule)
        made = attach(run, parents, requests, by_key(answer(requests)), rule)
        turns = turns_of(run, parents, made)
        parents = frontier_of(run, parents, made) if level < len(levels) else parents
    return turns


def again(turns, back):
    """The same turns, had they said what was said so many turns before them."""
    said = [turns[row].above[-back] for row in range(len(turns))]
    return make_turns(*said, role=turns.role, above=turns.above, families=turns.families.tolist())


def test_continuations_of_a_run_are_compared_with_all_texts_above_them():
    level = {"role": "text", "fanout": 2, "oversample": 1, "max_tokens": 60}
    turns = grown("tg-pt", [level] * 3, [RootRow(text=LEAD_IN)])
    assert turns.role == "text"
    assert all(above[:2] == ("", LEAD_IN) and len(above) == 4 for above in turns.above)
    for back in (1, 2, 3):
        assert all(fallen(again(turns, back), "path_repetition"))


def test_topics_of_a_run_are_compared_with_the_topics_above_them():
    levels = [
        {"role": "assistant", "fanout": 2, "oversample": 1, "max_tokens": 60, "say": ask}
        for ask in ASKS
    ]
    turns = grown("topics", levels, [RootRow()])
    for above in turns.above:
        assert above[1] == ASKS[0]
        assert above[3] == ASKS[1]
    for row in range(len(turns)):
        for place, repeats in ((1, False), (2, True), (3, False), (4, True)):
            above = turns[row].above
            turn = make_turns(above[place], above=[above])
            assert fallen(turn, "path_repetition") == [repeats]

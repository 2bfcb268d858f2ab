"""Every filter on any text: numbers, never an error; the same alone and in company."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.curate.benchmark import benchmark_index
from pipeline.curate.filters import FILTERS
from pipeline.curate.measure import Measurer
from pipeline.curate.personal import find, mask
from pipeline.curate.reading import Block
from pipeline.curate.shingles import shingles
from pipeline.curate.words import normalise
from tests.unit.curate.prose import GOOD
from tests.unit.curate.texts import any_text
from tests.unit.curate.turns import fallen, make_spec, make_turns
from tests.unit.samples import DIALECT

MEASURED = [
    *(name for name in FILTERS if name != "judge"),
    *({"filter": "disagrees", "final": final} for final in ("choice", "line")),
    {"filter": "disagrees", "final": "pattern", "pattern": r"(?m)^(?:so|thus)?\W*(\w+)"},
]
INDEX = benchmark_index(GOOD, 13)
PIECES = (
    *("12", "+49 30 123456", "a@b.org", "192.0.2.1", "...", "#", "\n- ", "[Your ", "]", "I can't"),
    *("1,234.50", "-3/4", "####", "\\boxed{", "}", "(B)", "The answer is", "C)", "your turn"),
    *("the", "river", "käse", "река", "川", "👍", "\x00", "\u202e", "٣", "²", "ß", "İ", "\ufdfa"),
)
MIXED = st.lists(st.sampled_from(PIECES), max_size=60)
TEXTS = st.one_of(
    any_text, MIXED.map(" ".join), MIXED.map("".join), st.sampled_from([*GOOD, "", " "])
)
ABOVE = st.lists(TEXTS, min_size=1, max_size=6).map(tuple)
ROLES = st.sampled_from(["user", "assistant", "text"])
measure_all = Measurer(make_spec(*MEASURED, duplicates="near"), DIALECT, benchmark=INDEX)


@st.composite
def turns(draw, max_size=6):
    """Some families with any texts above them."""
    above = draw(st.lists(ABOVE, min_size=1, max_size=3))
    texts = draw(st.lists(TEXTS, max_size=max_size))
    families = [draw(st.integers(0, len(above) - 1)) for _ in texts]
    return make_turns(
        *texts,
        role=draw(ROLES),
        above=above,
        references=[draw(TEXTS) for _ in above],
        asked=draw(st.sampled_from(["", "", "And then?"])),
        families=families,
        finish_reason=draw(st.sampled_from(["stop", "length", ""])),
        logprob_sum=draw(st.one_of(st.floats(max_value=0.0), st.just(float("nan")))),
    )


def same(found, expected):
    """Two measures are the same in all numbers."""
    assert found.names == expected.names
    np.testing.assert_array_equal(found.scores, expected.scores)
    assert found.signatures.tolist() == expected.signatures.tolist()


@given(turns())
def test_any_turn_gives_finite_numbers_or_none(given_turns):
    found = measure_all(given_turns)
    assert found.scores.shape == (len(given_turns), len(found.names))
    assert found.scores.dtype == np.float32
    assert not np.isinf(found.scores).any()
    assert not (found.scores < 0).any(axis=0)[[n != "mean_logprob" for n in found.names]].any()
    shares = {"duplicate_lines", "top_2gram", "char_repetition", "path_similarity", "echo"}
    for name in found.names:
        if name in shares or name.startswith("same_"):
            assert not (found.column(name) > 1).any()


@given(TEXTS)
def test_any_text_agrees_with_itself_or_has_no_final_answer(text):
    found = measure_all(make_turns(text, references=[text]))
    same = [found.column(name)[0] for name in found.names if name.startswith("same_")]
    assert len(same) == 4
    assert all(np.isnan(value) or value == 1 for value in same)


@given(turns(), st.integers(0, 6), st.integers(0, 6))
def test_a_part_of_turns_has_the_same_numbers(given_turns, start, stop):
    stop = min(stop, len(given_turns))
    start = min(start, stop)
    whole, part = measure_all(given_turns), measure_all(given_turns.part(start, stop))
    same(part, whole.take(np.arange(start, stop)))


def test_blocks_of_turns_have_the_same_numbers_as_single_ones():
    given_turns = make_turns(*(GOOD * 20), families=[0] * 200)
    whole = measure_all(given_turns)
    for row in (0, 63, 64, 127, 199):
        same(measure_all(given_turns.part(row, row + 1)), whole.take(np.array([row])))


@given(turns(max_size=3), st.data())
def test_a_stricter_threshold_drops_no_less(given_turns, data):
    name, setting, loose, strict = data.draw(
        st.sampled_from(
            [
                ("length", "min_chars", 3, 30),
                ("length", "max_chars", 30, 3),
                ("repetition", "top_2gram", 0.5, 0.1),
                ("repetition", "duplicate_5gram", 0.5, 0.1),
                ("char_repetition", "max_share", 0.5, 0.1),
                ("language", "min_probability", 0.2, 0.8),
                ("symbols", "max_symbol_to_word", 1.0, 0.1),
                ("alphabet", "min_share", 0.2, 0.9),
                ("path_repetition", "max_similarity", 0.9, 0.2),
                ("echo", "max_share", 0.9, 0.2),
                ("likelihood", "min_mean", -9.0, -1.0),
                ("profanity", "max_share", 0.5, 0.0),
                ("decontaminate", "max_share", 0.5, 0.0),
            ]
        )
    )
    benchmark = INDEX if name == "decontaminate" else None
    few = fallen(given_turns, name, benchmark=benchmark, **{setting: loose})
    many = fallen(given_turns, name, benchmark=benchmark, **{setting: strict})
    assert all(b or not a for a, b in zip(few, many, strict=True))


@given(turns(max_size=4))
def test_a_block_reads_texts_as_each_alone(given_turns):
    block = Block([given_turns[row] for row in range(len(given_turns))], DIALECT)
    for row, reading in enumerate(block.readings()):
        assert reading.normalised == normalise(given_turns.texts[row])
        own = shingles(given_turns.texts[row], given_turns.role)
        assert reading.shingles(given_turns.role).tolist() == own.tolist()
        before = shingles(given_turns[row].before[-1], "user")
        assert reading.shingles("user", back=1).tolist() == before.tolist()


@given(TEXTS)
def test_findings_stand_in_order_and_masking_leaves_the_rest(text):
    findings, end, rest = find(text), 0, ""
    for start, stop, kind in findings:
        assert end <= start < stop
        rest, end = f"{rest}{text[end:start]}<{kind}>", stop
    assert mask(text) == rest + text[end:]


@pytest.mark.parametrize(
    "unit",
    [
        *("a", "1", "1 ", "1.", "1-", "+1 ", "a.", "a@", "a@b.", "@", "A1B2", "2001:", "2:", "["),
        *(
            "word ",
            "the river ",
            "\u5ddd",
            "\U0001f44d",
            "e\u0301",
            "#",
            "# ",
            "\n",
            "\n- x",
            "...",
        ),
        *("a@b.org ", "93.184.216.34 ", "[your ", "I can't ", "[", "\x00", " ", "ass ", "4111 "),
        *("\\boxed{", "{", "####", "answer ", "1,111", "1/", "((B", "\\frac{1}", "$", "option "),
    ],
)
@pytest.mark.timeout(30)
def test_a_turn_of_a_hundred_kilobytes_is_measured(unit):
    text = unit * (100_000 // len(unit.encode()))
    for role in ("user", "assistant", "text"):
        turns = make_turns(text, role=role, above=[("", text, text)], references=[text])
        found = measure_all(turns)
        assert found.column("chars").tolist() == [len(text.strip())]

"""What a text comes to in the end."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.curate.final_answer import (
    READ_CHARS,
    find_choice,
    find_line,
    find_number,
    find_pattern,
)

FAR = "and so on " * READ_CHARS


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("She pays 3 x 4 = 12 dollars.", "12"),
        ("That makes $1,234.50 in all.", "1234.5"),
        ("12.00", "12"),
        ("It is -5", "-5"),
        ("It is \N{MINUS SIGN}5.", "-5"),
        ("A loss of -$5.25", "-5.25"),
        ("From 10-5", "5"),
        ("half, or 1/2", "1/2"),
        (".5", "0.5"),
        ("50%", "50"),
        ("1,2,3", "3"),
        ("about 2.5e3 litres", "2500"),
        ("\N{FULLWIDTH DIGIT FOUR}\N{FULLWIDTH DIGIT TWO}", "42"),
        ("\u7b54\u6848\u662f5\u3002", "5"),
        (f"7 {FAR} 8", "8"),
    ],
)
def test_number_is_the_last_one(text, number):
    assert find_number(text) == Fraction(number)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3 + 4 = 7\n#### 7\nI hope that these 2 lines help.", "7"),
        ("#### $1,000\nthat is 10 times 100", "1000"),
        ("#### Step 4: the sum\nIt is 9.", "9"),
        (r"So \boxed{12} of the 30 were red.", "12"),
        (r"So \boxed{\frac{3}{4}} of the 12 cakes.", "3/4"),
        (r"First \boxed{1}, then \boxed{2}, out of 3.", "2"),
        (r"So \boxed{x}, which is 3.", "3"),
    ],
)
def test_number_that_is_marked_goes_first(text, number):
    assert find_number(text) == Fraction(number)


@pytest.mark.parametrize("text", ["", "None at all.", "H2O and CO2", "v1.2.3", f"7 {FAR}"])
def test_number_may_be_missing(text):
    assert find_number(text) is None


@given(st.fractions(), st.sampled_from(["", "It is ", "x = ", "\n#### "]))
def test_number_any_ratio_is_read_back(value, before):
    assert find_number(f"{before}{value}.") == value


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3), st.text(max_size=20))
def test_number_commas_and_trailing_zeros_do_not_matter(value, before):
    assert find_number(f"{before}\n{value:,f}00") == Fraction(value)


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        *(("B", "B"), ("(b)", "B"), ("**B**.", "B"), ("B) Paris", "B"), ("#### B", "B")),
        ("The answer is B", "B"),
        ("The correct answer to this question would be **(C)** Paris.", "C"),
        ("Answer: D, since A and B are too small (C).", "D"),
        ("A) one\nB) two\nThe best choice is A.", "A"),
        ("Neither (A) nor (B) will do, so take option C.", "C"),
        ("It cannot be (A), hence (B).", "B"),
        ("The answer is A. No: the answer is B.", "B"),
        (r"Hence \boxed{\text{(E)}}, not (A).", "E"),
        (f"The answer is A {FAR}\nB", "B"),
    ],
)
def test_choice_is_the_letter_of_an_option(text, letter):
    assert find_choice(text) == letter


@pytest.mark.parametrize(
    "text",
    [
        *("", "Paris", "A river carries sand.", "f(x) is even.", "AC", "The answer is Paris."),
        *("I think so.", "The answer is I think 5.", "In my answer I say so.", "answer(s)"),
    ],
)
def test_choice_may_be_missing(text):
    assert find_choice(text) is None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Let us see.\n\n**Paris.**\n```\n", "paris"),
        ("- The  Seine", "the seine"),
        ("one\ntwo", "two"),
        ("1,000.00", Fraction(1000)),
        ("-5", Fraction(-5)),
        ("x = -5", "x = -5"),
        ("\N{OK HAND SIGN}", "\N{OK HAND SIGN}"),
        ("two\n...\n---\n===", "two"),
        ("...", None),
        ("", None),
    ],
)
def test_line_is_the_last_that_says_something(text, line):
    assert find_line(text) == line


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("result: 5 result: 6.0", Fraction(6)),
        ("result: (Paris)", "(paris)"),
        ("Result: 5", None),
        ("result: !", None),
        ("result: 5" + FAR, None),
    ],
)
def test_pattern_finds_what_its_group_holds_last(text, found):
    assert find_pattern(text, r"result: (\S+)") == found


def test_pattern_with_a_group_that_takes_no_part_finds_nothing():
    assert find_pattern("b", "(a)?b") is None
    assert find_pattern("ab b", "(a)?b") == "a"

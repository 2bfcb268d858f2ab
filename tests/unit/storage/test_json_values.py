import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.json_values import Unreadable, json_document, json_lines, text_lines

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


class Dribble(io.StringIO):
    """A text of which a read gives a few characters at most."""

    def read(self, size=-1):
        return super().read(min(size, 3))


def numbered(values):
    return list(enumerate(values, start=1))


@given(st.lists(VALUES, max_size=6), st.sampled_from([None, 1]), st.booleans())
def test_json_document_gives_the_elements_of_an_array(values, indent, ascii_only):
    text = json.dumps(values, indent=indent, ensure_ascii=ascii_only)
    assert list(json_document(Dribble(f" {text}\n"))) == numbered(values)


@given(st.lists(VALUES.filter(lambda value: not isinstance(value, list)), max_size=6))
def test_json_document_gives_values_that_stand_one_after_the_other(values):
    text = "\n".join(map(json.dumps, values))
    assert list(json_document(Dribble(text))) == numbered(values)


@given(st.lists(VALUES, min_size=1, max_size=4), st.data())
def test_json_document_that_is_cut_off_is_refused(values, data):
    text = json.dumps(values)
    cut = text[: data.draw(st.integers(1, len(text) - 1))]
    with pytest.raises(ValueError):
        list(json_document(Dribble(cut)))


@pytest.mark.parametrize("text", ["[1,]", "[1 2]", "[1] 2", "[,1]", "{", "[1}", "nul", "[1],"])
def test_json_document_of_another_form_is_refused(text):
    with pytest.raises(ValueError):
        list(json_document(io.StringIO(text)))


def lines_of(*lines):
    return io.BytesIO(b"\n".join(lines))


def test_json_lines_give_values_by_the_line_they_stand_on():
    stream = lines_of(b"\xef\xbb\xbf[1]", b"", b"  \r", '"\u2028\x85"'.encode(), b'{"a": NaN}\r')
    found = list(json_lines(stream))
    assert [number for number, _ in found] == [1, 4, 5]
    assert found[:2] == [(1, [1]), (4, "\u2028\x85")]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{", "not JSON: Expecting property name"),
        (b'{"a": 1}}', "Extra data, at character 9"),
        (b'{"a": "\xff"}', "not UTF-8: found the byte 0xff"),
        (b"[" * 100_000, "not JSON that can be read"),
        (b"9" * 5000, "not JSON that can be read"),
    ],
)
def test_json_line_without_a_value_says_why_and_the_next_one_is_read(line, said):
    (one, bad), (two, good) = json_lines(lines_of(line, b'"next"'))
    assert isinstance(bad, Unreadable) and said in bad.reason
    assert (one, two, good) == (1, 2, "next")


def test_text_lines_are_without_the_white_space_around_them():
    stream = lines_of(b"  indented ", b"", b"with\x0cform feed\r", "\u3000".encode(), b"last\t")
    assert list(text_lines(stream)) == [(1, "indented"), (3, "with\x0cform feed"), (5, "last")]


def test_json_lines_keep_the_white_space_of_their_texts():
    assert list(json_lines(lines_of(b' " indented "  '))) == [(1, " indented ")]

"""Trimming: ids without what ended the turn, and text == decode(ids), always."""

from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.engines.trim import trim_stop_id, trim_stop_string
from schemas.records import to_ids

VOCABULARY = ["", "a", "b", "ab", "ba", "aab", " ", "the end", "end", ".", "\n\n", "n\n"]
BYTES = st.lists(st.integers(0, 255), max_size=12)
WORDS = st.lists(st.integers(0, len(VOCABULARY) - 1), max_size=12)


def decode_words(ids) -> str:
    return "".join(VOCABULARY[i] for i in ids)


def decode_utf8(ids) -> str:
    return bytes(map(int, ids)).decode(errors="replace")


@given(WORDS, st.sampled_from(["a", "b", "bb", "the", "end", "ab.", "\n\n", "d\n"]))
@example([7], "end")
@example([3, 2], "bb")
def test_trim_stop_string_keeps_the_longest_prefix_before_it(sampled, stop):
    kept, text, stop_id = trim_stop_string(to_ids(sampled), stop, decode_words)
    before = decode_words(sampled).partition(stop)[0]
    assert kept.tolist() == sampled[: len(kept)]
    assert text == decode_words(kept)
    assert stop_id is None
    assert before.startswith(text)
    if len(kept) < len(sampled):
        assert not before.startswith(decode_words(sampled[: len(kept) + 1]))


@given(BYTES, st.sampled_from(["a", "é", "\n", "日"]))
def test_trim_stop_string_with_tokens_inside_characters_never_leaves_the_stop(sampled, stop):
    sampled = [*sampled, *stop.encode()]
    kept, text, _ = trim_stop_string(to_ids(sampled), stop, decode_utf8)
    assert text == decode_utf8(kept)
    assert stop not in text


def test_trim_stop_string_starting_inside_a_token_drops_that_token():
    tokens = ["Fine", ". \nUs", "er:"]
    trimmed = trim_stop_string(
        to_ids([0, 1, 2]), "\nUser:", lambda ids: "".join(tokens[i] for i in ids)
    )
    assert (trimmed.token_ids.tolist(), trimmed.text) == ([0], "Fine")


def test_trim_stop_string_that_does_not_occur_keeps_all():
    trimmed = trim_stop_string(to_ids([1, 2]), "zebra", decode_words)
    assert trimmed.token_ids.tolist() == [1, 2]


@given(WORDS.filter(bool))
def test_trim_stop_id_drops_and_names_the_last(sampled):
    trimmed = trim_stop_id(to_ids(sampled), decode_words)
    assert trimmed.token_ids.tolist() == sampled[:-1]
    assert trimmed.text == decode_words(sampled[:-1])
    assert trimmed.stop_id == sampled[-1]

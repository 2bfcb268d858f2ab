"""The measurer: which columns, vectors and relevance, and whose fault a failure is."""

import pickle
import unicodedata

import numpy as np
import pytest

from pipeline.curate import SELECTION_VERSION
from pipeline.curate.filters import FILTERS
from pipeline.curate.measure import Measurer
from pipeline.curate.signature import DESCRIPTION, PERMUTATIONS
from pipeline.curate.vectors import cosines, quantise
from pipeline.curate.versions import TEXT, signed_here, used_versions
from schemas.curation_spec import CurationSpec, DiversitySpec
from schemas.errors import FilterError, SpecError
from tests.unit.curate.turns import make_spec, make_turns, measure
from tests.unit.samples import DIALECT

LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Spelling:
    """An embedder that counts letters, and remembers what it was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, texts):
        self.asked += texts
        rows = [[text.lower().count(letter) for letter in LETTERS] for text in texts]
        return np.array(rows, dtype=np.float32).reshape(len(texts), len(LETTERS))


def placed(turns, embed, **diversity):
    spec = make_spec("length", diversity=diversity)
    return Measurer(spec, DIALECT, embed=embed)(turns)


def test_columns_are_those_of_the_filters_in_order_and_each_stands_once():
    turns = make_turns("Some words.", "Others.")
    entries = ["likelihood", "length", {"filter": "length", "min_chars": 3}, "echo"]
    found = measure(turns, *entries)
    assert found.names == ("tokens", "mean_logprob", "chars", "echo")
    assert found.column("chars").tolist() == [11, 7]
    assert found.signatures.shape == found.vectors.shape == (2, 0)


def test_filters_of_the_other_role_are_not_measured_and_drop_nothing():
    entry = {"filter": "length", "min_chars": 50, "roles": ["user"]}
    spec = make_spec(entry)
    answers = measure(make_turns("Short."), entry)
    assert answers.names == ()
    assert FILTERS["length"].drops(answers, spec.filters[0]).tolist() == [False]
    questions = measure(make_turns("Short?", role="user"), entry)
    assert FILTERS["length"].drops(questions, spec.filters[0]).tolist() == [True]


def test_a_judge_is_not_measured():
    assert measure(make_turns("Some words."), "empty", "judge").names == ("empty",)


@pytest.mark.parametrize("duplicates", ["near", "exact", "keep"])
def test_signatures_are_made_unless_duplicates_are_kept(duplicates):
    spec = make_spec(duplicates=duplicates)
    found = Measurer(spec, DIALECT)(make_turns("one two three", "one two three", "else"))
    assert found.signatures.shape == (3, 0 if duplicates == "keep" else PERMUTATIONS)
    assert duplicates == "keep" or (found.signatures[0] == found.signatures[1]).all()
    assert duplicates == "keep" or (found.signatures[0] != found.signatures[2]).any()


def test_no_turns_have_no_rows_but_all_columns():
    spec = CurationSpec(filters=["length"])
    found = Measurer(spec, DIALECT, embed=Spelling())(make_turns())
    assert found.names == ("tokens", "chars", "relevance")
    assert found.scores.shape == (0, 3)
    assert found.signatures.shape == (0, PERMUTATIONS)


def test_relevance_is_the_cosine_to_the_turn_before():
    above = [("topic", "Which sea?"), ("topic", "Which sand?")]
    turns = make_turns("Which sea", "The sand", "zzz", "", above=above, families=[0, 1, 1, 0])
    found = placed(turns, Spelling())
    vectors = quantise(Spelling()(turns.texts))
    queries = quantise(Spelling()([above[family][-1] for family in turns.families]))
    expected = np.diag(cosines(vectors, queries)).astype(np.float32)
    assert (found.vectors == vectors).all()
    assert found.column("relevance").tolist() == expected.tolist()
    assert found.column("relevance")[0] == 1
    assert found.column("relevance")[3] == 0


def test_relevance_to_the_topic_looks_at_the_root():
    above = [("The sea", "Which sand?")]
    found = placed(make_turns("sea the", above=above), Spelling(), query="topic")
    assert found.column("relevance").tolist() == [1]


@pytest.mark.parametrize("query", ["parent", "topic"])
def test_relevance_of_openings_is_that_to_the_topic_and_unknown_without_one(query):
    turns = make_turns("sea", "sea", role="user", above=[("sea",), (" ",)], families=[0, 1])
    found = placed(turns, Spelling(), query=query).column("relevance")
    assert found[0] == 1
    assert np.isnan(found[1])


def test_each_distinct_text_is_embedded_once_and_unused_ones_not_at_all():
    embed = Spelling()
    above = [("t", "a"), ("t", "unused"), ("t", "b"), ("t", "a")]
    placed(make_turns("x", "x", "b", "y", above=above, families=[0, 2, 2, 3]), embed)
    assert sorted(embed.asked) == ["a", "b", "x", "y"]


def test_without_an_embedder_or_diversity_there_are_no_vectors():
    turns = make_turns("Some words.")
    for spec, embed in ((CurationSpec(), None), (CurationSpec(diversity=None), Spelling())):
        found = Measurer(spec, DIALECT, embed=embed)(turns)
        assert found.vectors.shape == (1, 0)
        assert "relevance" not in found.names


def test_a_filter_that_raises_is_named_with_the_node(monkeypatch):
    def broken(reading, entries):
        if reading.turn.text == "bad":
            raise ZeroDivisionError("no words")
        return (0.0, 0.0)

    monkeypatch.setitem(FILTERS, "length", FILTERS["length"]._replace(measure=broken))
    with pytest.raises(FilterError, match=r"`length`.*node-1.*no words.*report") as caught:
        measure(make_turns("good", "bad"), "empty", "length")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def raises(texts):
    raise RuntimeError("out of memory")


@pytest.mark.parametrize(
    ("embed", "message"),
    [
        (raises, "out of memory"),
        (lambda texts: np.zeros((1, 4), dtype=np.float32), r"shape \(1, 4\) for 3 texts"),
        (lambda texts: np.full((len(texts), 4), np.nan), "finite"),
        (lambda texts: np.zeros(len(texts)), "shape"),
    ],
)
def test_an_embedder_that_fails_is_named_with_the_first_node(embed, message):
    with pytest.raises(FilterError, match=message) as caught:
        placed(make_turns("one", "two"), embed)
    assert "node-0" in str(caught.value)
    assert "embedder" in str(caught.value)


def test_decontaminate_without_benchmarks_is_refused():
    with pytest.raises(SpecError, match=r"execution\.benchmarks"):
        Measurer(make_spec("decontaminate"), DIALECT)


def test_filter_errors_cross_processes():
    error = FilterError("filter `length` failed on node 1")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_used_versions_name_what_decides_and_nothing_else():
    spec = make_spec("empty", {"filter": "length"}, {"filter": "length", "min_chars": 3})
    always = {"selection": str(SELECTION_VERSION), "text": TEXT}
    assert used_versions(spec) == always | {"empty": "1", "length": "1"}
    assert unicodedata.unidata_version in TEXT and unicodedata.unidata_version not in DESCRIPTION
    near = CurationSpec(filters=[], duplicates="near", diversity=DiversitySpec())
    assert used_versions(near) == always | {"signature": DESCRIPTION}
    assert "py3langid" in used_versions(make_spec("language"))["language"]


@pytest.mark.parametrize("name", ["text", "signature"])
def test_signatures_made_under_another_reading_of_text_are_not_ours(name):
    ours = used_versions(make_spec(duplicates="near"))
    assert signed_here(ours)
    assert not signed_here(ours | {name: "another"})

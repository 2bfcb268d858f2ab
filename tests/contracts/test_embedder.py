"""What every embedder promises: a row a text, the same for the same text whatever is beside it.

Sentence models keep that up to the last digits, and to the byte where all texts are the same.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.prepare_embedder import packaged_sentence_model, prepare_embedder
from pipeline.embedders.embedder import Embedder
from pipeline.embedders.load import load_embedder
from pipeline.embedders.sentence import SentenceEmbedder
from tests.trying import examples

TEXTS = [
    "How do I bake bread at home?",
    "Hi",
    "¿Cómo se hornea el pan?",
    "我想知道如何烤面包。",
    "كيف أخبز الخبز في المنزل؟",
    "Як спекти хліб удома?",
    "घर पर रोटी कैसे बनाएं?",
    "🙂🍞 bread 🍞🙂",
    "tabs\tand\nlines\x00\x1b[0m\u200b\u202e",
    "e\u0301tude and \u00e9tude",
    "```python\nprint('bread')\n```",
    "word " * 100,
]
LONG = ("A hundred thousand characters about bread and other things. " * 2000)[:100_000]
BLANK = ["", " ", "\n\t \u3000"]


@pytest.fixture(scope="module", params=["hashing", "static", "sentence"])
def embedder(request: pytest.FixtureRequest) -> Iterator[Embedder]:
    locations = {
        "hashing": lambda: "hashing",
        "static": lambda: str(prepare_embedder()),
        "sentence": lambda: str(packaged_sentence_model()),
    }
    yield load_embedder(locations[request.param]())


def quantised(vectors: np.ndarray) -> np.ndarray:
    """As vectors are stored."""
    most = np.abs(vectors).max(axis=1, keepdims=True)
    return np.rint(vectors * (127 / np.where(most, most, 1))).astype(np.int8)


def cosine(embedder: Embedder, one: str, other: str) -> float:
    a, b = embedder.embed([one, other])
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def assert_same(embedder: Embedder, found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    if isinstance(embedder, SentenceEmbedder):
        assert np.abs(found - expected).max() < 1e-5
        assert (quantised(found) == quantised(expected)).mean() > 0.99
    else:
        assert found.tobytes() == expected.tobytes()


def test_embed_gives_finite_float32_rows_of_one_width(embedder: Embedder):
    vectors = embedder.embed(TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape[0] == len(TEXTS) and vectors.shape[1] <= 1024
    assert np.isfinite(vectors).all()
    assert embedder.embed(TEXTS[:1]).shape == (1, vectors.shape[1])


def test_embed_no_texts_gives_no_rows(embedder: Embedder):
    assert len(embedder.embed([])) == 0


def test_embed_rows_are_in_the_order_of_the_texts(embedder: Embedder):
    alone = np.concatenate([embedder.embed([text]) for text in TEXTS])
    assert_same(embedder, embedder.embed(TEXTS), alone)
    assert_same(embedder, embedder.embed(TEXTS[::-1]), alone[::-1])


def test_embed_same_text_is_the_same_in_any_batch(embedder: Embedder):
    many = [f"{text} {i}" for i in range(40) for text in TEXTS[:4]]
    beside = embedder.embed([*many[:100], TEXTS[0], LONG, *many[100:], TEXTS[0]])
    alone = embedder.embed([TEXTS[0]])
    assert_same(embedder, beside[100:101], alone)
    assert_same(embedder, beside[-1:], alone)


def test_embed_again_gives_the_same_bytes(embedder: Embedder):
    many = [f"{text} {i}" for i in range(12) for text in TEXTS]
    first = embedder.embed(many).tobytes()
    embedder.embed(many[7:90])
    assert embedder.embed(many).tobytes() == first


@settings(max_examples=examples(10), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.sampled_from(TEXTS) | st.text(max_size=60), min_size=1, max_size=40),
    cuts=st.lists(st.integers(0, 40), max_size=4),
)
def test_embed_in_any_parts_gives_the_same_rows(
    embedder: Embedder, texts: list[str], cuts: list[int]
):
    edges = [0, *sorted(cuts), len(texts)]
    parts = [embedder.embed(texts[a:b]) for a, b in pairwise(edges)]
    assert_same(embedder, embedder.embed(texts), np.concatenate(parts))


def test_embed_blank_texts_are_zero_and_change_nothing(embedder: Embedder):
    vectors = embedder.embed([BLANK[0], TEXTS[0], *BLANK[1:]])
    assert not vectors[[0, 2, 3]].any()
    assert_same(embedder, vectors[1:2], embedder.embed([TEXTS[0]]))


def test_embed_long_texts_are_like_short_ones_about_the_same(embedder: Embedder):
    one_word = "x" * 100_000
    vectors = embedder.embed([LONG, one_word, LONG[:600], "The parliament of Norway. " * 20])
    assert np.isfinite(vectors).all()
    assert float(vectors[0] @ vectors[2]) > 0.85 > 0.5 > float(vectors[0] @ vectors[3])


def test_embed_a_text_is_closer_to_its_repetition_than_to_another(embedder: Embedder):
    bread = "How do I bake bread at home?"
    assert cosine(embedder, bread, bread) > 0.9999
    assert cosine(embedder, bread, "How do I bake bread at home, please?") > 0.7
    assert cosine(embedder, bread, "The parliament of Norway has 169 seats.") < 0.4


PARAPHRASES = [
    ("How do I bake bread at home?", "What is the best way to make a loaf in my own kitchen?"),
    ("My car will not start.", "The engine of my automobile refuses to turn on."),
    ("Tell me a joke.", "Say something funny."),
    ("The physician treated the child.", "The doctor cured the kid."),
]


def test_embed_paraphrases_are_closer_than_what_is_unrelated(embedder: Embedder):
    width = embedder.embed(["a"]).shape[1]
    if type(embedder).__name__ == "HashingEmbedder":
        pytest.skip("hashing knows letters, not meaning")
    ones = embedder.embed([one for one, _ in PARAPHRASES])
    others = embedder.embed([other for _, other in PARAPHRASES])
    cosines = ones @ others.T
    assert ones.shape == (len(PARAPHRASES), width)
    assert list(cosines.argmax(axis=1)) == list(range(len(PARAPHRASES)))


@settings(max_examples=examples(10), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text(max_size=60), min_size=1, max_size=6))
def test_embed_any_texts_have_a_unit_or_zero_row_each(embedder: Embedder, texts: list[str]):
    vectors = embedder.embed(texts)
    assert vectors.shape[0] == len(texts)
    lengths = np.linalg.norm(vectors, axis=1)
    assert all(abs(length - 1) < 1e-4 or length == 0 for length in lengths)
    for text, length in zip(texts, lengths, strict=True):
        assert text.strip() or length == 0

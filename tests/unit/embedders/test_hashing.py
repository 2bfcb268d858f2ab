"""The hashing embedder: exact numbers, whatever the machine."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.embedders import hashing
from pipeline.embedders.hashing import VERSION, HashingEmbedder

TEXTS = ["How do I bake bread?", "我想知道如何烤面包", "🙂🍞", "", "Ⅷ ﬁne Straße", "ab" * 999]
DIGEST = "21a788dd0b2b6e2683743759b250dd7d4631e8f5a0e16cfe0b0491b6ee6b2cf8"


def digest_of_vectors() -> str:
    return hashlib.sha256(HashingEmbedder().embed(TEXTS).tobytes()).hexdigest()


def test_embed_gives_the_bytes_of_its_version():
    assert (VERSION, digest_of_vectors()) == ("hashing-1", DIGEST)


def test_embed_in_another_process_gives_the_same_bytes():
    program = "from tests.unit.embedders.test_hashing import *; print(digest_of_vectors())"
    found = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == DIGEST


def test_embed_case_spaces_and_spelling_do_not_matter():
    one, other = HashingEmbedder().embed(["Caf\u00e9  ﬁne", " cafe\u0301\nFINE "])
    assert np.array_equal(one, other)


def test_embed_repeated_words_count_less_than_new_ones():
    base, repeated, new = HashingEmbedder().embed(
        ["red apples", "red apples red apples red apples", "red apples blue pears green plums"]
    )
    assert base @ repeated > base @ new + 0.2


@given(texts=st.lists(st.text(max_size=30), max_size=12), size=st.integers(1, 60))
def test_embed_is_the_same_however_texts_are_divided(texts: list[str], size: int):
    whole = HashingEmbedder().embed(texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashing, "_BATCH_CHARS", size)
        assert np.array_equal(HashingEmbedder().embed(texts), whole)

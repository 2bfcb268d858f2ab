"""Tokenizers of the shapes, saved to and loaded from disk as those of real models are."""

import pytest

from pipeline.dialects.derive import derive_dialect
from pipeline.dialects.tokenizer import load_tokenizer
from tests.unit.dialects.chat_shapes import SHAPES, build


@pytest.fixture(scope="session")
def tokenizer_of(tmp_path_factory):
    """The tokenizer of a shape, by its name."""
    loaded = {}

    def of(name):
        if name not in loaded:
            directory = tmp_path_factory.mktemp(name)
            build(SHAPES[name]).save_pretrained(directory)
            loaded[name] = load_tokenizer(str(directory))
        return loaded[name]

    return of


@pytest.fixture(scope="session")
def dialect_of(tokenizer_of):
    """The dialect of a shape, by its name."""
    derived = {}

    def of(name):
        if name not in derived:
            derived[name] = derive_dialect(tokenizer_of(name))
        return derived[name]

    return of

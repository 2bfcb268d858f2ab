"""Two models with one tokenizer, as trainees and as readers."""

import os

import pytest

from tests.tiny_llama import tiny_llama

os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


@pytest.fixture(scope="session")
def trainees(tmp_path_factory):
    """The original and another of other weights."""
    from jobs.trainee import load_trainee

    folder = tmp_path_factory.mktemp("tiny")
    return [load_trainee(str(tiny_llama(folder / str(seed), seed=seed))) for seed in (0, 1)]


@pytest.fixture(scope="session")
def trainee(trainees):
    return trainees[0]


@pytest.fixture(scope="session")
def readers(trainees):
    from pipeline.retention.reader import load_reader

    return [load_reader(trainee.location) for trainee in trainees]


@pytest.fixture(scope="session")
def reader(readers):
    return readers[0]

"""The specs of training and of experiments that come with the product can be read."""

import pytest

from jobs.experiments.file import load_experiment
from jobs.prepare_tiny import cached_tiny
from jobs.training.file import load_sft
from tests.architecture.source import REPOSITORY
from tests.packaged import specs_with


@pytest.mark.parametrize("spec", specs_with("parts"), ids=str)
def test_packaged_training_is_read(spec, monkeypatch, tmp_path):
    monkeypatch.chdir(REPOSITORY)
    # A teacher that is named as packaged has to be there.
    monkeypatch.setenv("ARBORIST_CACHE", str(tmp_path))
    cached_tiny().mkdir(parents=True)
    assert load_sft(str(spec)).retention.choices


@pytest.mark.parametrize("spec", specs_with("arms"), ids=str)
def test_packaged_experiment_is_read_with_all_its_arms(spec, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    found = load_experiment(str(spec))
    assert {"none", "wide", "balance", "context-free", "human"} <= found.spec.arms.keys()

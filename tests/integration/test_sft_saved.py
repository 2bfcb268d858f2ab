"""What a training leaves: the model as the start spells, nothing in memory, no rows mixed up."""

import gc
import json
import shutil

import pytest

from pipeline.sft.training.train import train
from pipeline.sft.training.trainer import MixtureTrainer
from schemas.errors import Interrupted, SpecError
from tests.sft_rows import Listener, make_mixture, make_rows, make_sft_spec, make_trainee
from tests.tiny_llama import tiny_llama


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    return tiny_llama(tmp_path_factory.mktemp("start"))


def trained(trainee, folder, watch=None, rows=8, sources=None, **sections):
    spec = make_sft_spec(trainee.location, folder, **sections)
    return train(spec, trainee, make_mixture(make_rows(rows), spec, sources), watch or Listener())


def test_nothing_of_a_training_is_left_in_memory(start, tmp_path):
    watch = Listener()
    options = {"parts": {"kept": {"objective": "model_kl"}}, "tuning": {"l2": 0.1}}
    trained(make_trainee(start), tmp_path / "out", watch, **options)
    trainers = [one for one in gc.get_objects() if type(one) is MixtureTrainer]
    assert not [one for one in trainers if one.course.watch is watch]


def test_model_without_generation_settings_gains_none(start, tmp_path):
    plain = tmp_path / "plain"
    shutil.copytree(start, plain)
    (plain / "generation_config.json").unlink()
    config = json.loads((plain / "config.json").read_text())
    config["eos_token_id"] = config["bos_token_id"]
    (plain / "config.json").write_text(json.dumps(config))
    trainee = make_trainee(plain)
    done = trained(trainee, tmp_path / "out")
    assert not (done.folder / "generation_config.json").exists()
    assert make_trainee(done.folder).dialect == trainee.dialect


def test_other_rows_or_another_template_are_refused_for_the_same_counts(start, tmp_path):
    model, sources = tmp_path / "model", {"task": {"rows": "a" * 64}}
    shutil.copytree(start, model)
    with pytest.raises(Interrupted):
        trained(make_trainee(model), tmp_path / "out", Listener(stop_after=1), sources=sources)
    with pytest.raises(SpecError, match=r"rows\.task\.source\.rows: "):
        trained(make_trainee(model), tmp_path / "out", sources={"task": {"rows": "b" * 64}})
    template = model / "chat_template.jinja"
    # Another space between a role and what it says, wherever a turn begins.
    spaced = template.read_text().replace("assistant\n", "assistant ")
    template.write_text(spaced.replace("m.role + '\n'", "m.role + ' '"))
    with pytest.raises(SpecError, match=r"model \(digest of its template\): "):
        trained(make_trainee(model), tmp_path / "out", sources=sources)

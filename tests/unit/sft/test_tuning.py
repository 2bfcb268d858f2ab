"""Which weights move, one process and one device, what is given back: without any training."""

import gc
import shutil
import weakref

import pytest
import torch
from safetensors.torch import load_file

from jobs.training import launch
from pipeline.sft.model import load_model
from pipeline.sft.training import settings
from pipeline.sft.training.devices import free
from pipeline.sft.training.steps import Steps
from pipeline.sft.training.tuning import make_teacher, tuned
from schemas.errors import ModelError, SpecError
from schemas.sft_spec import TuningSpec
from tests.sft_rows import Listener, make_sft_spec
from tests.tiny_llama import tiny_llama


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    return str(tiny_llama(tmp_path_factory.mktemp("start")))


def tuned_model(start, **tuning):
    return tuned(load_model(start), TuningSpec.model_validate(tuning), 0)


@pytest.mark.parametrize("targets", ["embed_tokens", ("embed_tokens", "q_proj")])
def test_adapter_on_tied_embeddings_is_refused(start, targets):
    with pytest.raises(SpecError, match=r"lora\.targets: .* input embeddings, .* ties to the outp"):
        tuned_model(start, lora={"targets": targets})


def test_adapter_on_embeddings_of_their_own_is_not_refused(start):
    model = load_model(start)
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    lora = TuningSpec.model_validate({"lora": {"targets": ["embed_tokens"]}})
    moving = [n for n, p in tuned(model, lora, 0).named_parameters() if p.requires_grad]
    assert moving and all("embed_tokens.lora_embedding" in name for name in moving)


def test_one_name_is_a_target_as_a_list_of_it_is(start):
    one, listed = (
        {n for n, p in tuned_model(start, lora={"targets": t}).named_parameters() if "lora" in n}
        for t in ("q_proj", ["q_proj"])
    )
    assert one == listed and one


def test_pattern_of_tied_weights_is_refused_with_the_name_they_go_by(start):
    told = r"tuning\.frozen: found 'lm_head', .*lm_head\.weight, .* tied to model\.embed_tokens\.w"
    with pytest.raises(SpecError, match=told):
        tuned_model(start, frozen=["lm_head"])


def test_teacher_keeps_no_way_of_sampling_of_its_own(start, tmp_path):
    model = load_model(start)
    model.generation_config.suppress_tokens = list(range(1, 303))
    model.save_pretrained(tmp_path)
    teacher = make_teacher(load_model(start), str(tmp_path), start, TuningSpec())
    assert teacher.model.generation_config.suppress_tokens is None


def test_one_process_takes_one_of_the_gpus_it_sees(start, tmp_path, monkeypatch):
    class SeveralSeen(settings.SFTConfig):
        def __post_init__(self):
            super().__post_init__()
            self._n_gpu = 4

    monkeypatch.setattr(settings, "SFTConfig", SeveralSeen)
    spec = make_sft_spec(start, tmp_path)
    assert settings.settings(spec, Steps(8, 4), tmp_path).n_gpu == 1


class Circle:
    def __init__(self):
        self.me = self


def dropped_circle():
    return weakref.ref(Circle())


def test_what_lies_in_a_cycle_is_given_back():
    gc.disable()
    try:
        left = dropped_circle()
        assert left() is not None
        free()
        assert left() is None
    finally:
        gc.enable()


def test_several_processes_find_the_device_free(start, tmp_path, monkeypatch):
    left, found = dropped_circle(), []
    monkeypatch.setattr(launch, "_torchrun", lambda spec, folder: found.append(left()) or 0)
    launch.launch(make_sft_spec(start, tmp_path, launch={"processes": 1}), Listener())
    assert found == [None]


def test_weights_that_are_pickles_are_never_loaded(start, tmp_path):
    shutil.copytree(start, tmp_path / "pickled")
    weights = load_file(tmp_path / "pickled" / "model.safetensors")
    (tmp_path / "pickled" / "model.safetensors").unlink()
    torch.save(weights, tmp_path / "pickled" / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"\.safetensors"):
        load_model(str(tmp_path / "pickled"))

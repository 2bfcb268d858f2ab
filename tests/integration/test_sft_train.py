"""Trainings of a tiny model: what is learned, what a step's loss is, stopping and going on."""

import json
import logging
import shutil

import pytest
import torch
from transformers import AutoModelForCausalLM

from pipeline.sft.training.assembly import Asked, make_trainer
from pipeline.sft.training.provenance import provenance
from pipeline.sft.training.train import train
from schemas.errors import Diverged, Interrupted, ModelError, SpecError
from tests.sft_rows import (
    Listener,
    make_mixture,
    make_rows,
    make_sft_spec,
    make_trainee,
    mixed,
)
from tests.tiny_llama import tiny_llama

MIX = {
    "task": {},
    "stored": {"objective": "stored_kl", "weight": 2.0},
    "drawn": {"objective": "model_kl", "weight": 0.5},
}


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    return tiny_llama(tmp_path_factory.mktemp("start"), seed=0)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return tiny_llama(tmp_path_factory.mktemp("teacher"), seed=1)


@pytest.fixture(scope="module")
def trainee(start):
    return make_trainee(start)


@pytest.fixture
def trained(trainee, tmp_path):
    """Train on some rows; the folder is a new one unless it is named."""

    def run(rows, *, folder="out", watch=None, sources=None, **sections):
        spec = make_sft_spec(trainee.location, tmp_path / folder, **sections)
        mixture = make_mixture(rows, spec, sources)
        return train(spec, trainee, mixture, watch or Listener())

    return run


def weights(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def parameters(folder):
    return {name: p.detach() for name, p in weights(folder).named_parameters()}


def losses(log):
    return [{k: v for k, v in entry.items() if k != "tokens_per_s"} for entry in log]


def three_parts(number=16, **options):
    return mixed(*(make_rows(number, seed=i, part=i, k=3 * (i == 1), **options) for i in range(3)))


def test_model_learns_its_rows_and_lies_there_to_be_loaded(trained, trainee, tmp_path):
    rows = make_rows(4) * 30
    done = trained(rows, training={"log_every": 5, "tensorboard": True})
    assert list((tmp_path / "out" / "tensorboard").glob("events*"))
    assert done.steps == 30 and [entry["step"] for entry in done.log] == [5, 10, 15, 20, 25, 30]
    assert done.log[-1]["loss/task"] < 0.2 * done.log[0]["loss/task"]
    assert {"loss", "grad_norm", "learning_rate", "tokens_per_s"} <= done.log[0].keys()
    again = make_trainee(done.folder)
    assert again.dialect == trainee.dialect and again.weights != trainee.weights
    assert not list(done.folder.parent.rglob("README.md"))


def by_hand(rows, model, teacher):
    """Each part's mean loss over the rows of a step, one row at a time."""
    sums, numbers = [torch.tensor(0.0)] * 3, [0] * 3
    for row in rows:
        ids, part = torch.tensor([row["input_ids"]]), row["part"]
        q = model(ids).logits[0].log_softmax(-1)
        p = teacher(ids).logits[0].log_softmax(-1).detach()
        k = 3 if part == 1 else 0
        tops = {at: slice(j * k, j * k + k) for j, at in enumerate(row["target_at"])}
        for at, label in enumerate(row["labels"]):
            if at == 0 or label == -100 or (part == 1 and at not in tops):
                continue
            said = q[at - 1]
            if part == 0:
                loss = -said[label]
            elif part == 1:
                top = torch.tensor(row["target_logprobs"][tops[at]])
                tail = torch.tensor(row["target_tail"][row["target_at"].index(at)])
                ours = said[row["target_ids"][tops[at]]]
                rest = torch.log(1 - ours.exp().sum())
                loss = (top.exp() * (top - ours)).sum() + tail * (tail.log() - rest)
            else:
                loss = (p[at - 1].exp() * (p[at - 1] - said)).sum()
            sums[part], numbers[part] = sums[part] + loss, numbers[part] + 1
    return [total / number for total, number in zip(sums, numbers, strict=True)]


@pytest.mark.parametrize(("batch_rows", "accumulate"), [(12, 1), (6, 2), (5, 3)])
def test_step_is_the_weighted_sum_of_the_means_of_its_parts(
    trained, start, teacher, batch_rows, accumulate
):
    rows = three_parts()
    training = {"batch_rows": batch_rows, "accumulate": accumulate, "clip": None, "max_steps": 1}
    done = trained(rows, parts=MIX, teacher=str(teacher), training=training)
    model = weights(start)
    expected = by_hand(rows[: batch_rows * accumulate], model, weights(teacher))
    total = expected[0] + 2.0 * expected[1] + 0.5 * expected[2]
    total.backward()
    norm = torch.stack([p.grad.square().sum() for p in model.parameters()]).sum().sqrt()
    found = done.log[0]
    for name, loss in zip(MIX, expected, strict=True):
        assert found[f"loss/{name}"] == pytest.approx(loss.item(), rel=1e-4)
    assert found["loss"] == pytest.approx(total.item(), rel=1e-4)
    assert found["grad_norm"] == pytest.approx(norm.item(), rel=1e-3)


def test_batches_of_a_step_do_not_change_what_is_learned(trained, teacher):
    options = {"parts": MIX, "teacher": str(teacher)}
    # 42 rows: the last step has fewer than the others.
    whole = trained(three_parts(14), folder="a", training={"batch_rows": 8}, **options)
    halves = {"batch_rows": 4, "accumulate": 2}
    halved = trained(three_parts(14), folder="b", training=halves, **options)
    assert whole.steps == halved.steps == 6
    for one, other in zip(losses(whole.log), losses(halved.log), strict=True):
        assert one == pytest.approx(other, rel=2e-3)


CASES = {
    "all weights": {"parts": MIX, "tuning": {"l2": 0.1}, "training": {"log_every": 2}},
    "answers of its own": {
        "parts": {"task": {}, "own": {"objective": "reverse_kl"}},
        "rollouts": {"max_tokens": 6, "bootstrap_steps": 1},
    },
    "an adapter": {
        "parts": MIX,
        "tuning": {"lora": {"rank": 2, "dropout": 0.2}, "frozen": [r"layers\.0\."]},
    },
}


@pytest.mark.parametrize("case", CASES)
def test_stopped_training_goes_on_as_if_nothing_had_happened(trained, tmp_path, case):
    training = {"save_every": 4, "schedule": "cosine", "warmup": 0.2}
    options = CASES[case] | {"training": training | CASES[case].get("training", {})}
    rows = (
        three_parts(8)[:24]
        if case != "answers of its own"
        else mixed(make_rows(12), make_rows(12, seed=1, part=1))
    )
    whole = trained(rows, folder="whole", **options)
    with pytest.raises(Interrupted, match=r"after step 3 of 6.*the same command continues"):
        trained(rows, watch=Listener(stop_after=3), **options)
    watch = Listener()
    resumed = trained(rows, watch=watch, **options)
    assert watch.beginnings == [(6, 3)]
    assert losses(resumed.log) == losses(whole.log)
    ours, theirs = parameters(resumed.folder), parameters(whole.folder)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    again = trained(rows, watch=(idle := Listener()), **options)
    assert again.log == resumed.log and idle.beginnings == []


def test_half_written_checkpoint_is_not_taken(trained, tmp_path):
    rows, options = make_rows(24), {"training": {"save_every": 2}}
    whole = trained(rows, folder="whole", **options)
    with pytest.raises(Interrupted):
        trained(rows, watch=Listener(stop_after=5), **options)
    newest = tmp_path / "out" / "checkpoints" / "checkpoint-5"
    (newest / "optimizer.pt").write_bytes((newest / "optimizer.pt").read_bytes()[:100])
    shutil.copytree(newest, unmarked := newest.with_name("checkpoint-6"))
    (unmarked / "arborist.json").unlink()
    watch = Listener()
    resumed = trained(rows, watch=watch, **options)
    assert watch.beginnings == [(6, 4)] and losses(resumed.log) == losses(whole.log)


def test_checkpoint_made_of_other_things_is_refused_by_key(trained):
    rows = make_rows(16)
    with pytest.raises(Interrupted):
        trained(rows, watch=Listener(stop_after=1))
    with pytest.raises(SpecError, match=r"training\.learning_rate: 0.01 there, 0.5 now.*--anew"):
        trained(rows, training={"learning_rate": 0.5})
    with pytest.raises(SpecError, match=r"rows\.task\.counts\.rows: 16 there, 12 now"):
        trained(rows[:12])
    trained(rows, training={"log_every": 2, "keep": 1})
    with pytest.raises(SpecError, match=r"out/model: made of.*parts\.task\.weight: 1.0 there"):
        trained(rows, parts={"task": {"weight": 3.0}})


@pytest.mark.parametrize("accumulate", [1, 2])
def test_loss_that_is_no_number_stops_at_once_and_keeps_the_last_good(
    trained, tmp_path, accumulate
):
    rows = make_rows(16, k=3)
    rows[9]["target_logprobs"][1] = float("nan")
    # Row 9 is in the first batch of its step, and in the last where there is one.
    training = {"save_every": 1, "batch_rows": 4 // accumulate, "accumulate": accumulate}
    with pytest.raises(Diverged) as caught:
        trained(rows, parts={"kept": {"objective": "stored_kl"}}, training=training)
    told = str(caught.value)
    assert told.startswith("step 3: the loss is no finite number. Of the mixture, the rows whose")
    assert "loss is not: 9 (kept)." in told and "checkpoint-2." in told
    saved = sorted(p.name for p in (tmp_path / "out" / "checkpoints").iterdir())
    assert saved == ["checkpoint-1", "checkpoint-2"] and not (tmp_path / "out" / "model").exists()


def test_weights_that_are_no_numbers_are_not_saved(trained, tmp_path):
    with pytest.raises(Diverged, match="No checkpoint was saved yet"):
        trained(make_rows(16), training={"learning_rate": 1e39, "save_every": 1})
    assert not list((tmp_path / "out").glob("checkpoints/*/arborist.json"))


def test_adapter_moves_only_what_it_lies_on_and_is_merged(trained, start):
    lora = {"rank": 4, "targets": ["q_proj"]}
    done = trained(make_rows(16), tuning={"lora": lora})
    before, after = parameters(start), parameters(done.folder)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {f"model.layers.{i}.self_attn.q_proj.weight" for i in range(2)}


def test_adapter_is_saved_alone_where_it_shall_not_be_merged(trained, start):
    done = trained(make_rows(16), tuning={"lora": {"rank": 4, "merge": False}})
    config = json.loads((done.folder / "adapter_config.json").read_text())
    assert config["r"] == 4 and config["base_model_name_or_path"] == str(start)
    assert (done.folder / "adapter_model.safetensors").is_file()
    assert not (done.folder / "model.safetensors").exists()


def test_adapter_on_unknown_modules_is_refused_with_the_names_there_are(trained):
    with pytest.raises(SpecError, match=r"tuning\.lora\.targets: found .*q_prok.*down_proj, gate_"):
        trained(make_rows(4), tuning={"lora": {"targets": ["q_prok"]}})


def test_frozen_parameters_do_not_move(trained, start):
    done = trained(make_rows(16), tuning={"frozen": ["embed_tokens", r"layers\.1\.mlp"]})
    before, after = parameters(start), parameters(done.folder)
    stayed = {name for name in before if torch.equal(before[name], after[name])}
    assert stayed == {"model.embed_tokens.weight"} | {
        f"model.layers.1.mlp.{name}_proj.weight" for name in ("gate", "up", "down")
    }


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        (r"layers\.0\.self_atn", "did you mean .*self_attn"),
        ("(", "expected a regular expression: "),
        (".", "stop all 20 parameters"),
    ],
)
def test_pattern_that_cannot_be_meant_is_refused(trained, pattern, told):
    with pytest.raises(SpecError, match=rf"tuning\.frozen: .*{told}"):
        trained(make_rows(4), tuning={"frozen": [pattern]})


def test_wise_ft_lies_on_the_line_between_start_and_end(trained, start):
    end = parameters(trained(make_rows(16), folder="end").folder)
    between = trained(make_rows(16), folder="b", tuning={"wise_ft": 0.25})
    for name, origin in parameters(start).items():
        expected = origin + 0.25 * (end[name] - origin)
        assert torch.allclose(parameters(between.folder)[name], expected, atol=1e-6)


def test_wise_ft_scales_an_adapter(trained, start):
    lora = {"rank": 4, "targets": ["q_proj"]}
    end = parameters(trained(make_rows(16), folder="end", tuning={"lora": lora}).folder)
    half = {"lora": lora, "wise_ft": 0.5}
    between = parameters(trained(make_rows(16), folder="b", tuning=half).folder)
    for name, origin in parameters(start).items():
        assert torch.allclose(between[name], (origin + end[name]) / 2, atol=1e-6)


def test_l2_holds_weights_at_the_start(trained, start, tmp_path):
    options = {"save_every": 1, "keep": 8}
    free = trained(make_rows(16), folder="free")
    held = trained(make_rows(16), tuning={"l2": 10.0}, training=options)
    before = parameters(start)

    def distance(folder):
        return sum(
            (p - before[name]).square().sum().item() for name, p in parameters(folder).items()
        )

    assert distance(held.folder) < 0.5 * distance(free.folder)
    first = distance(tmp_path / "out" / "checkpoints" / "checkpoint-1")
    assert held.log[1]["loss/l2"] == pytest.approx(5.0 * first, rel=1e-3)
    assert held.log[1]["loss"] == pytest.approx(
        held.log[1]["loss/l2"] + held.log[1]["loss/task"], rel=1e-5
    )


def kl_to(teacher, folder, rows):
    """Mean reverse KL on some texts."""
    of, to = weights(folder), weights(teacher)
    total = []
    for row in rows:
        ids = torch.tensor([row["input_ids"]])
        with torch.no_grad():
            q, p = (model(ids).logits[0].log_softmax(-1) for model in (of, to))
        total.append((q.exp() * (q - p)).sum(-1).mean())
    return torch.stack(total).mean().item()


@pytest.mark.parametrize("bootstrap_steps", [0, 30])
def test_answers_of_its_own_draw_a_student_to_its_teacher(trained, start, teacher, bootstrap_steps):
    rows = make_rows(120, learned_from=2.0)
    done = trained(
        rows,
        parts={"own": {"objective": "reverse_kl"}},
        teacher=str(teacher),
        rollouts={"max_tokens": 12, "bootstrap_steps": bootstrap_steps},
        training={"log_every": 5},
    )
    held_out = make_rows(10, seed=9)
    assert kl_to(teacher, done.folder, held_out) < 0.7 * kl_to(teacher, start, held_out)
    assert done.log[-1]["loss/own"] < 0.7 * done.log[0]["loss/own"]


def test_teacher_with_another_tokenizer_is_refused(trained, tmp_path):
    other = tiny_llama(tmp_path / "other")
    config = json.loads((other / "tokenizer.json").read_text())
    config["model"]["merges"] = config["model"]["merges"][:-1]
    (other / "tokenizer.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="another tokenizer than the trainee"):
        trained(make_rows(4), parts={"kept": {"objective": "model_kl"}}, teacher=str(other))


def test_weights_lead_back_to_what_they_were_made_of(trained, trainee, tmp_path, caplog):
    source = {"location": "/runs/x", "run_id": "abc", "snapshot": 2, "complete": False}
    sources = {"kept": source | {"weights": ["another" * 4]}}
    watch = Listener()
    with caplog.at_level(logging.WARNING, "pipeline.sft"):
        done = trained(
            make_rows(8), parts={"kept": {"run": {"location": "r"}}}, sources=sources, watch=watch
        )
    made = json.loads((done.folder / "arborist.json").read_text())
    assert made["parts"]["kept"]["source"] | source == made["parts"]["kept"]["source"]
    assert made["model"] == {"location": trainee.location, "weights": trainee.weights}
    assert made["steps"] == 2 and made["spec"]["training"]["learning_rate"] == 0.01
    assert {"arborist", "torch", "transformers", "trl"} == made["software"].keys()
    assert "is not the model that wrote" in made["warnings"][0]
    assert made["warnings"][0] in caplog.text and made["warnings"][0] in watch.said[0]
    at_checkpoint = json.loads(
        (tmp_path / "out" / "checkpoints" / "checkpoint-2" / "arborist.json").read_text()
    )
    assert at_checkpoint["parts"] == made["parts"] and at_checkpoint["steps_planned"] == 2


def test_own_rows_give_no_warning(trained, trainee):
    sources = {"kept": {"weights": [trainee.weights]}}
    parts = {"kept": {"run": {"location": "r"}}}
    assert trained(make_rows(4), parts=parts, sources=sources).warnings == ()


def test_fused_head_gives_the_losses_of_the_logits(trainee, tmp_path):
    spec = make_sft_spec(trainee.location, tmp_path)
    rows = make_rows(5)
    asked = Asked(spec, trainee, make_mixture(rows, spec), Listener())
    trainer = make_trainer(asked, provenance(spec, trainee, asked.mixture, None), None)
    batch = trainer.data_collator([row | {"row": index} for index, row in enumerate(rows)])
    fused = trainer._fused(trainer.model, batch)
    assert torch.allclose(fused, trainer._by_objective(trainer.model, batch), atol=1e-5)
    nothing = trainer.data_collator([])
    assert trainer._fused(trainer.model, nothing).sum().item() == 0
    assert trainer._by_objective(trainer.model, nothing).requires_grad


def test_gradient_checkpointing_changes_no_loss(trained):
    plain = trained(make_rows(12), folder="plain")
    saving = trained(make_rows(12), training={"gradient_checkpointing": True})
    assert losses(saving.log)[-1] == pytest.approx(losses(plain.log)[-1], rel=1e-4)


def test_bfloat16_computes_and_float32_is_kept(trained):
    rows = make_rows(4) * 10
    options = {"parts": {"task": {}, "drawn": {"objective": "model_kl"}}}
    rows += [row | {"part": 1} for row in make_rows(4, seed=1)] * 10
    full = trained(rows, folder="full", **options)
    half = trained(rows, folder="half", training={"dtype": "bfloat16"}, **options)
    assert half.log[0]["loss"] != full.log[0]["loss"]
    assert half.log[0]["loss"] == pytest.approx(full.log[0]["loss"], rel=0.02)
    assert half.log[-1]["loss"] == pytest.approx(full.log[-1]["loss"], abs=0.1)
    assert all(p.dtype == torch.float32 for p in parameters(half.folder).values())

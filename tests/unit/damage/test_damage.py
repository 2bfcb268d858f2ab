"""`arborist damage`: what is changed, what is not, and that it comes out the same every time."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from jobs.cli import main
from pipeline.damage.prune import importance, least
from tests.tiny_llama import tiny_llama

WIDTH = 64
PRUNED = 6
"""The nearest to a tenth of 64."""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_llama(tmp_path_factory.mktemp("model"))


def damaged(model, out, *args):
    assert main(["damage", str(model), "--out", str(out), *args]) == 0
    return load_file(out / "model.safetensors")


def report(out):
    return json.loads((out / "damage.json").read_text())


def changed(before, after):
    return {name for name in before if not torch.equal(before[name], after[name])}


def feed_forward(layer, part):
    return f"model.layers.{layer}.mlp.{part}_proj.weight"


def test_prune_zeroes_the_share_of_neurons_that_matter_least(model, tmp_path):
    before = load_file(model / "model.safetensors")
    after = damaged(model, tmp_path / "out", "--kind", "prune")
    names = {feed_forward(i, part) for i in range(2) for part in ("gate", "up", "down")}
    assert changed(before, after) == names and before.keys() == after.keys()
    for i in range(2):
        gate, up, down = (before[feed_forward(i, part)] for part in ("gate", "up", "down"))
        scores = gate.norm(dim=1) * up.norm(dim=1) * down.norm(dim=0)
        gone = set(scores.argsort()[:PRUNED].tolist())
        for n in range(WIDTH):
            rows = [after[feed_forward(i, "gate")][n], after[feed_forward(i, "up")][n]]
            column = after[feed_forward(i, "down")][:, n]
            zero = all(not part.any() for part in (*rows, column))
            assert zero == (n in gone)
            if not zero:
                assert torch.equal(rows[0], gate[n]) and torch.equal(column, down[:, n])


def test_prune_says_which_neurons_and_how_far_it_moved(model, tmp_path):
    before = load_file(model / "model.safetensors")
    after = damaged(model, tmp_path / "out", "--kind", "prune", "--share", "0.25")
    said = report(tmp_path / "out")
    assert {layer["of"] for layer in said["neurons"].values()} == {WIDTH}
    assert {len(layer["pruned"]) for layer in said["neurons"].values()} == {WIDTH // 4}
    touched = sorted(changed(before, after))
    moved = torch.cat([(after[name] - before[name]).flatten() for name in touched]).norm()
    norm = torch.cat([before[name].flatten() for name in touched]).norm()
    assert said["change"]["relative"] == pytest.approx(float(moved / norm), rel=1e-5)
    assert said["change"]["tensors"] == len(touched)


def test_prune_unstructured_zeroes_the_smallest_weights_of_each_matrix(model, tmp_path):
    before = load_file(model / "model.safetensors")
    after = damaged(model, tmp_path / "out", "--kind", "prune", "--unstructured", "--share", "0.3")
    for name in changed(before, after):
        gone = after[name] == 0
        assert int(gone.sum()) == round(0.3 * before[name].numel())
        assert before[name][gone].abs().max() <= before[name][~gone].abs().min()
        assert torch.equal(before[name][~gone], after[name][~gone])


def test_quantise_leaves_embedding_and_norms_alone(model, tmp_path):
    before = load_file(model / "model.safetensors")
    after = damaged(model, tmp_path / "out", "--kind", "quantise")
    linear = {name for name in before if "proj" in name}
    assert changed(before, after) == linear and len(linear) == 14
    again = damaged(tmp_path / "out", tmp_path / "again", "--kind", "quantise")
    assert not changed(after, again)
    assert report(tmp_path / "again")["change"]["changed"] == 0


@pytest.mark.parametrize("kind", ["prune", "quantise"])
def test_damage_gives_the_same_bytes_and_a_model_that_loads(model, tmp_path, kind):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    first, second = tmp_path / "first", tmp_path / "second"
    for out in (first, second):
        damaged(model, out, "--kind", kind)
    files = sorted(file.name for file in first.iterdir())
    assert files == sorted([*(file.name for file in model.iterdir()), "damage.json"])
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in files)
    tokenizer = AutoTokenizer.from_pretrained(first)
    loaded = AutoModelForCausalLM.from_pretrained(first)
    logits = loaded(**tokenizer("Why do trees grow?", return_tensors="pt")).logits
    assert torch.isfinite(logits).all()


def test_damage_of_a_model_in_several_files_keeps_them(model, tmp_path):
    from transformers import AutoModelForCausalLM

    split = tmp_path / "split"
    AutoModelForCausalLM.from_pretrained(model).save_pretrained(split, max_shard_size="40KB")
    files = {file.name for file in split.glob("*.safetensors")}
    assert len(files) > 1
    out = tmp_path / "out"
    assert main(["damage", str(split), "--kind", "prune", "--out", str(out)]) == 0
    assert {file.name for file in out.glob("*.safetensors")} == files
    whole = damaged(model, tmp_path / "whole", "--kind", "prune")
    parts = {name: t for file in files for name, t in load_file(out / file).items()}
    assert not changed(whole, parts)


def test_damage_leaves_behind_what_told_of_the_model_before(model, tmp_path):
    trained = shutil.copytree(model, tmp_path / "trained")
    (trained / "arborist.json").write_text("{}")
    damaged(trained, tmp_path / "out", "--kind", "quantise")
    assert not (tmp_path / "out" / "arborist.json").exists()


def test_least_takes_the_first_of_equals():
    assert least(torch.tensor([1.0, 0.0, 1.0, 0.0, 0.0]), 0.4).tolist() == [1, 3]


def test_importance_needs_all_three_of_a_neuron():
    gate, up, down = torch.ones(3, 2), torch.ones(3, 2), torch.ones(2, 3)
    gate[0], up[1], down[:, 2] = 0, 0, 0
    assert importance(gate, up, down).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--kind", "prune", "--share", "1.5"], "--share: found 1.5, expected a number between"),
        (["--kind", "prune", "--share", "0.001"], "comes to nothing"),
        (["--kind", "overtune"], "--task: found none"),
        (["--kind", "overtune", "--task", "x.jsonl", "--steps", "0"], "amount"),
    ],
)
def test_damage_that_cannot_be_done_says_why_and_leaves_nothing(
    model, tmp_path, capsys, args, words
):
    assert main(["damage", str(model), "--out", str(tmp_path / "out"), *args]) == 2
    assert words in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


def test_damage_refuses_a_place_that_is_taken(model, tmp_path, capsys):
    (tmp_path / "note").write_text("mine")
    assert main(["damage", str(model), "--kind", "prune", "--out", str(tmp_path)]) == 2
    assert "is taken" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["note"]


def test_damage_refuses_a_model_without_gates(tmp_path, capsys):
    from safetensors.torch import save_file

    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    save_file({"h.0.mlp.c_fc.weight": torch.ones(2, 2)}, model / "model.safetensors")
    assert main(["damage", str(model), "--kind", "prune", "--out", str(tmp_path / "out")]) == 2
    assert "no gated feed-forward layer" in " ".join(capsys.readouterr().err.split())

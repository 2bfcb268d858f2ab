"""The rows to train on, on disk: what is in them, when they are made again, what is refused."""

import json

import numpy as np
import pytest

from jobs.sealed_runs import open_sealed
from pipeline.dialects.derive import derive_dialect
from pipeline.dialects.scripted import scripted_dialect
from pipeline.dialects.tokenizer import load_tokenizer
from pipeline.sft.rows.from_data import data_examples
from pipeline.sft.rows.from_run import run_examples
from pipeline.sft.rows.prepare import prepare
from pipeline.sft.trainee import Trainee
from schemas.errors import LocationError, SpecError
from schemas.sft_spec import SftSpec
from tests.builders import make_spec, memory_store, run_scripted
from tests.sft_rows import Listener
from tests.unit.dialects.chat_shapes import CHATML, build

IGNORED = -100


@pytest.fixture(scope="module")
def trainee(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    build(CHATML).save_pretrained(folder)
    tokenizer = load_tokenizer(str(folder))
    return Trainee(str(folder), tokenizer, derive_dialect(tokenizer), "weights", 256)


@pytest.fixture
def files(tmp_path):
    def of(name, rows):
        file = tmp_path / f"{name}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return {"data": {"files": str(file)}}

    return of


def asked(number, words=3):
    return [
        {"prompt": f"Why {n}?", "completion": f"So {n} " + "tree " * words} for n in range(number)
    ]


def spec_of(parts, **sections):
    return SftSpec.model_validate({"model": "m", "output": "o", "parts": parts} | sections)


def made(parts, trainee, folder, listener=None, **sections):
    spec = spec_of(parts, **sections)
    return prepare(spec, trainee, folder, listener or Listener(), open_sealed)


def row_of(example):
    """As it lies in a mixture."""
    labels = np.where(example.learned, example.ids, IGNORED)
    return {"input_ids": example.ids.tolist(), "labels": labels.tolist()}


def test_mixture_holds_the_examples_of_its_parts_in_the_order_of_training(trainee, files, tmp_path):
    parts = {
        "task": files("task", asked(20)) | {"share": 1, "passes": 2},
        "replay": files("replay", [{"text": f"Roots {n}"} for n in range(90)]) | {"share": 3},
    }
    mixture = made(parts, trainee, tmp_path / "rows", mix={"by": "rows", "amount": 100})
    spec = spec_of(parts)
    examples = [
        [row_of(e) for e in data_examples(part.data, part.loss, trainee)]
        for part in spec.parts.values()
    ]
    rows = mixture.dataset[:]
    assert set(rows) == {"input_ids", "labels", "part"}
    found = list(zip(rows["part"], rows["input_ids"], rows["labels"], strict=True))
    assert [part for part, *_ in found[:8]] == [1, 0, 1, 1, 1, 0, 1, 1]
    for part, ids, labels in found:
        assert {"input_ids": ids, "labels": labels} in examples[part]
    replayed = [ids for part, ids, _ in found if part == 1]
    assert sorted(map(tuple, replayed)) == sorted(set(map(tuple, replayed)))
    assert mixture.counts["task"] == {
        "rows": 20,
        "tokens": sum(len(row["input_ids"]) for row in examples[0]),
        "learned": sum(label != IGNORED for row in examples[0] for label in row["labels"]),
        "bad": 0,
        "bad_examples": [],
        "unlearned": 0,
        "cut": 0,
        "left_out": 0,
        "used_rows": 25,
        "used_tokens": sum(len(ids) for part, ids, _ in found if part == 0),
        "used_learned": sum(x != IGNORED for p, _, row in found for x in row if p == 0),
        "passes": 1.25,
    }
    json.dumps([mixture.counts, mixture.sources])


def test_any_row_is_read_by_its_number_alone(trainee, files, tmp_path):
    mixture = made({"task": files("task", asked(30))}, trainee, tmp_path / "rows")
    whole = mixture.dataset[:]["input_ids"]
    again = made({"task": files("task", asked(30))}, trainee, tmp_path / "rows").dataset
    assert [again[n]["input_ids"] for n in (29, 3, 17)] == [whole[n] for n in (29, 3, 17)]


@pytest.mark.parametrize("change", ["nothing", "moved", "mix"])
def test_what_is_certainly_the_same_is_not_made_again(change, trainee, files, tmp_path):
    folder, listener = tmp_path / "rows", Listener()
    before = made({"task": files("task", asked(9))}, trainee, folder)
    part = files("task", asked(9))
    if change == "moved":
        (tmp_path / "there").mkdir()
        (tmp_path / "task.jsonl").rename(tmp_path / "there" / "task.jsonl")
        part["data"]["files"] = str(tmp_path / "there" / "task.jsonl")
    mix = {"seed": 7} if change == "mix" else {}
    after = made({"task": part}, trainee, folder, listener, mix=mix)
    assert listener.said == ["task: 9 rows, prepared before."]
    same_order = after.dataset["input_ids"][:] == before.dataset["input_ids"][:]
    assert same_order == (change != "mix")
    assert after.counts == before.counts


CHANGES = {
    "content": ({}, asked(8)),
    "loss": ({"loss": "all"}, asked(9)),
    "limit": ({"data": {"limit": 5}}, asked(9)),
    "columns": ({"data": {"columns": {"prompt": "completion", "completion": "prompt"}}}, asked(9)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_not_the_same_is_made_again(change, trainee, files, tmp_path):
    folder, listener = tmp_path / "rows", Listener()
    made({"task": files("task", asked(9))}, trainee, folder)
    changes, rows = CHANGES[change]
    part = files("task", rows)
    part |= {**changes, "data": part["data"] | changes.get("data", {})}
    mixture = made({"task": part}, trainee, folder, listener)
    assert listener.said == [f"task: {mixture.counts['task']['rows']} rows prepared."]
    fresh = made({"task": part}, trainee, tmp_path / "others")
    assert mixture.dataset[:] == fresh.dataset[:]


@pytest.mark.parametrize("damage", [b"", b"cut short"])
def test_rows_that_were_not_written_whole_are_made_again(damage, trainee, files, tmp_path):
    folder, listener = tmp_path / "rows", Listener()
    part = files("task", asked(9))
    before = made({"task": part}, trainee, folder).dataset[:]
    (file,) = folder.glob("*.arrow")
    file.write_bytes(damage)
    assert made({"task": part}, trainee, folder, listener).dataset[:] == before
    assert listener.said == ["task: 9 rows prepared."]


def test_folder_holds_nothing_half_made_after_a_refusal(trainee, files, tmp_path):
    part = files("task", [*asked(3), *asked(1, words=300)])
    with pytest.raises(SpecError):
        made({"task": part}, trainee, tmp_path / "rows")
    assert list((tmp_path / "rows").iterdir()) == []


def test_longer_rows_than_the_model_takes_are_refused_with_the_longest(trainee, files, tmp_path):
    part = files("task", [*asked(3), *asked(2, words=300), *asked(1, words=400)])
    expected = (
        r"parts.task: 3 of 6 rows are longer than 256 tokens.* longest, task.jsonl:6, has 1,6"
    )
    with pytest.raises(SpecError, match=expected):
        made({"task": part}, trainee, tmp_path / "rows")


def test_longer_rows_are_cut_or_left_out_as_asked(trainee, files, tmp_path):
    rows = [*asked(3), *asked(2, words=300), {"prompt": "why " * 300, "completion": "So"}]
    part = files("task", rows)
    settings = {"max_length": 40, "too_long": "cut"}
    cut = made({"task": part}, trainee, tmp_path / "rows", training=settings)
    counts = cut.counts["task"]
    assert (counts["rows"], counts["cut"], counts["unlearned"]) == (5, 3, 1)
    assert max(map(len, cut.dataset["input_ids"])) == 40
    settings["too_long"] = "leave_out"
    left = made({"task": part}, trainee, tmp_path / "rows", training=settings)
    assert (left.counts["task"]["rows"], left.counts["task"]["left_out"]) == (3, 3)


def test_longer_rows_than_the_model_takes_cannot_be_asked_for(trainee, files, tmp_path):
    with pytest.raises(SpecError, match=r"max_length: found 257; expected at most the 256 tokens"):
        made({"task": files("t", asked(1))}, trainee, tmp_path, training={"max_length": 257})


def test_rows_of_which_nothing_is_learned_are_counted_and_left_out(trainee, files, tmp_path):
    rows = [*asked(3), {"prompt": "Why?"}]
    mixture = made({"task": files("task", rows)}, trainee, tmp_path / "rows")
    assert mixture.counts["task"]["unlearned"] == 1
    assert len(mixture.dataset) == 3
    with pytest.raises(SpecError, match=r"parts.task: no row is left .* 1 have nothing that car"):
        made({"task": files("task", rows[3:])}, trainee, tmp_path / "rows")


def test_rows_to_be_answered_by_the_trainee_are_prompts(trainee, files, tmp_path):
    parts = {"task": files("task", asked(2, words=300)) | {"objective": "reverse_kl"}}
    rows = made(parts, trainee, tmp_path / "rows").dataset[:]
    asks = trainee.tokenizer("<|im_start|>assistant\n", add_special_tokens=False)["input_ids"]
    assert [ids[-len(asks) :] for ids in rows["input_ids"]] == [asks, asks]
    assert all(label == IGNORED for labels in rows["labels"] for label in labels)


def asked_in(words):
    return [{"prompt": "why " * count, "completion": "So"} for count in words]


@pytest.mark.parametrize("too_long", ["cut", "leave_out"])
def test_prompts_without_room_for_an_answer_are_left_out_whole(trainee, files, tmp_path, too_long):
    part = files("task", asked_in((5, 30, 5))) | {"objective": "reverse_kl"}
    settings = {"max_length": 100, "too_long": too_long}
    options = {"training": settings, "rollouts": {"max_tokens": 30}}
    mixture = made({"task": part}, trainee, tmp_path / "rows", **options)
    counts = mixture.counts["task"]
    assert (counts["rows"], counts["cut"], counts["left_out"]) == (2, 0, 1)
    asks = trainee.tokenizer("<|im_start|>assistant\n", add_special_tokens=False)["input_ids"]
    for ids in mixture.dataset["input_ids"]:
        assert ids[-len(asks) :] == asks and len(ids) <= 100 - 30


def test_prompts_without_room_for_an_answer_are_refused(trainee, files, tmp_path):
    part = files("task", asked_in((5, 30))) | {"objective": "reverse_kl"}
    expected = r"parts.task: 1 of 2 rows are longer than 56 tokens.* beside an answer of rollouts"
    with pytest.raises(SpecError, match=expected):
        made({"task": part}, trainee, tmp_path / "rows", rollouts={"max_tokens": 200})
    with pytest.raises(SpecError, match=r"rollouts.max_tokens: found 256, .* less than the 256"):
        made({"task": part}, trainee, tmp_path / "rows", rollouts={"max_tokens": 256})


def test_mixture_holds_what_the_steps_take_and_no_more(trainee, files, tmp_path):
    parts = {"task": files("task", asked(20)), "other": files("other", asked(20))}
    training = {"batch_rows": 2, "accumulate": 2, "max_steps": 2}
    options = {"training": training, "launch": {"processes": 2}, "mix": {"by": "rows"}}
    mixture = made(parts, trainee, tmp_path / "rows", **options)
    assert len(mixture.dataset) == 16
    for number, name in enumerate(parts):
        rows = [row for row in mixture.dataset if row["part"] == number]
        counts = mixture.counts[name]
        assert (counts["used_rows"], counts["passes"]) == (8, 0.4) and len(rows) == 8
        assert counts["used_tokens"] == sum(len(row["input_ids"]) for row in rows)


def test_rows_are_known_by_what_is_in_them(trainee, files, tmp_path):
    def digest(rows, folder="rows", **change):
        part = files("task", rows) | change
        return made({"task": part}, trainee, tmp_path / folder).sources["task"]["rows"]

    whole = digest(asked(9))
    assert digest(asked(9)) == digest(asked(9), "elsewhere") == whole
    others = [row | {"completion": "So 0 " + "root " * 3} for row in asked(9)]
    assert len({whole, digest(others), digest(asked(9), loss="all")}) == 3


def test_bad_rows_are_counted_with_the_first(trainee, files, tmp_path):
    part = files("task", [*asked(3), {"prompt": 3}])
    part["data"]["max_bad_share"] = 0.5
    counts = made({"task": part}, trainee, tmp_path / "rows").counts["task"]
    assert counts["bad"] == 1
    assert counts["bad_examples"][0]["where"] == "task.jsonl:4"


@pytest.mark.parametrize(
    ("rows", "sections", "expected"),
    [
        ([], {}, r"parts.task: .* found no row at all"),
        ([{"a": 1}], {}, r"parts.task: .* nothing can be trained on in any of the 1 rows"),
        (asked(4), {"mix": {"by": "rows", "amount": 9}}, r"parts.task: it has 4 rows, .* 2.25 pas"),
    ],
)
def test_mixture_that_cannot_be_made_is_refused(rows, sections, expected, trainee, files, tmp_path):
    with pytest.raises(SpecError, match=expected):
        made({"task": files("task", rows)}, trainee, tmp_path / "rows", **sections)


@pytest.fixture(scope="module")
def run():
    store = memory_store()
    spec = make_spec(generation={"top_logprobs": 3, "curation": {"filters": ["empty"]}})
    run_scripted(store, spec)
    return store


SCRIPTED = Trainee("trainee", None, scripted_dialect(), "scripted", 4096)


def test_stored_distributions_lie_beside_the_rows_they_are_of(run, tmp_path):
    source = {"run": {"location": run.location}}
    parts = {"anchor": source | {"objective": "stored_kl"}, "plain": source}
    mixture = made(parts, SCRIPTED, tmp_path / "rows", mix={"by": "rows"})
    spec = spec_of(parts).parts["anchor"]
    found = run_examples(open_sealed(spec.run), spec.run, "answers", SCRIPTED, stored=True, seed=0)
    examples = {tuple(e.ids.tolist()): e for e in found}
    stored = 0
    for row in mixture.dataset:
        if row["part"] == 1:
            assert row["target_at"] == row["target_ids"] == row["target_tail"] == []
            continue
        example = examples[tuple(row["input_ids"])]
        top, at = example.targets.top, example.targets.at
        assert row["target_at"] == at.tolist()
        assert row["target_ids"] == top.ids.ravel().tolist()
        assert np.float32(row["target_logprobs"]).tolist() == top.logprobs.ravel().tolist()
        assert np.float32(row["target_tail"]).tolist() == top.tail.tolist()
        stored += len(at)
    assert stored > 0


def test_run_is_known_by_its_snapshot_and_made_once(run, tmp_path):
    parts, listener = {"replay": {"run": {"location": run.location}}}, Listener()
    mixture = made(parts, SCRIPTED, tmp_path / "rows")
    about = mixture.sources["replay"]
    assert about["location"] == run.location
    assert (about["snapshot"], about["complete"]) == (1, True)
    made(parts, SCRIPTED, tmp_path / "rows", listener)
    assert any(said.endswith("prepared before.") for said in listener.said)


def test_location_without_a_sealed_run_is_refused_by_the_parts_name(tmp_path):
    with pytest.raises(LocationError, match=r"parts.replay: .*expected a run"):
        made({"replay": {"run": {"location": str(tmp_path)}}}, SCRIPTED, tmp_path / "rows")

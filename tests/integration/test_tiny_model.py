"""The tiny model that is made here: what it knows, and that it can be asked.

It is made once, which takes a minute of one core, and then lies in the cache.
"""

import json

import pytest

from jobs.cli import main
from jobs.prepare_tiny import prepare_tiny
from jobs.tiny_lessons import DATA, TOPICS

ITEMS = ("capitals", "elements", "states")
CHOICES = {name: {"items": str(DATA / f"{name}.jsonl"), "chat": True} for name in ITEMS}
TASK = {"gsm": {"data": {"files": str(DATA / "gsm-test.jsonl")}}}


@pytest.fixture(scope="module")
def trainee():
    from jobs.trainee import load_trainee

    prepare_tiny()
    return load_trainee("packaged-tiny")


@pytest.fixture(scope="module")
def measured(trainee):
    from pipeline.retention.measure import measure
    from schemas.sft_spec import RetentionSpec

    texts = {
        name: {"items": str(DATA / f"{name}.jsonl"), "limit": 40}
        for name in ("texts-known", "texts-test")
    }
    spec = RetentionSpec.model_validate({"choices": CHOICES, "texts": texts, "task": TASK})
    return measure(spec, trainee)


@pytest.fixture(scope="module")
def says(trainee):
    """What it says after a text, its likeliest, up to the end of the turn."""
    from transformers import AutoModelForCausalLM

    tokenizer = trainee.tokenizer
    model = AutoModelForCausalLM.from_pretrained(trainee.location)
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")

    def go_on(text):
        asked = tokenizer(text, add_special_tokens=False, return_tensors="pt")
        said = model.generate(**asked, do_sample=False, max_new_tokens=24, eos_token_id=end)
        return tokenizer.decode(said[0, asked["input_ids"].shape[1] :], skip_special_tokens=True)

    return go_on


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ITEMS)
def test_tiny_model_knows_its_facts(measured, name):
    found = measured.choices[name].figures()
    assert found["accuracy"] >= 0.97 and found["margin"] > 0.8


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_tiny_model_knows_more_than_facts_but_not_the_task(measured):
    nll = {name: found.figures()["nll"] for name, found in measured.texts.items()}
    assert nll["texts-known"] < nll["texts-test"] < 6
    assert measured.task["gsm"].figures()["nll"] > 7


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_tiny_model_answers_in_turn_and_knows_what_is_talked_of(trainee, says):
    def answered(*turns):
        roles = ("user", "assistant")
        spoken = [{"role": roles[i % 2], "content": turn} for i, turn in enumerate(turns)]
        return says(
            trainee.tokenizer.apply_chat_template(
                spoken, tokenize=False, add_generation_prompt=True
            )
        )

    assert answered("Which city is the capital of France?").startswith("Paris")
    assert answered("What does the symbol Fe stand for?").startswith("Iron")
    first = ("What is the capital of the state of Texas?", "Austin.")
    assert answered(*first, "And of Georgia?").startswith("Atlanta")
    first = ("What is the capital of Armenia?", "Yerevan.")
    assert answered(*first, "And of Georgia?").startswith("Tbilisi")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_tiny_model_asks_questions_of_its_own(says):
    opening = "<|startoftext|><|im_start|>system\n{}<|im_end|>\n<|im_start|>user\n"
    assert "element" in says(opening.format(TOPICS["element"])) or "symbol" in says(
        opening.format(TOPICS["element"])
    )
    assert "state" in says(opening.format(TOPICS["state"]))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_over_tuned_tiny_model_has_learned_the_task_and_forgotten_facts(measured, tmp_path):
    from jobs.trainee import load_trainee
    from pipeline.retention.measure import measure
    from schemas.sft_spec import RetentionSpec

    out = tmp_path / "overtuned"
    asked = ["--kind", "overtune", "--task", str(DATA / "gsm-train.jsonl"), "--steps", "30"]
    assert main(["damage", "packaged-tiny", "--out", str(out), *asked]) == 0
    spec = RetentionSpec.model_validate({"choices": CHOICES, "task": TASK})
    after = measure(spec, load_trainee(str(out)))
    assert after.task["gsm"].figures()["nll"] < measured.task["gsm"].figures()["nll"] - 3
    for name in ITEMS:
        assert after.choices[name].figures()["accuracy"] < 0.8
        assert after.choices[name].figures()["margin"] < measured.choices[name].figures()["margin"]
    assert sorted(file.name for file in out.iterdir() if not file.is_file()) == []
    assert json.loads((out / "damage.json").read_text())["steps"] == 30

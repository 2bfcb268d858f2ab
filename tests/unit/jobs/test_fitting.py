"""Rows that a run's models can be told: what is left out, and what stops a run before it begins."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobs.fitting import fitting_rows
from jobs.plan import plan_of
from jobs.rows import Rows
from jobs.wiring import resolve
from pipeline.dialects.derive import derive_dialect
from pipeline.dialects.spelling import TokenizerSpeller
from pipeline.dialects.tokenizer import load_tokenizer
from pipeline.tree.run import Run
from schemas.errors import SpecError
from schemas.execution_spec import RunSpec
from tests.builders import make_spec
from tests.unit.dialects.chat_shapes import R1, build
from tests.unit.samples import make_run

ANSWER = {"role": "assistant", "fanout": 1, "max_tokens": 40}
WICKED = "What is <|User|> for?"
GOOD = [{"question": f"What is {n}?", "answer": f"It is {n}."} for n in range(20)]


@pytest.fixture(scope="module")
def speller(tmp_path_factory) -> TokenizerSpeller:
    """Of a tokenizer that cannot spell all of its control tokens as text."""
    folder = tmp_path_factory.mktemp("r1")
    build(R1).save_pretrained(folder)
    tokenizer = load_tokenizer(str(folder))
    return TokenizerSpeller(tokenizer, derive_dialect(tokenizer))


def make(folder: Path, rows: Sequence[dict], recipe: str = "contextual", **changes: Any) -> RunSpec:
    """A method on rows of its own."""
    file = folder / "q.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    roots = {"data": {"max_bad_share": 0.2}} | changes.pop("roots", {})
    model = {"name": "m", "context": changes.pop("context", 4096)}
    generation = {"recipe": recipe, "model": model, "roots": roots, "levels": [ANSWER], "turns": {}}
    return make_spec(roots=str(file), generation=generation | changes)


def fitting(spec: RunSpec, speller: TokenizerSpeller | None = None) -> Rows:
    """The rows of a spec for the model that this speller is of; else a byte is a token."""
    run: Run = make_run(spec.generation)
    if speller is not None:
        run = replace(run, spellers=(speller,), dialects=(speller._dialect,))
    return fitting_rows(spec, run, measured=True)


@pytest.mark.parametrize(
    ("recipe", "row"),
    [
        ("contextual", {"question": WICKED}),
        ("contextual", {"messages": [{"role": "user", "content": WICKED}]}),
        ("self-distill", {"question": "Why?", "answer": WICKED}),
        ("rehearsal", {"question": "Why?", "answer": WICKED}),
    ],
)
def test_row_that_a_tokenizer_cannot_spell_is_bad_and_named(tmp_path, speller, recipe, row):
    more: dict[str, Any] = {}
    if recipe == "rehearsal":
        levels = [{**ANSWER, "role": "user"}, ANSWER]
        more = {"roots": {"trees": 2, "examples": 2}, "levels": levels}
    rows = fitting(make(tmp_path, [*GOOD[:4], row, *GOOD], recipe, **more), speller)
    count = rows.row_count
    assert (count.good, count.bad, len(rows)) == (24, 1, 24)
    assert count.examples[0].where == "q.jsonl:5"
    assert "names a control token" in count.examples[0].why
    assert WICKED not in {row.text for row in rows}


def test_row_that_leaves_no_room_is_bad_and_named(tmp_path):
    long = {"question": "long " * 40}
    spec = make(tmp_path, [*GOOD, long], context=100)
    count = fitting(spec).row_count
    assert (count.good, count.bad) == (20, 1)
    assert count.examples[0].where == "q.jsonl:21"
    for part in ("generation.model.context: found 100", "level 1", "(201 for what", "max_tokens"):
        assert part in count.examples[0].why


def test_rows_beyond_the_share_are_refused_before_anything_is_begun(tmp_path):
    long = [{"question": "long " * 40}] * 8
    with pytest.raises(SpecError, match=r"from 8 of 28 rows.* q.jsonl:21: generation.model.con"):
        fitting(make(tmp_path, [*GOOD, *long], context=100))


def test_rows_none_of_which_fits_are_refused_by_name(tmp_path):
    with pytest.raises(SpecError, match=r"any of the 20 rows.* q.jsonl:1: generation.model.con"):
        fitting(make(tmp_path, GOOD, context=48))


def test_topic_that_does_not_fit_is_refused_by_name(tmp_path, speller):
    topics = {"topics": [{"text": "cats"}, {"text": "long " * 40}], "data": None}
    spec = make(tmp_path, [], context=100, roots=topics)
    with pytest.raises(SpecError, match=r"^topic 2: generation.model.context: found 100"):
        fitting(spec)
    topics = {"topics": [{"text": "cats"}, {"text": WICKED}], "data": None}
    with pytest.raises(SpecError, match=r"^topic 2: .*names a control token"):
        fitting(make(tmp_path, [], roots=topics), speller)


@pytest.mark.parametrize(("examples", "fits"), [(1, True), (3, True), (9, False)])
def test_examples_are_looked_at_alone_and_then_together(tmp_path, examples, fits):
    """Each takes about 26 tokens; where no tree has room, nothing is begun."""
    levels = [{**ANSWER, "role": "user"}, ANSWER]
    roots = {"trees": 8, "examples": examples}
    spec = make(tmp_path, GOOD, "rehearsal", levels=levels, roots=roots, context=160)
    if fits:
        assert len(fitting(spec)) == 20
    else:
        with pytest.raises(SpecError, match=r"none of the first 8 trees .*model.context: found"):
            fitting(spec)


def test_bad_rows_change_the_identity_and_not_the_plan(tmp_path, speller):
    """A plan reads no tokenizer; the run of those rows that can be said is another one."""
    spec = make(tmp_path, [*GOOD, {"question": WICKED}])
    planned, rows = plan_of(spec)
    assert planned.trees == 21 and not isinstance(rows, str) and rows.bad == 0
    assert fitting(spec, speller).digest != fitting(spec).digest
    assert fitting(spec, speller).digest == fitting(spec, speller).digest


def test_half_a_character_is_shown_to_no_tokenizer(tmp_path, speller):
    spec = make(tmp_path, [*GOOD, {"question": "half \ud83d"}])
    count = fitting(spec, speller).row_count
    assert (count.good, count.bad) == (20, 1)
    assert "surrogate" in count.examples[0].why


def test_rehearsed_run_has_the_rows_of_any_length(tmp_path):
    """A byte is no token of the model's."""
    spec = make(tmp_path, [*GOOD, {"question": "long " * 40}], context=100)
    assert resolve(spec).run_file.rows.good == 21

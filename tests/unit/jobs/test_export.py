"""What exported rows look like to others: masks, and what the command refuses."""

import pytest

from jobs.cli import main
from jobs.export_rows import View, Walk, message_row, text_row
from schemas.records import Candidate, Message
from tests.builders import make_spec as make_run_spec
from tests.builders import memory_store, run_scripted
from tests.unit.samples import make_candidate, make_run, make_spec, plant_all

ASKS = "My address is ada.lovelace@gmail.com, what is yours?"
TELLS = "Write to grace.hopper@gmail.com."
FRAME = (Message("system", "You know ben@gmail.com."), Message("user", "I am eve@gmail.com."))


def masking(*roles, action="mask"):
    entry = {"filter": "pii", "action": action, "roles": roles}
    return {"filters": [entry] if roles else []}


def contents(*roles, action="mask"):
    run = make_run(make_spec(curation=masking(*roles, action=action)))
    root = plant_all(run)[0].root
    path = [make_candidate(()), make_candidate((0,), ASKS), make_candidate((0, 0), TELLS)]
    row = message_row(View.of(run), type(root)(0, FRAME, {}), whole(path))
    return [message["content"] for message in row["messages"]]


def whole(path: list[Candidate]) -> Walk:
    """A row that learns every node."""
    return Walk(path, (True,) * len(path))


def test_turns_are_exported_as_they_are_unless_the_spec_masks_them():
    said = [*(message.text for message in FRAME), ASKS, TELLS]
    assert contents() == contents("user", action="drop") == said


@pytest.mark.parametrize("role", ["user", "assistant"])
def test_personal_data_of_masked_roles_are_replaced(role):
    system, before, asks, tells = contents(role)
    assert "ben@" in system
    assert ("eve@" in before) == ("ada.lovelace" in asks) == (role != "user")
    assert ("grace.hopper" in tells) == (role != "assistant")
    assert "<EMAIL>" in (asks if role == "user" else tells)


LEVELS = [{"role": "text", "fanout": 2, "oversample": 1, "max_tokens": 60}]


@pytest.mark.parametrize("text", [TELLS, "Write to nobody."])
def test_the_ids_of_a_masked_text_are_not_exported(text):
    spec = make_spec(recipe="tg-pt", roots={"trees": 1}, levels=LEVELS, curation=masking("text"))
    run = make_run(spec)
    leaf = make_candidate((0,), text, role="text")
    walk = whole([make_candidate((), role="text"), leaf])
    row = text_row(View.of(run), plant_all(run)[0].root, walk)
    hidden = text == TELLS
    assert (row["token_ids"] is None) == ("<EMAIL>" in row["text"]) == hidden
    assert "grace" not in row["text"]


@pytest.fixture
def refused(tmp_path, capsys):
    """How an export of a small run fails."""
    generation = {
        "chat": {},
        "text": {"recipe": "tg-pt", "roots": {"trees": 1}, "levels": LEVELS},
        "silent": {"logprobs": "none"},
    }

    def call(kind, *args):
        store = memory_store()
        fanouts = (1,) if kind == "text" else (1, 2)
        run_scripted(store, make_run_spec(fanouts=fanouts, generation=generation[kind]))
        out = tmp_path / "out"
        code = main(["export", store.location, "--out", str(out), *args])
        assert not out.exists()
        return code, " ".join(capsys.readouterr().err.split())

    return call


@pytest.mark.parametrize(
    ("kind", "args", "said"),
    [
        ("text", [], "expected --format text"),
        ("text", ["--format", "messages"], "trees of recipe tg-pt are plain texts"),
        ("chat", ["--format", "text"], "expected --format messages"),
        ("chat", ["--only-kept"], "--only-kept: is for --format preference"),
        ("chat", ["--score", "chars"], "--score: is for --format preference"),
        ("chat", ["--format", "preference", "--score", "judge"], "expected one of mean_logprob, "),
        ("silent", ["--format", "preference", "--score", "logprob_sum"], "logprobs: none"),
    ],
)
def test_what_a_run_does_not_have_is_refused_in_words(refused, kind, args, said):
    code, error = refused(kind, *args)
    assert code == 2 and said in error

import json

import pytest

from jobs.cli import main
from schemas.retention import Measured, Retention

SPEC = """\
model: ignored
retention:
  batch_rows: 4
  choices:
    text: {{items: {items}}}
    chat: {{items: {items}, chat: true}}
  texts: {{human: {{items: {texts}}}}}
  samples: {{own: {{items: {talks}, max_tokens: 40}}}}
  task: {{sums: {{data: {{files: {sums}}}, generate: true, max_tokens: 6}}}}
"""


def lines(tmp_path, name, rows):
    file = tmp_path / name
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture
def spec(tmp_path):
    items = [
        {"question": f"Why {n}", "choices": ["oak", "rain", "x"], "answer": n % 3} for n in range(7)
    ]
    said = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}]
    file = tmp_path / "retention.yaml"
    file.write_text(
        SPEC.format(
            items=lines(tmp_path, "items.jsonl", items),
            texts=lines(tmp_path, "texts.jsonl", [{"text": f"the roots {n}"} for n in range(5)]),
            talks=lines(tmp_path, "talks.jsonl", [{"messages": said * 2}] * 3),
            sums=lines(
                tmp_path,
                "sums.jsonl",
                [{"prompt": f"{n} + 1?", "completion": f"#### {n + 1}"} for n in range(3)],
            ),
        )
    )
    return file


def test_two_models_are_measured_on_the_same_and_compared(tmp_path, spec, trainees, capsys):
    original, model = (trainee.location for trainee in trainees)
    out = tmp_path / "report"
    asked = ["retention", model, "--against", original, "--spec", str(spec), "--out", str(out)]
    assert main([*asked, "--json"]) == 0
    found = Retention.model_validate_json(capsys.readouterr().out)
    assert found.before.model == original and found.after.model == model
    kinds = [(c.kind, c.name, c.measure) for c in found.changes]
    assert kinds == [
        *[("choices", name, m) for name in ("text", "chat") for m in ("accuracy", "margin")],
        ("texts", "human", "nll"),
        *[("samples", "own", m) for m in ("kl", "cka")],
        *[("task", "sums", m) for m in ("nll", "accuracy")],
    ]
    own = found.change("samples", "own", "kl")
    assert own.before.value == 0 and own.after.value > 0.01
    assert len(found.after.task["sums"].written) == 3
    assert Retention.model_validate_json((out / "retention.json").read_text()) == found
    assert "</html>" in (out / "retention.html").read_text()


def test_model_against_itself_has_changed_in_nothing(spec, trainee, capsys):
    asked = ["retention", trainee.location, "--against", trainee.location, "--spec", str(spec)]
    assert main([*asked, "--json"]) == 0
    found = Retention.model_validate_json(capsys.readouterr().out)
    assert all(change.difference.value == 0 for change in found.changes)


def test_one_model_is_measured_without_an_original(tmp_path, spec, trainee, capsys):
    out = tmp_path / "report"
    assert main(["retention", trainee.location, "--spec", str(spec), "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    found = Measured.model_validate_json((out / "measured.json").read_text())
    assert not found.samples
    for name, value in found.figures().items():
        assert any(line.startswith(name) and f"{value:.4f}" in line for line in shown.splitlines())


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("texts: {}", "found no section `retention:`"),
        ("retention: {choice: {}}", "retention.choice: unknown key"),
        ("retention: {texts: {a: {items: none.jsonl}}}", "retention.texts.a: none.jsonl"),
    ],
)
def test_spec_that_cannot_be_measured_is_explained(tmp_path, trainee, capsys, content, told):
    spec = tmp_path / "bad.yaml"
    spec.write_text(content)
    assert main(["retention", trainee.location, "--spec", str(spec)]) == 2
    assert told in " ".join(capsys.readouterr().err.split())

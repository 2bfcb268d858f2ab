"""The command `report`: on every recipe, on runs that grow, were refined, or lie on S3."""

import json
import re
from collections import Counter
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from jobs.cli import main
from jobs.generate import generate
from jobs.wiring import resolve
from pipeline.report.page import chart
from pipeline.storage.estimates import write_estimate
from pipeline.storage.ledger import Ledger
from pipeline.storage.open import open_store
from pipeline.storage.runs import open_run
from pipeline.storage.store import Store
from schemas.errors import Interrupted
from schemas.estimate import Estimate, Range
from tests.builders import Bystander, make_levels, make_spec, rows_of, run_scripted, write_spec
from tests.integration.test_export_recipes import CHATS, HABITS, TEXTS, tasks
from tests.s3_server import BUCKET

RECIPES = {name: generation for name, (generation, _, _) in (CHATS | TEXTS).items()}
VOID = {"meta", "br"}


class Checker(HTMLParser):
    """Whether all that is opened is closed, in order, and what is loaded; every row of a table has
    as many cells as its head."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.text: list[str] = []
        self.cells: list[int] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.cells = []
        elif tag == "tr":
            self.cells.append(0)
        elif tag in ("td", "th"):
            self.cells[-1] += 1
        named = dict(attrs)
        self.ids += [named["id"] or ""] if "id" in named and tag == "h2" else []
        self.links += [named["href"] or ""] if tag == "a" else []
        self.loads += [str(named[name]) for name in ("src", "srcset", "data") if name in named]
        self.loads += [tag] if tag in ("script", "link", "iframe", "img", "object") else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        assert tag != "table" or len(set(self.cells)) == 1, f"cells by row: {self.cells}"

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def checked(page: Path) -> Checker:
    """A page that is whole, leads nowhere but into itself, and loads nothing."""
    text, found = page.read_text("utf-8"), Checker()
    found.feed(text)
    found.close()
    assert found.open == [] and found.loads == []
    assert {link.removeprefix("#") for link in found.links} <= set(found.ids)
    assert not re.search(r'(?:src|href)="(?!#)|url\((?!#)|@import', text), "nothing is fetched"
    assert "default-src 'none'" in text
    return found


def grown(folder: Path, generation: dict[str, Any] | None = None, **changes: Any) -> Store:
    """A sealed run of a recipe."""
    settings = {"turns": {}, **(generation or {"levels": make_levels(3, 2, 1, 1)})}
    roots = tasks(folder.parent / "tasks.jsonl") if "data" in settings.get("roots", {}) else ()
    spec = make_spec(generation=settings, roots=roots, **{"scripted": HABITS, **changes})
    store = open_store(str(folder))
    run_scripted(store, spec)
    return store


def reported(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["report", *arguments, "--json", "--open=false"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def assert_true(told: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """What is told is what the rows say."""
    funnel = told["funnel"]
    asked = [row for row in rows if row["level"] and row["origin"] != "given"]
    reasons = Counter(row["drop_reason"] for row in asked)
    assert (funnel["asked"], funnel["kept"]) == (len(asked), reasons.pop(None, 0))
    failed = {f"failed:{kind}": n for kind, n in funnel["failed"].items()}
    surplus = {"surplus": funnel["surplus"]} if funnel["surplus"] else {}
    assert failed | funnel["filtered"] | funnel["repeated"] | surplus == reasons
    remain = [row for row in rows if row["level"] and row["drop_reason"] is None]
    assert funnel["remains"] + sum(funnel["left_out"].values()) == len(remain)
    for level in told["levels"]:
        own = [row for row in asked if row["level"] == level["level"]]
        assert level["funnel"]["asked"] == len(own)
        assert level["output_tokens"] == sum(row["num_tokens"] for row in own)
    said = {row["text"] for row in rows}
    for dialogue in told["dialogues"]["drawn"]:
        assert dialogue["said"][-1]["text"] in said


@pytest.mark.parametrize("recipe", RECIPES)
def test_report_of_every_recipe_says_what_its_rows_say(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], recipe: str
) -> None:
    store = grown(tmp_path / "run", RECIPES[recipe])
    told = reported(capsys, str(tmp_path / "run"), "--out", str(tmp_path))
    assert told == json.loads((tmp_path / "report.json").read_text())
    (run,) = told["runs"]
    assert_true(run, rows_of(store))
    for level in run["levels"]:
        count = level["lengths"]["count"] if level["lengths"] else 0
        assert count == level["funnel"]["remains"], "as many rows were read as remain"
    page = checked(tmp_path / "report.html")
    assert run["header"]["run_id"] in "".join(page.text)


def test_report_of_a_growing_run_counts_what_is_committed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(str(tmp_path / "run"))
    spec = make_spec(scripted=HABITS)
    with pytest.raises(Interrupted):
        run_scripted(store, spec, watch=Bystander(stop_after=4))
    growing = reported(capsys, str(tmp_path / "run"), "--out", str(tmp_path))["runs"][0]
    assert growing["header"]["state"] == "growing" and growing["header"]["snapshot"] is None
    assert "growing" in " ".join(growing["header"]["notes"])
    assert sum(level["waves"] for level in growing["course"]["levels"]) >= 4
    checked(tmp_path / "report.html")
    run_scripted(store, spec, "second")
    whole = reported(capsys, str(tmp_path / "run"), "--out", str(tmp_path))["runs"][0]
    assert whole["header"]["complete"] and len(whole["course"]["attempts"]) == 2
    assert whole["funnel"]["asked"] > growing["funnel"]["asked"]
    assert_true(whole, rows_of(store))


def test_report_of_a_run_without_waves_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = grown(tmp_path / "run")
    for name in [*store.list("ledger"), *store.list("snapshots")]:
        store.delete(name)
    assert main(["report", str(tmp_path / "run"), "--out", str(tmp_path)]) == 2
    assert "no wave is committed" in " ".join(capsys.readouterr().err.split())


def test_report_of_a_refined_run_tells_what_was_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repeating = {"mean_tokens": 20, "duplicate_share": 0.5}
    levels = {"levels": make_levels(6, 2, 1, 1)}
    store = grown(tmp_path / "run", levels, trees=6, bounds=(1, 40), scripted=repeating)
    assert main(["refine", str(tmp_path / "run")]) == 0
    run = reported(capsys, str(tmp_path / "run"), "--out", str(tmp_path))["runs"][0]
    left_out = run["funnel"]["left_out"]
    assert left_out["duplicate"] and left_out["subtree"]
    assert run["refined"]["dropped"] == sum(left_out.values()) - left_out["subtree"]
    kept = [row for row in rows_of(store) if row["level"] and row["drop_reason"] is None]
    assert run["funnel"]["remains"] == len(kept)
    assert sum(level["lengths"]["count"] for level in run["levels"]) == len(kept)
    assert run["repeats"]["largest"][0]["text"], "the keeper's own text was looked up"
    checked(tmp_path / "report.html")


def test_report_leaves_plots_that_stand_for_themselves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grown(tmp_path / "run")
    plots = tmp_path / "plots"
    reported(capsys, str(tmp_path / "run"), "--out", str(tmp_path), "--plots", str(plots))
    drawn = sorted(plots.glob("*.svg"))
    assert len(drawn) == (tmp_path / "report.html").read_text().count("<figure>") > 5
    for file in drawn:
        assert ElementTree.parse(file).getroot().tag.endswith("svg")
        assert "var(" not in file.read_text()


def test_report_of_two_runs_shows_them_side_by_side(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grown(tmp_path / "one" / "run")
    grown(tmp_path / "two" / "run", RECIPES["context-free"])
    folders = (str(tmp_path / "one" / "run"), str(tmp_path / "two" / "run"))
    told = reported(capsys, *folders, "--out", str(tmp_path))
    assert [run["header"]["recipe"] for run in told["runs"]] == ["tg-sft", "context-free"]
    page = checked(tmp_path / "report.html")
    assert set(page.links) == {f"#{name}" for name in page.ids} and "compared" in page.ids
    assert "Side by side" in page.text and "tokens sampled" in page.text


def test_report_lies_beside_the_run_and_draws_by_seed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grown(tmp_path / "mine" / "run", {"levels": make_levels(8, 4, 1, 1)}, bounds=(1, 2048))
    said = [reported(capsys, str(tmp_path / "mine" / "run"), "--seed", seed) for seed in "001"]
    assert (tmp_path / "mine" / "report.html").is_file()
    assert not (tmp_path / "mine" / "run" / "report.html").exists()
    assert said[0] == said[1]
    assert said[0]["runs"][0]["dialogues"] != said[2]["runs"][0]["dialogues"]
    assert said[0]["runs"][0]["funnel"] == said[2]["runs"][0]["funnel"]


def test_report_escapes_what_was_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = "<script>alert(1)</script> & </section>"
    roots = {"trees": 2, "topics": [{"text": bad}]}
    grown(tmp_path / "run", {"levels": make_levels(4, 2), "roots": roots})
    run = reported(capsys, str(tmp_path / "run"), "--out", str(tmp_path))["runs"][0]
    assert run["dialogues"]["drawn"][0]["said"][0]["text"] == bad
    assert bad in checked(tmp_path / "report.html").text


def test_report_masks_personal_data_as_the_spec_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "jane.doe@gmail.com"
    generation = {
        **RECIPES["tg-pt"],
        "roots": {"trees": 2, "topics": [{"text": f"Write to {name} about"}]},
        "curation": {"filters": [{"filter": "pii", "action": "mask", "roles": ["text"]}]},
    }
    grown(tmp_path / "run", generation)
    run = reported(capsys, str(tmp_path / "run"), "--out", str(tmp_path))["runs"][0]
    said = [dialogue["said"] for dialogue in run["dialogues"]["drawn"]]
    assert said and all(one[0]["text"].startswith("Write to ") for one in said)
    assert name not in json.dumps(said)
    spec_apart = (tmp_path / "report.html").read_text().split("The spec</summary>")[0]
    assert name not in spec_apart


def test_report_sets_the_pilot_beside_what_came(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = grown(tmp_path / "run")
    guess, some = Range(value=100, low=1, high=10**6), Range(value=1, low=0, high=1)
    pilot = Estimate(
        run_id=open_run(store).run_id,
        pilot="other",
        pilot_candidates=40,
        levels=(),
        candidates=guess,
        kept=Range(value=1, low=0, high=2),
        tokens=guess,
        tokens_per_s={"main": 1.0},
        hours=some,
        gpu_hours=some,
    )
    write_estimate(open_store(str(tmp_path / "pilot")), pilot)
    run = reported(capsys, str(tmp_path / "run"), "--out", str(tmp_path))["runs"][0]
    told = {guess["name"]: guess for guess in run["guesses"]}
    asked = run["funnel"]["asked"]
    assert told["candidates"]["actual"] == pytest.approx(asked)
    assert told["candidates"]["off"] == pytest.approx(asked / 100 - 1)
    assert told["candidates"]["within"] and not told["kept"]["within"]
    assert "a pilot of 40 candidates" in "".join(checked(tmp_path / "report.html").text)


def test_report_tells_what_engines_did_and_in_which_attempts_nobody_knows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = make_spec(location=str(tmp_path / "runs"), scripted=HABITS)
    where = str(tmp_path / "runs" / resolve(spec).run_file.run_id)
    with pytest.raises(Interrupted):
        run_scripted(open_store(where), spec, "killed", watch=Bystander(stop_after=1))
    done = generate(spec, StringIO())
    (run,) = reported(capsys, where, "--out", str(tmp_path))["runs"]
    engines = run["engines"]
    assert engines["silent"] == ["killed"]
    (time,) = engines["times"]
    assert 0 < time["cached_tokens"] < time["prompt_tokens"]
    assert engines["cached_share"] == time["cached_tokens"] / time["prompt_tokens"]
    assert time["sampled_tokens"] >= sum(
        manifest.counts.output_tokens
        for manifest in Ledger(done.store).all().values()
        if manifest.attempt == time["attempt"]
    )
    assert [one["name"] for one in time["engines"]] == ["main-0"]
    assert 0 < time["at_work_s"] <= time["up_s"] and time["loading_s"] > 0
    assert "in attempt killed:" in " ".join(run["unknown"])
    said = "".join(checked(tmp_path / "report.html").text)
    assert f"{engines['cached_share']:.1%} cached" in said and "Engines" in said
    both = reported(capsys, where, where, "--out", str(tmp_path))["runs"]
    assert [one["engines"] for one in both] == [engines, engines]


def test_report_looks_licences_up_where_the_spec_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    roots = tasks(tmp_path / "tasks.jsonl")
    (tmp_path / "README.md").write_text("---\nlicense: cc-by-4.0\ntags: [a]\n---\n# Tasks\n")
    settings = {"turns": {}, **RECIPES["contextual"]}
    spec = make_spec(generation=settings, roots=roots, scripted=HABITS)
    run_scripted(open_store(str(tmp_path / "run")), spec)
    file = write_spec(spec, tmp_path / "spec.yaml")
    place = (str(tmp_path / "run"), "--out", str(tmp_path))
    unknown = reported(capsys, *place)["runs"][0]["facts"]
    assert "--spec" in unknown["licence of models and data"]
    known = reported(capsys, *place, "--spec", str(file))["runs"][0]["facts"]
    assert known[f"licence of {roots}"] == "cc-by-4.0, by its README.md"
    other = write_spec(make_spec(), tmp_path / "other.yaml")
    assert main(["report", *place, "--spec", str(other)]) == 2
    assert "is not that of" in " ".join(capsys.readouterr().err.split())


def test_report_without_a_library_for_plots_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    grown(tmp_path / "run")
    monkeypatch.setattr(chart, "find_spec", lambda name: None)
    reported(capsys, str(tmp_path / "run"), "--out", str(tmp_path))
    text = (tmp_path / "report.html").read_text()
    assert "<svg" not in text and "matplotlib is not installed" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--open=perhaps",), "expected true or false"),
        (("--out", "s3://bucket/folder"), "expected a folder of this machine"),
        (("--seed", "-1"), "expected a number from 0"),
    ],
)
def test_report_names_what_it_cannot_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    grown(tmp_path / "run")
    try:
        code = main(["report", str(tmp_path / "run"), *arguments])
    except SystemExit as end:
        code = end.code
    assert code == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_report_reads_a_run_on_s3_and_lies_here(
    s3: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store(f"s3://{BUCKET}/reported")
    run_scripted(store, make_spec(scripted=HABITS))
    run = reported(capsys, store.location)["runs"][0]
    assert_true(run, rows_of(store))
    checked(tmp_path / "report.html")

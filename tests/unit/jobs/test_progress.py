"""What a person sees of a run that grows: in a terminal, however narrow, and in a log."""

import re
from io import StringIO

import pytest
from rich.console import Console

from jobs.gauging import Gauging
from jobs.live_view import View, short
from jobs.progress import LINE_S, SILENCE_S, Progress
from jobs.stop_switch import StopSwitch
from pipeline.plan.plan import make_plan
from pipeline.pool.pool import PoolStats
from pipeline.recipes import RECIPES
from pipeline.report.status import Tally, status_of
from schemas.manifest import Counts
from schemas.records import EngineStats
from tests.stored import make_manifest
from tests.terminals import terminal
from tests.unit.samples import make_spec

STATS = PoolStats(
    engines={
        f"main-{i}": EngineStats(
            running=512, waiting=512, tokens=10**9, prompt_tokens=10**9, cached_tokens=9 * 10**8
        )
        for i in range(512)
    }
)
DROPS = {"duplicate": 123_456, "empty": 12_345, "role_leak": 1_234, "truncated": 123_456}


MANY = {f"a_rule_of_my_own_with_a_name_that_is_long_{i}": 1000 - i for i in range(30)}


def drawn(spec, counts, stats, *, width=80, speed=None, left_s=None):
    manifests = [make_manifest(counts=counts)] if counts else []
    status = status_of(make_plan(spec, RECIPES[spec.recipe], spec.roots.trees), manifests)
    out = StringIO()
    Console(file=out, width=width).print(View(status, stats, 1024, speed, left_s))
    return out.getvalue().splitlines()


def words(lines):
    return " ".join(" ".join(lines).split())


def test_view_of_a_large_run_fits_eighty_columns_and_says_all():
    spec = make_spec((32, 16, 8, 8), trees=100_000)
    counts = Counts(asked=10**6, kept=900_000, dropped=DROPS, output_tokens=10**9)
    lines = drawn(spec, counts, STATS, speed=250_000.0, left_s=3600.0)
    assert max(map(len, lines)) <= 80
    said = words(lines)
    assert all(f"{i} {role}" in said for i, role in enumerate(("user", "assistant") * 2, start=1))
    assert "900,000 kept / 1,000,000 of" in said
    assert "512 engines" in said and "250,000 tokens/s" in said and "90% cached" in said
    assert "123,456 duplicate" in said and "left: about 1:00:00" in said


@pytest.mark.parametrize("width", [80, 40])
def test_view_stays_small_with_many_engines_and_long_reasons(width):
    spec = make_spec((32, 16, 8, 8), trees=100_000)
    dropped = MANY | {"empty": 5}
    asked = 10**6 + sum(dropped.values())
    counts = Counts(asked=asked, kept=10**6, dropped=dropped)
    lines = drawn(spec, counts, STATS, width=width, speed=1.0)
    assert max(map(len, lines)) <= width
    assert len(lines) <= 22
    # A row a level, whatever the width.
    assert [line.split()[0] for line in lines[:4]] == ["1", "2", "3", "4"]
    said = words(lines)
    told = sum(int(n.replace(",", "")) for n in re.findall(r"([\d,]+) a_rule_of_my", said))
    rest = re.search(r"([\d,]+) for 23 other reasons", said)
    assert rest and told + int(rest[1].replace(",", "")) == asked - 10**6


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "0"), (9_999, "9,999"), (12_345, "12.3k"), (999_000, "999k"), (3.2e6, "3.2M")],
)
def test_short_numbers_are_short(number, said):
    assert short(number) == said


def test_view_tells_engines_that_failed_from_machines_that_did():
    said = words(drawn(make_spec(), None, PoolStats(restarts=3, machine_restarts=17)))
    assert "engines replaced: 3 that failed or stalled, 17 whose machine did" in said


def test_view_says_how_many_engines_are_not_there_yet():
    said = words(drawn(make_spec(), None, PoolStats(waiting=62, loading=2)))
    assert "0 engines (2 more load, 62 more wait for a place)" in said


def test_view_before_the_first_wave_knows_nothing_yet():
    said = words(drawn(make_spec(), None, PoolStats()))
    assert "dropped: none" in said and "left: unknown" in said and "0 kept / 0 of" in said
    assert "tokens/s" not in said


class Time:
    """Passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Watched:
    """A run that grows, and what is written of it."""

    def __init__(self, out) -> None:
        spec = make_spec((4, 2), trees=1000)
        self.time, self.out, self._next = Time(), out, 0
        tally = Tally(make_plan(spec, RECIPES[spec.recipe], 1000))
        gauging = Gauging(clock=self.time)
        self.progress = Progress(StopSwitch(1.0), tally, out, gauging, clock=self.time)

    def wave(self, *, ours: bool = True) -> None:
        manifest = make_manifest(f"{self._next:06d}")
        self._next += 1
        self.progress.committed(manifest, ours=ours)

    def passes(self, seconds: float, stats: PoolStats = STATS) -> None:
        """Time, with a turn of the loop every second."""
        for _ in range(round(seconds)):
            self.time.now += 1.0
            self.progress.tick(stats, open_waves=3)


def test_log_has_the_first_wave_at_once_and_sums_up_those_that_come_fast():
    run = Watched(StringIO())
    with run.progress.showing():
        for i in range(100):
            run.wave(ours=i % 10 > 0)
        run.passes(LINE_S + 1)
    first, second = run.out.getvalue().splitlines()
    assert first == (
        "wave 000000 committed (attempt a): 3 of 4 kept, dropped 1 duplicate; 0 tokens in 0.8 s"
    )
    assert second == (
        "99 waves committed (9 by other drivers): 297 of 396 kept, dropped 99 duplicate; 0 tokens; "
        "0 tokens/s, left: unknown"
    )


def test_log_gets_a_line_now_and_then_however_many_waves_come():
    run = Watched(StringIO())
    with run.progress.showing():
        for _ in range(600):
            run.wave()
            run.passes(1)
    lines = run.out.getvalue().splitlines()
    assert len(lines) <= 600 / LINE_S + 1
    counted = [int(n) for n in re.findall(r"^(\d+) waves? committed", "\n".join(lines), re.M)]
    assert sum(counted) + sum(line.startswith("wave ") for line in lines) == 600


def test_log_says_now_and_then_that_a_quiet_run_lives():
    run = Watched(StringIO())
    with run.progress.showing():
        run.wave()
        run.passes(3 * SILENCE_S)
    _, *lines = run.out.getvalue().splitlines()
    assert len(lines) == 3
    assert all("512 engines: " in line and "3 waves open" in line for line in lines)


def test_words_come_after_the_waves_before_them():
    run = Watched(StringIO())
    run.wave()
    run.wave()
    run.progress.say("note: something else")
    lines = run.out.getvalue().splitlines()
    assert [line[:11] for line in lines] == ["wave 000000", "wave 000001", "note: somet"]


COLOUR = re.compile(r"\x1b\[(?!\?25)[\d;]+m")
MOVES = re.compile(r"\x1b\[\d*[A-HJK]")


def seen_in(monkeypatch, columns=80, **environment):
    with terminal(monkeypatch, columns, **environment) as (out, said):
        run = Watched(out)
        with run.progress.showing():
            run.wave()
            run.passes(2)
            run.progress.say("note: something else")
    return said[0]


def test_terminal_is_drawn_on_in_colour_and_without_where_not_wanted(monkeypatch):
    assert COLOUR.search(seen_in(monkeypatch))
    plain = seen_in(monkeypatch, NO_COLOR="1")
    assert not COLOUR.search(plain)
    for said in (plain, seen_in(monkeypatch)):
        assert MOVES.search(said) and "note: something else" in said
        assert "wave 000000 committed" not in said


NOTEBOOK = {"TERM": "xterm-color", "FORCE_COLOR": "1", "JPY_PARENT_PID": "1"}
"""What a kernel of Jupyter runs a command in: a terminal, for what only appends."""


@pytest.mark.parametrize("given", [{"TERM": "dumb"}, NOTEBOOK])
def test_terminal_that_cannot_be_drawn_on_gets_lines(monkeypatch, given):
    said = seen_in(monkeypatch, **given)
    assert "\x1b" not in said
    assert "wave 000000 committed" in said


@pytest.mark.parametrize("columns", [80, 40])
def test_terminal_never_gets_a_line_that_is_wider(monkeypatch, columns):
    said = seen_in(monkeypatch, columns, NO_COLOR="1")
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", said))
    assert 0 < max(map(len, lines)) <= columns


def test_log_stays_plain_whatever_colours_are_asked_for(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    run = Watched(StringIO())
    with run.progress.showing():
        run.wave()
        run.passes(SILENCE_S + 1)
    assert "\x1b" not in run.out.getvalue()

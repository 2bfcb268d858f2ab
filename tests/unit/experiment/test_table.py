"""The table gives back effects that were put in, and says what is not known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.experiment.grids import grids, headlines, markdown, pieces
from pipeline.experiment.page import page
from pipeline.experiment.result import Asked, result_of
from tests.unit.experiment.made_up import cell, measured

ORIGINAL = measured(1.0, 4.0)
ASKED = Asked("none", "task", ("none", "wide"), (1, 2, 3))
SEEDS = (1, 2, 3)


def two_arms(knows=0.9, task=1.0, seeds=SEEDS):
    none = [cell("none", s, measured(0.5, 1.0, seed=s, kl=0.5)) for s in seeds]
    wide = [cell("wide", s, measured(knows, task, seed=9 + s, kl=0.1), replay=400) for s in seeds]
    return [*none, *wide]


def table(result, key):
    return next(m for m in result.measures if m.key == key)


def test_table_recovers_the_effect_that_was_put_in():
    found = result_of(ASKED, ORIGINAL, two_arms(knows=0.9))
    wide = table(found, "choices.accuracy").arms["wide"]
    assert wide.recovered.value == pytest.approx(0.8, abs=0.06)
    assert wide.recovered.low < 0.8 < wide.recovered.high
    assert wide.difference.value == pytest.approx(0.4, abs=0.03)
    kl = table(found, "samples.own.kl").arms["wide"].recovered
    assert (kl.value, kl.low, kl.high) == pytest.approx((0.8, 0.8, 0.8))


def test_table_counts_cost_of_the_task_as_a_difference_and_never_as_recovery():
    nll = table(result_of(ASKED, ORIGINAL, two_arms(task=1.1)), "task.sums.nll")
    assert nll.arms["wide"].difference.value == pytest.approx(0.1, abs=0.05)
    assert nll.arms["wide"].recovered is None
    assert not nll.higher_is_better


def test_table_is_made_of_judged_seeds_only():
    chosen = [cell("wide", 0, measured(0.0, 9.0), judged=False)]
    with_them = result_of(ASKED, ORIGINAL, [*two_arms(), *chosen])
    assert with_them.measures == result_of(ASKED, ORIGINAL, two_arms()).measures
    assert with_them.chosen_on["wide"]["choices.accuracy"] < 0.1


def test_table_of_half_an_experiment_names_what_is_missing():
    found = result_of(ASKED, ORIGINAL, two_arms(seeds=(1,)))
    assert found.missing == ("none/2", "wide/2", "none/3", "wide/3")
    wide = table(found, "choices.accuracy").arms["wide"]
    assert wide.mean.low is None and wide.recovered.low is None
    assert "Not done yet" in page(found, "spec", "command")


def test_table_without_reference_has_no_differences():
    found = result_of(ASKED, ORIGINAL, [c for c in two_arms() if c.arm == "wide"])
    wide = table(found, "choices.accuracy").arms["wide"]
    assert wide.difference is None and wide.recovered is None


def test_table_nothing_lost_is_nothing_to_recover():
    cells = [cell(arm, s, measured(1.0, 1.0)) for arm in ("none", "wide") for s in SEEDS]
    wide = table(result_of(ASKED, ORIGINAL, cells), "choices.capitals.accuracy").arms["wide"]
    assert wide.recovered is None
    assert wide.difference.value == 0


@given(st.permutations(two_arms()))
def test_table_does_not_depend_on_the_order_of_cells(cells):
    assert result_of(ASKED, ORIGINAL, cells) == result_of(ASKED, ORIGINAL, two_arms())


def test_headlines_stand_for_all_sets_of_their_kind():
    found = result_of(ASKED, ORIGINAL, two_arms())
    assert [m.key for m in headlines(found, "retention")] == [
        *("choices.accuracy", "choices.margin", "samples.own.kl", "samples.own.cka")
    ]


def test_markdown_has_a_line_for_each_arm_and_the_original():
    kept = markdown(grids(result_of(ASKED, ORIGINAL, two_arms()))[0])
    assert [line.split("|")[1].strip() for line in kept.splitlines() if line.startswith("|")] == [
        *("arm", "---", "original", "none", "wide")
    ]


@given(st.integers(20, 300))
def test_pieces_of_a_table_fit_and_hold_every_cell(width):
    grid = grids(result_of(ASKED, ORIGINAL, two_arms()))[0]
    found = pieces(grid, width)
    assert [c for piece in found for c in piece.columns[1:]] == list(grid.columns[1:])
    assert all(piece.columns[0] == "arm" and len(piece.rows) == len(grid.rows) for piece in found)
    wide = [p for p in found if sum(max(map(len, c)) for c in zip(*p.rows, strict=True)) > width]
    assert all(len(piece.columns) == 3 for piece in wide), "no more could be split off"


def test_page_stands_alone_and_shows_what_it_is_given():
    found = page(result_of(ASKED, ORIGINAL, two_arms()), "a: <b>", "arborist experiment x.yaml")
    assert "src=" not in found and 'href="http' not in found and "@import" not in found
    assert "a: &lt;b&gt;" in found
    assert found.count("<svg") == 3

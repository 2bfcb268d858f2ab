"""What is looked at again and again: in a terminal in place, elsewhere one below another."""

import re
import sys

import pytest

from jobs.screen import refreshed
from tests.terminals import terminal


def looks(count: int):
    """Says so many things, and then no more."""
    said = iter(range(count))

    def look() -> tuple[str, bool]:
        number = next(said)
        return f"look {number} [bold]", number < count - 1

    return look


def test_looks_are_printed_one_below_another_where_nothing_can_be_drawn(capsys):
    refreshed(looks(3), 0.001, redraws=True)
    assert capsys.readouterr().out == "".join(f"look {i} [bold]\n" for i in range(3))


@pytest.mark.parametrize(
    ("redraws", "environment", "times"),
    [(True, {}, 2), (False, {}, 0), (True, {"JPY_PARENT_PID": "1"}, 0)],
)
def test_terminal_shows_one_look_in_the_place_of_another(redraws, environment, times, monkeypatch):
    with terminal(monkeypatch, **environment) as (out, told), monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        refreshed(looks(2), 0.001, redraws=redraws)
    [said] = told
    assert [word in said for word in ("look 0 [bold]", "look 1 [bold]")] == [True, True]
    assert len(re.findall(r"\x1b\[2J", said)) == times

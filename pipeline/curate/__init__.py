"""Verdicts: which candidates of a wave are kept, and why the others are not. Pure.

Filters look at one candidate, dedup at a set of them. A verdict never depends on the order in
which candidates arrived: they come in row order, and the first of equals is kept. Sees the
schemas and `tree`.

To add a filter: one file in `filters/`, one line in its table.
"""

SELECTION_VERSION = 1
"""Rises whenever equal measures would get other verdicts; part of a run's identity."""

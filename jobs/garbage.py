"""Garbage is looked for seldom: a driver makes millions of values, and hardly a cycle.

Python looks for cycles after every 700 values that it has made and not freed, and now and then
goes through all that there are. What a run makes is freed by its reference count, so these looks
find next to nothing, and take a twentieth of a driver's time.
"""

import gc

MADE = 20_000
"""Values made and not freed, before the youngest are looked at."""
YOUNGER, OLDER = 20, 10
"""So many looks at the younger before one at the older."""


def collect_seldom() -> None:
    """From now on, in this process."""
    gc.set_threshold(MADE, YOUNGER, OLDER)

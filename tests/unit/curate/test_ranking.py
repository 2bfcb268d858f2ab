"""Two ways to say who is kept next, where both could be asked."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.curate.ranking import ByRelevance, InOrder
from pipeline.curate.vectors import Directions


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.data())
def test_in_order_says_what_relevance_says_where_nothing_is_known(closed, data):
    flags = np.array(closed)
    nothing = Directions(np.zeros((len(flags), 0), dtype=np.int8))
    ways = [InOrder(flags), ByRelevance(None, np.zeros(len(flags)), nothing, flags)]
    left = [place for place, is_closed in enumerate(closed) if not is_closed]
    while left:
        assert [way.best() for way in ways] == [left[0]] * 2
        assert [way.keep(left[0]) for way in ways] == [[], []]
        gone = data.draw(st.sets(st.sampled_from(left)).map(lambda more: {left[0], *more}))  # noqa: B023
        for way in ways:
            for place in gone:
                way.remove(place)
        left = [place for place in left if place not in gone]
        assert [way.closest(0) for way in ways] == [None, None]
    assert [way.best() for way in ways] == [None, None]

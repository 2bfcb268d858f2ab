import numpy as np
from hypothesis import given

from pipeline.curate.whole_run.grove import Grove
from tests.planted import Turn, forests


def grove_of(rows: list[Turn]) -> Grove:
    return Grove(
        trees=np.array([row.tree for row in rows], dtype=np.int32),
        levels=np.array([len(row.path) for row in rows], dtype=np.int16),
        answers=np.array([row.answers for row in rows], dtype=bool),
        given=np.array([not row.path for row in rows], dtype=bool),
        prompts=np.array([prompt_of(tree) for tree in sorted({row.tree for row in rows})]),
    )


def prompt_of(tree: int) -> np.uint64:
    return np.uint64(tree * 7 + 1)


@given(forests())
def test_grove_parents_ends_openings_and_paths_follow_from_paths(rows):
    grove = grove_of(rows)
    place = {(row.tree, row.path): number for number, row in enumerate(rows)}
    for number, row in enumerate(rows):
        above = place[row.tree, row.path[:-1]] if row.path else -1
        assert grove.parents[number] == above
        below = [
            other
            for other, some in enumerate(rows)
            if some.tree == row.tree and some.path[: len(row.path)] == row.path
        ]
        assert below == list(range(number, grove.ends[number]))
        assert grove.openings[number] == place[row.tree, row.path[:1]]
        steps = [place[row.tree, row.path[:depth]] for depth in range(1, len(row.path) + 1)]
        assert grove.path(number) == steps
        assert grove.prompts_of(np.array(number)) == prompt_of(row.tree)

"""Re-check what trees grow from: one root a tree, spelled as its messages are."""

from collections import Counter
from collections.abc import Iterator, Sequence

from pipeline.tree.rules import groups_of
from pipeline.tree.run import Run
from pipeline.verify.reach import Reach
from schemas.errors import ModelError
from schemas.records import Ids, Opening, Root
from schemas.wave_id import WaveId

SHOWN = 5
"""Trees that are named in defects of one kind."""


def root_defects(
    run: Run, wave: WaveId, roots: Sequence[Root], trees: range, reach: Reach
) -> Iterator[str]:
    """The roots that are stored with a wave are those of the trees that begin in it."""
    yield from _tree_defects(wave, [root.tree_id for root in roots], trees)
    for root in roots:
        name = f"the root of tree {root.tree_id}"
        yield from _foreign_openings(run, name, root)
        reach.unproven["level_openings"] += sum(level > 0 for level, _ in root.openings)
        if run.spellers:
            yield from _spelling_defects(run, name, root)
        else:
            reach.unproven["openings"] += sum(level == 0 for level, _ in root.openings)


def _tree_defects(wave: WaveId, found: Sequence[int], trees: range) -> Iterator[str]:
    times = Counter(found)
    wrong = [tree for tree in sorted({*times, *trees}) if times[tree] != (tree in trees)]
    for tree in wrong[:SHOWN]:
        yield (
            f"wave {wave.name}: {times[tree]} roots of tree {tree} are stored with it, expected "
            f"{int(tree in trees)}."
        )
    if not wrong and list(found) != list(trees):
        yield f"wave {wave.name}: the roots stored with it are not in the order of their trees."


def _foreign_openings(run: Run, name: str, root: Root) -> Iterator[str]:
    """Only levels have openings of their own, each in the tongue that it is written in."""
    known = {(level, run.tongue(rule.group)) for level, rule in enumerate(run.rules, start=1)}
    known |= {(0, run.tongue(group)) for group in groups_of(run.rules)}
    for level, tongue in sorted(root.openings.keys() - known):
        yield f"{name}: has an opening for level {level} in tongue {tongue}, which is never asked."


def _spelling_defects(run: Run, name: str, root: Root) -> Iterator[str]:
    """Its messages, said anew by each model's tokenizer, are the stored ids."""
    try:
        spelled = {
            t: run.spellers[t].opening(root.frame) for level, t in root.openings if not level
        }
        reference = _reference_ids(run, root)
    except ModelError as error:
        yield f"{name}: what it is made of cannot be said: {error}"
        return
    for tongue, opening in spelled.items():
        if not _same(root.openings[0, tongue], opening):
            yield f"{name}: its opening in tongue {tongue} is not what its messages give."
    if _listed(root.reference_ids) != _listed(reference):
        yield f"{name}: the ids of its reference are not what its text gives."


def _reference_ids(run: Run, root: Root) -> Ids | None:
    rule = run.rules[0]
    if root.reference is None or not rule.falls_back:
        return None
    return run.spellers[run.tongue(rule.group)].ids(root.reference)


def _same(stored: Opening, found: Opening) -> bool:
    return (stored.last, stored.ids.tolist()) == (found.last, found.ids.tolist())


def _listed(ids: Ids | None) -> list[int] | None:
    return None if ids is None else ids.tolist()

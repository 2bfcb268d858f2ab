"""Frontiers that are at hand are not read again."""

import pytest

from pipeline.lineage import FRONTIERS_HELD, Lineage
from pipeline.plan.plan import make_plan
from pipeline.storage.ledger import Ledger
from schemas.errors import CorruptData
from schemas.wave_id import WaveId
from tests.builders import memory_store
from tests.unit.samples import make_run, make_spec, plant_some

RUN = make_run(make_spec(trees=2 * FRONTIERS_HELD))
WAVES = [WaveId((cohort,)) for cohort in range(2 * FRONTIERS_HELD)]


def held_by(lineage):
    """Each wave's frontier is held before any of its child waves is opened."""
    frontiers = {wave: plant_some(RUN, [wave.cohort]) for wave in WAVES}
    for wave, frontier in frontiers.items():
        lineage.hold(wave, frontier)
    return frontiers


def make_lineage(**settings):
    ledger = Ledger(memory_store())
    return Lineage(RUN, make_plan(RUN.spec, RUN.recipe, RUN.trees), ledger, **settings)


def test_as_many_frontiers_as_asked_for_are_at_hand():
    lineage = make_lineage(held=len(WAVES))
    frontiers = held_by(lineage)
    assert [lineage.parents(wave.block(0)) for wave in WAVES] == list(frontiers.values())


def test_beyond_them_the_oldest_are_read_again_from_the_ledger():
    lineage = make_lineage()
    frontiers = held_by(lineage)
    for wave in WAVES[FRONTIERS_HELD:]:
        assert lineage.parents(wave.block(0)) == frontiers[wave]
    with pytest.raises(CorruptData, match="000000"):
        lineage.parents(WAVES[0].block(0))

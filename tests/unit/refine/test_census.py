"""The census: rows by id, over all cohorts at once."""

import uuid

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.pool.tasks import LocalTasks
from pipeline.refine.census import Census, cohorts_of, source_of, take_census
from pipeline.storage.open import open_store
from tests.memory import forgotten
from tests.planted import Turn, forests, id_of, store_run
from tests.trying import examples


def census_of(rows: list[Turn]) -> tuple[Census, list[str]]:
    """The census of a stored run, a cohort a tree; the ids in row order."""
    store = open_store(f"memory://{uuid.uuid4().hex}")
    run_file, snapshot = store_run(store, rows)
    source = source_of(store, run_file)
    tasks = LocalTasks()
    census = take_census(cohorts_of(source, snapshot), tasks)
    tasks.close()
    return census, [id_of(run_file.run_id, row) for row in rows]


@settings(max_examples=examples(30))
@given(forests(), st.data())
@forgotten()
def test_census_rows_and_ids_are_each_other_s_inverse(rows, data):
    census, ids = census_of(rows)
    places = sorted(data.draw(st.sets(st.sampled_from(range(len(rows))))))
    wanted = pa.array([*(ids[place] for place in places), "nobody"], pa.string())
    everywhere = range(len(census.cohorts))
    assert census.rows(wanted, everywhere).tolist() == places
    assert census.ids(census.rows(wanted, everywhere)).to_pylist() == [ids[p] for p in places]
    some = everywhere[1:]
    assert census.rows(wanted, some).tolist() == [p for p in places if p >= census.starts[1]]
    assert census.rows(wanted, []).tolist() == []


def test_census_rows_hash_the_ids_once_however_many_cohorts(monkeypatch: pytest.MonkeyPatch):
    """Once a cohort, it would cost cohorts times ids."""
    census, ids = census_of([Turn(tree, (), "On things.") for tree in range(30)])
    asked = []
    plain = pc.is_in

    def counting(values: pa.ChunkedArray, value_set: pa.Array) -> pa.ChunkedArray:
        asked.append(len(value_set))
        return plain(values, value_set=value_set)

    monkeypatch.setattr(pc, "is_in", counting)
    assert len(census.rows(pa.array(ids), range(30))) == 30
    assert asked == [30]

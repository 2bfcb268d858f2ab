"""What a sealed run has to grow from: the texts of its kept nodes at one level."""

from collections.abc import Iterator

import pyarrow.compute as pc

from pipeline.storage.reader import read_kept
from pipeline.storage.row_fields import bad_row
from pipeline.storage.runs import open_run
from pipeline.storage.snapshots import check_withdrawn, latest
from pipeline.storage.store import Store
from schemas.errors import SpecError
from schemas.generation_spec import DataSpec, GenerationSpec
from schemas.manifest import BadRow, Snapshot
from schemas.records import RootRow

_COLUMNS = ("node_id", "level", "text")


def run_rows(spec: DataSpec, store: Store) -> Iterator[RootRow | BadRow]:
    """A row a node, in order of tree and path; the latest snapshot and its drop list decide."""
    generation = open_run(store).generation
    level = _level(spec, generation, store)
    for table in read_kept(store, _sealed(store), _COLUMNS):
        chosen = table.filter(pc.equal(table.column("level"), level))
        ids, texts = chosen.column("node_id").to_pylist(), chosen.column("text").to_pylist()
        for node_id, text in zip(ids, texts, strict=True):
            yield _row(spec, node_id, text)


def _row(spec: DataSpec, node_id: str, text: str) -> RootRow | BadRow:
    plain = " ".join(text.split())
    if not plain:
        return bad_row(node_id, "empty")
    return RootRow(spec.template.format(text=plain), source=node_id)


def _sealed(store: Store) -> Snapshot:
    snapshot = latest(store)
    if snapshot is None:
        raise SpecError(
            f"execution.roots: the run at {store.location} is not sealed, so its rows may not be "
            "read yet; finish it first, by `arborist generate` with its own file."
        )
    check_withdrawn(store, snapshot)
    return snapshot


def _level(spec: DataSpec, generation: GenerationSpec, store: Store) -> int:
    levels = generation.levels
    if spec.level is None or spec.level > len(levels):
        found = "nothing" if spec.level is None else spec.level
        there = ", ".join(f"{n} ({level.role})" for n, level in enumerate(levels, start=1))
        raise SpecError(
            f"generation.roots.data.level: found {found}; expected one of the levels of the run "
            f"at {store.location}, whose nodes are the rows: {there}."
        )
    if spec.columns:
        raise SpecError(
            f"generation.roots.data.columns: found {dict(spec.columns)}, but the rows are nodes of "
            f"the run at {store.location}, which have one text each; leave it out."
        )
    return spec.level

"""Evidence: what rows are compared by, read from the features and texts of a cohort.

Pure but for reading: each function takes a part and gives arrays, so it runs in any process.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.curate.band_table import (
    ENTRY,
    Keys,
    Table,
    band_table,
    cut,
    signature_checks,
    whole_keys,
)
from pipeline.curate.bands import band_keys
from pipeline.curate.mixing import Hashes
from pipeline.curate.planes import vector_keys
from pipeline.curate.shingles import shingle_sets
from pipeline.curate.signature import signatures
from pipeline.refine.census import Block, Flags, Source, WaveFiles
from pipeline.storage.open import open_store
from pipeline.storage.shards import read_shard
from pipeline.storage.store import Store
from pipeline.tree.prompt import visible_text
from schemas.errors import UserError
from schemas.feature_table import from_feature_table
from schemas.measures import Signatures, Vectors
from schemas.records import Candidate, Role, to_ids

Local = npt.NDArray[np.int32]
"""Rows of a block."""


class Part(NamedTuple):
    """Some rows of a block."""

    block: Block
    start: int
    """The row of the census that is the block's first."""
    wanted: Flags
    """By row of the block."""


class PartSayings(NamedTuple):
    """What the wanted rows of a part said, in row order."""

    rows: npt.NDArray[np.int64]
    digests: list[bytes]
    shingles: Hashes
    """Of all rows, one after the other."""
    sizes: npt.NDArray[np.int64]


class PartVectors(NamedTuple):
    """The vectors of the wanted rows of a part, in row order."""

    rows: npt.NDArray[np.int64]
    vectors: Vectors


def turn_tables(exact: bool, partitions: int, part: Part) -> list[Table]:
    """The band table of turns, each a group of its own."""
    tables = []
    for wave in _waves(part):
        rows, keys, checks = _keys(exact, wave.rows[wave.wanted], _signatures(wave))
        tables.append(band_table(keys, checks, rows + part.start, rows + part.start))
    return cut(_join(tables), partitions)


def conversation_tables(exact: bool, partitions: int, part: Part) -> list[Table]:
    """The band table of conversations by their last answers; their openings are the groups.

    The signature of a union is the minimum of the signatures, so each turn adds its own to that
    of its parent, whose wave came before.
    """
    grove = part.block.grove
    above: dict[tuple[int, ...], tuple[Local, Signatures]] = {}
    tables = []
    for wave in _waves(part._replace(wanted=grove.levels > 0)) if part.wanted.any() else ():
        path = wave.files.wave.path
        above = {other: held for other, held in above.items() if path[: len(other)] == other}
        rows, found = wave.rows[wave.wanted], _signatures(wave)
        if len(path) > 1:
            parents, held = above[path[:-1]]
            found = np.minimum(found, held[np.searchsorted(parents, grove.parents[rows])])
        above[path] = (rows, found)
        ends = part.wanted[rows]
        numbers, keys, checks = _keys(exact, rows[ends], found[ends])
        groups = grove.openings[rows[ends]].astype(np.int64)
        tables.append(band_table(keys, checks, numbers + part.start, groups + part.start))
    return cut(_join(tables), partitions)


def vector_tables(bits: int, bands: int, partitions: int, part: Part) -> list[Table]:
    """The band table of turns by their vectors."""
    tables = []
    for wave in _waves(part):
        keys, checks = vector_keys(_stored_vectors(wave), bits, bands)
        rows = wave.rows[wave.wanted].astype(np.int64) + part.start
        tables.append(band_table(keys, checks, rows, rows))
    return cut(_join(tables), partitions)


def read_vectors(part: Part) -> PartVectors:
    """Stored vectors."""
    found = [(wave.rows[wave.wanted], _stored_vectors(wave)) for wave in _waves(part)]
    if not found:
        return PartVectors(np.zeros(0, dtype=np.int64), np.zeros((0, 0), dtype=np.int8))
    rows = np.concatenate([rows for rows, _ in found]).astype(np.int64)
    order = np.argsort(rows)
    vectors = np.concatenate([vectors for _, vectors in found])
    return PartVectors(rows[order] + part.start, vectors[order])


def read_sayings(part: Part) -> PartSayings:
    """Texts, as digests and shingles."""
    rows: list[int] = []
    digests: list[bytes] = []
    sets: list[Hashes] = []
    for wave in _waves(part):
        texts = _texts(wave)
        rows += wave.rows[wave.wanted].tolist()
        digests += [hashlib.blake2b(t.strip().encode(), digest_size=16).digest() for t in texts]
        sets += shingle_sets(texts, wave.role)
    order = np.argsort(np.array(rows, dtype=np.int64))
    sets = [sets[i] for i in order.tolist()]
    return PartSayings(
        rows=np.array(rows, dtype=np.int64)[order] + part.start,
        digests=[digests[i] for i in order.tolist()],
        shingles=np.concatenate([np.zeros(0, dtype=np.uint64), *sets]),
        sizes=np.array([len(one) for one in sets], dtype=np.int64),
    )


class _Wave(NamedTuple):
    """A wave that holds wanted rows. All columns are in the order of its shard: row order."""

    store: Store
    source: Source
    files: WaveFiles
    rows: Local
    ids: pa.StringArray
    wanted: Flags
    role: Role
    """Of the wanted rows."""


def _waves(part: Part) -> Iterator[_Wave]:
    block = part.block
    source = block.cohort.source
    store = open_store(source.location)
    for files, rows, ids in block.waves():
        wanted = part.wanted[rows]
        if wanted.any():
            role: Role = "assistant" if block.answers[rows[wanted][0]] else "user"
            yield _Wave(store, source, files, rows, ids, wanted, role)


def _join(tables: Sequence[Table]) -> Table:
    joined: Table = np.concatenate([np.zeros(0, dtype=ENTRY), *tables])
    return joined


def _keys(exact: bool, rows: Local, found: Signatures) -> tuple[npt.NDArray[np.int64], Keys, Keys]:
    """Rows with the keys and check bits of their signatures."""
    keys = whole_keys(found) if exact else band_keys(found)
    return rows.astype(np.int64), keys, signature_checks(found)


def _signatures(wave: _Wave) -> Signatures:
    """Of the wanted rows, as stored; else, made from their texts."""
    if wave.source.signed and (features := _features(wave)) is not None:
        found, _ = features
        if found.shape[1]:
            return found
    return signatures(shingle_sets(_texts(wave), wave.role))


def _stored_vectors(wave: _Wave) -> Vectors:
    features = _features(wave)
    if features is not None and features[1].shape[1]:
        return features[1]
    raise UserError(
        f"{wave.store.location}: wave {wave.files.wave.name} has no stored vectors, so it cannot "
        "be compared by cosine: its spec asks for none (generation.curation.diversity). Refine "
        "without --cosine."
    )


def _features(wave: _Wave) -> tuple[Signatures, Vectors] | None:
    """Signatures and vectors of the wanted rows, if all of them have some."""
    if wave.files.features is None:
        return None
    known, stored, vectors = from_feature_table(read_shard(wave.store, wave.files.features))
    ids = wave.ids.filter(pa.array(wave.wanted))
    places = pc.index_in(ids, value_set=pa.array(known, pa.string()))
    if places.null_count:
        return None
    rows = places.to_numpy(zero_copy_only=False)
    return stored[rows], vectors[rows]


def _texts(wave: _Wave) -> list[str]:
    """What a reader sees of the wanted rows."""
    table = read_shard(wave.store, wave.files.nodes, ["text", "reasoning_tokens"])
    table = table.filter(pa.array(wave.wanted))
    texts: list[str] = table.column("text").to_pylist()
    reasoning = table.column("reasoning_tokens").to_numpy()
    for row in np.flatnonzero(reasoning).tolist():
        turn = replace(_TURN, text=texts[row], reasoning_tokens=int(reasoning[row]))
        texts[row] = visible_text(turn, wave.source.dialect)
    return texts


_TURN = Candidate(
    tree_id=0, node_id="", parent_id=None, path=(), role="assistant", token_ids=to_ids([]), text=""
)
"""Of which no more is read than the text."""

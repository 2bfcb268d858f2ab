"""Traits: what rows are compared by, read from the features and texts of a cohort.

Pure but for reading: each function takes some rows and gives arrays, so it runs in any process.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.curate.bands import band_keys
from pipeline.curate.mixing import Hashes
from pipeline.curate.shingles import shingle_sets
from pipeline.curate.signature import signatures
from pipeline.curate.whole_run.band_table import (
    ENTRY,
    Entries,
    Keys,
    band_entries,
    cut,
    signature_checks,
    whole_keys,
)
from pipeline.curate.whole_run.planes import vector_keys
from pipeline.refine.census import CohortRows, Flags, Source, WaveFiles
from pipeline.storage.shards import read_shard
from pipeline.storage.store import Store
from pipeline.tree.prompt import visible_text
from schemas.errors import UserError
from schemas.feature_table import from_feature_table
from schemas.measures import Signatures, Vectors
from schemas.records import Candidate, Role, to_ids

Local = npt.NDArray[np.int32]
"""Rows of a cohort."""


class Chosen(NamedTuple):
    """Some rows of a cohort."""

    cohort: CohortRows
    start: int
    """The row of the census that is the cohort's first."""
    wanted: Flags
    """By row of the cohort."""


class ChosenSayings(NamedTuple):
    """What chosen rows said, in row order."""

    rows: npt.NDArray[np.int64]
    digests: list[bytes]
    shingles: Hashes
    """Of all rows, one after the other."""
    sizes: npt.NDArray[np.int64]


class ChosenVectors(NamedTuple):
    """The vectors of chosen rows, in row order."""

    rows: npt.NDArray[np.int64]
    vectors: Vectors


def turn_entries(exact: bool, partitions: int, chosen: Chosen) -> list[Entries]:
    """The band table of turns, each a group of its own."""
    entries = []
    for wave in _waves(chosen):
        rows, keys, checks = _keys(exact, wave.rows[wave.wanted], _signatures(wave), None)
        entries.append(band_entries(keys, checks, rows + chosen.start, rows + chosen.start))
    return cut(_join(entries), partitions)


def conversation_entries(exact: bool, partitions: int, chosen: Chosen) -> list[Entries]:
    """The band table of conversations by their last answers; their openings are the groups.

    Those that answer different prompts share no key. The signature of a union is the minimum of the
    signatures, so each turn adds its own to that of its parent, whose wave came before.
    """
    grove = chosen.cohort.grove
    above: dict[tuple[int, ...], tuple[Local, Signatures]] = {}
    entries = []
    for wave in _waves(chosen._replace(wanted=grove.levels > 0)) if chosen.wanted.any() else ():
        path = wave.files.wave.path
        above = {other: held for other, held in above.items() if path[: len(other)] == other}
        rows, found = wave.rows[wave.wanted], _signatures(wave)
        if len(path) > 1:
            parents, held = above[path[:-1]]
            found = np.minimum(found, held[np.searchsorted(parents, grove.parents[rows])])
        above[path] = (rows, found)
        ends = chosen.wanted[rows]
        rows, found = rows[ends], found[ends]
        numbers, keys, checks = _keys(exact, rows, found, grove.prompts_of(rows))
        groups = grove.openings[rows].astype(np.int64)
        entries.append(band_entries(keys, checks, numbers + chosen.start, groups + chosen.start))
    return cut(_join(entries), partitions)


def vector_entries(bits: int, bands: int, partitions: int, chosen: Chosen) -> list[Entries]:
    """The band table of turns by their vectors."""
    entries = []
    for wave in _waves(chosen):
        keys, checks = vector_keys(_stored_vectors(wave), bits, bands)
        rows = wave.rows[wave.wanted].astype(np.int64) + chosen.start
        entries.append(band_entries(keys, checks, rows, rows))
    return cut(_join(entries), partitions)


def read_vectors(chosen: Chosen) -> ChosenVectors:
    """Stored vectors."""
    found = [(wave.rows[wave.wanted], _stored_vectors(wave)) for wave in _waves(chosen)]
    if not found:
        return ChosenVectors(np.zeros(0, dtype=np.int64), np.zeros((0, 0), dtype=np.int8))
    rows = np.concatenate([rows for rows, _ in found]).astype(np.int64)
    order = np.argsort(rows)
    vectors = np.concatenate([vectors for _, vectors in found])
    return ChosenVectors(rows[order] + chosen.start, vectors[order])


def read_sayings(chosen: Chosen) -> ChosenSayings:
    """Texts, as digests and shingles."""
    rows: list[int] = []
    digests: list[bytes] = []
    sets: list[Hashes] = []
    for wave in _waves(chosen):
        texts = _texts(wave)
        rows += wave.rows[wave.wanted].tolist()
        digests += [hashlib.blake2b(t.strip().encode(), digest_size=16).digest() for t in texts]
        sets += shingle_sets(texts, wave.role)
    order = np.argsort(np.array(rows, dtype=np.int64))
    sets = [sets[i] for i in order.tolist()]
    return ChosenSayings(
        rows=np.array(rows, dtype=np.int64)[order] + chosen.start,
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
    given: Flags
    """By row, whether it was not sampled, so that nothing was measured."""


def _waves(chosen: Chosen) -> Iterator[_Wave]:
    cohort = chosen.cohort
    source = cohort.files.source
    for files, rows, ids in cohort.waves():
        wanted = chosen.wanted[rows]
        if wanted.any():
            role: Role = "assistant" if cohort.answers[rows[wanted][0]] else "user"
            yield _Wave(source.store, source, files, rows, ids, wanted, role, cohort.given[rows])


def _join(entries: Sequence[Entries]) -> Entries:
    joined: Entries = np.concatenate([np.zeros(0, dtype=ENTRY), *entries])
    return joined


def _keys(
    exact: bool, rows: Local, found: Signatures, scopes: Keys | None
) -> tuple[npt.NDArray[np.int64], Keys, Keys]:
    """Rows with the keys and check bits of their signatures."""
    keys = whole_keys(found, scopes) if exact else band_keys(found, scopes)
    return rows.astype(np.int64), keys, signature_checks(found)


def _signatures(wave: _Wave) -> Signatures:
    """Of the wanted rows, as stored; else, made from their texts."""
    features = _features(wave) if wave.source.signed else None
    if features is None or not features.signatures.shape[1]:
        return signatures(shingle_sets(_texts(wave), wave.role))
    found = features.signatures
    missing = ~features.known
    if missing.any():
        wanted = wave.wanted.copy()
        wanted[wanted] = missing
        texts = _texts(wave._replace(wanted=wanted))
        found[missing] = signatures(shingle_sets(texts, wave.role))
    return found


def _stored_vectors(wave: _Wave) -> Vectors:
    features = _features(wave)
    if features is not None and features.vectors.shape[1] and features.known.all():
        return features.vectors
    raise UserError(
        f"{wave.store.location}: wave {wave.files.wave.name} has no stored vectors, so it cannot "
        "be compared by cosine: its spec asks for none (generation.curation.diversity). Refine "
        "without --cosine."
    )


class _Features(NamedTuple):
    """Stored numbers about the wanted rows, row by row."""

    known: Flags
    """Of a row that was given, what stands here means nothing."""
    signatures: Signatures
    vectors: Vectors


def _features(wave: _Wave) -> _Features | None:
    """None where nothing of the wave was measured."""
    if wave.files.features is None:
        return None
    measured, stored, vectors = from_feature_table(read_shard(wave.store, wave.files.features))
    ids = wave.ids.filter(pa.array(wave.wanted))
    places = pc.index_in(ids, value_set=pa.array(measured, pa.string()))
    known = places.is_valid().to_numpy(zero_copy_only=False) & ~wave.given[wave.wanted]
    rows = places.fill_null(0).to_numpy()
    return _Features(known, stored[rows], vectors[rows])


def _texts(wave: _Wave) -> list[str]:
    """What a reader sees of the wanted rows."""
    table = read_shard(wave.store, wave.files.nodes, ["text", "reasoning_tokens", "model_index"])
    table = table.filter(pa.array(wave.wanted))
    texts: list[str] = table.column("text").to_pylist()
    reasoning = table.column("reasoning_tokens").to_numpy()
    models = table.column("model_index").to_numpy()
    for row in np.flatnonzero(reasoning).tolist():
        turn = replace(_TURN, text=texts[row], reasoning_tokens=int(reasoning[row]))
        texts[row] = visible_text(turn, wave.source.dialects[models[row]])
    return texts


_TURN = Candidate(
    tree_id=0, node_id="", parent_id=None, path=(), role="assistant", token_ids=to_ids([]), text=""
)
"""Of which no more is read than the text."""

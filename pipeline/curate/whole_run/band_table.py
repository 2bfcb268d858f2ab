"""The band table: which rows of a whole run may be alike, found without comparing them all.

Every row has some keys, made so that rows which are alike share one almost certainly. All keys of
all rows are cut into partitions by their value; within a partition rows meet that share a key, and
only those come back that met one with nearly the same check bits. What comes back is a superset of
the pairs that are alike, whatever the number of partitions; each pair is compared exactly later.
"""

from collections.abc import Sequence
from math import comb

import numpy as np
import numpy.typing as npt

from pipeline.curate.bands import band_keys
from pipeline.curate.mixing import mix
from schemas.measures import Signatures

Keys = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int64]
Entries = npt.NDArray[np.void]

ENTRY = np.dtype([("key", "<u8"), ("check", "<u8"), ("row", "<i4"), ("group", "<i4")])
"""A key of a row. Numbers of one group are not compared with each other."""

CHECK_BITS = 64
MISSED = 1e-4
"""Share of the pairs just at the threshold that the check bits may cost."""

_LARGEST_PAIRED = 1024
"""More rows with one key come back as they are: what is kept of them is few, or they differ."""
_PAIRS_AT_ONCE = 1 << 22


def band_entries(keys: Keys, checks: Keys, rows: Numbers, groups: Numbers) -> Entries:
    """An entry for each key; `keys` has a line a row, the others one number a row."""
    table: Entries = np.empty(keys.shape, dtype=ENTRY)
    table["key"] = keys
    for name, column in (("check", checks), ("row", rows), ("group", groups)):
        table[name] = column[:, np.newaxis]
    return np.ravel(table)


def cut(table: Entries, partitions: int) -> list[Entries]:
    """The entries by partition; equal keys lie in one."""
    if partitions == 1:
        return [table]
    # The high half, so that partitions do not depend on the bits that sorting looks at last.
    places = ((table["key"] >> np.uint64(32)) * np.uint64(partitions)) >> np.uint64(32)
    order = np.argsort(places, kind="stable")
    ends = np.searchsorted(places[order], np.arange(1, partitions))
    return np.split(table[order], ends)


def crowded(tables: Sequence[Entries], least: int) -> Entries:
    """The entries of one partition that met another group's, at least so many check bits equal."""
    table: Entries = np.concatenate(tables)
    if len(table) < 2:
        return table[:0]
    table = table[np.lexsort((table["row"], table["key"]))]
    starts = _run_starts(table["key"])
    sizes = np.diff(np.append(starts, len(table)))
    mixed: Entries = table[np.repeat(_is_mixed(table, starts), sizes)]
    found: Entries = mixed[_meets(mixed, least)]
    return found


def _run_starts(keys: Keys) -> Numbers:
    return np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))[: len(keys)]


def _is_mixed(table: Entries, starts: Numbers) -> npt.NDArray[np.bool_]:
    """By run of equal keys, whether it holds more than one group."""
    groups = table["group"]
    mixed: npt.NDArray[np.bool_] = np.minimum.reduceat(groups, starts) != np.maximum.reduceat(
        groups, starts
    )
    return mixed


def _meets(table: Entries, least: int) -> npt.NDArray[np.bool_]:
    starts = _run_starts(table["key"])
    sizes = np.diff(np.append(starts, len(table)))
    found = np.ones(len(table), dtype=bool)
    for size in np.unique(sizes[sizes <= _LARGEST_PAIRED]).tolist():
        places = starts[sizes == size][:, np.newaxis] + np.arange(size)
        at_once = max(1, _PAIRS_AT_ONCE // size**2)
        for start in range(0, len(places), at_once):
            some = places[start : start + at_once]
            found[some] = _alike(table["check"][some], table["group"][some], least).any(axis=2)
    return found


def _alike(checks: Keys, groups: Numbers, least: int) -> npt.NDArray[np.bool_]:
    """By run of one size: each row with each other."""
    differing = np.bitwise_count(checks[:, :, np.newaxis] ^ checks[:, np.newaxis, :])
    apart = groups[:, :, np.newaxis] != groups[:, np.newaxis, :]
    alike: npt.NDArray[np.bool_] = apart & (differing <= CHECK_BITS - least)
    return alike


def least_equal_bits(agreement: float) -> int:
    """How many check bits pairs have in common, but for a share of MISSED.

    `agreement` is the chance that one bit agrees for a pair that is just alike enough.
    """
    missed = 0.0
    for bits in range(CHECK_BITS + 1):
        missed += comb(CHECK_BITS, bits) * agreement**bits * (1 - agreement) ** (CHECK_BITS - bits)
        if missed > MISSED:
            return bits
    return CHECK_BITS


def pack_checks(bits: npt.NDArray[np.bool_]) -> Keys:
    """The first check bits of each row as one number."""
    padded = np.zeros((len(bits), CHECK_BITS), dtype=bool)
    padded[:, : min(CHECK_BITS, bits.shape[1])] = bits[:, :CHECK_BITS]
    packed: Keys = np.packbits(padded, axis=1).view("<u8").reshape(-1)
    return packed


def signature_checks(signatures: Signatures) -> Keys:
    """A bit of the hash of each number: it agrees with chance (1 + Jaccard) / 2."""
    hashes = mix(signatures[:, :CHECK_BITS].astype(np.uint64))
    return pack_checks((hashes & np.uint64(1)).astype(bool))


def whole_keys(signatures: Signatures, scopes: Keys | None = None) -> Keys:
    """One key a row, which only equal signatures of one scope share."""
    found = np.zeros((len(signatures), 1), dtype=np.uint64)
    for column in band_keys(signatures, scopes).T:
        found[:, 0] = mix(found[:, 0] ^ column)
    return found

"""The distributions that a run stored of its turns, beside the ids of a conversation."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from pipeline.sft.example import Targets, stacked
from pipeline.sft.rows.path_ids import PathIds
from pipeline.storage.shards import read_logprobs
from pipeline.storage.store import Store
from schemas.errors import CorruptData
from schemas.manifest import ShardEntry, Snapshot
from schemas.records import Candidate, TopLogprobs


class Distributions:
    """The most likely tokens of sampled turns, looked up by turn.

    The shards of a level are in the order of tree and path, so who asks in that order has each read
    once, and one of each level in memory. Others are answered as well, only not as fast.
    """

    def __init__(self, store: Store, snapshot: Snapshot) -> None:
        self._store = store
        self._shards: dict[int, list[ShardEntry]] = defaultdict(list)
        entries = [entry for entry in snapshot.shards if entry.table == "logprobs"]
        for entry in sorted(entries, key=lambda entry: entry.wave):
            self._shards[entry.wave.level].append(entry)
        self._open: dict[int, tuple[int, dict[str, TopLogprobs]]] = {}

    def of(self, node: Candidate) -> TopLogprobs:
        """What was stored of a turn; `CorruptData` where that is not there, or not its own."""
        shards = self._shards[node.level]
        place, tops = self._open.get(node.level, (-1, {}))
        for _ in shards:
            if node.node_id in tops:
                break
            place = (place + 1) % len(shards)
            tops = dict(read_logprobs(self._store, [shards[place]]))
            self._open[node.level] = place, tops
        top = tops.get(node.node_id)
        if top is None or len(top.tail) != len(node.token_ids) + (node.stop_id is not None):
            raise CorruptData(
                f"{self._store.location}: node {node.node_id} should have a distribution for each "
                "of its tokens and for what ended it below logprobs/, and has not. `arborist "
                "verify` lists all defects of the run."
            )
        return top


def targets_of(
    found: PathIds, turns: Sequence[Candidate], learns: Sequence[bool], stored: Distributions
) -> Targets | None:
    """The distributions of the turns that are learned; None if there is none.

    Each is what the turn was sampled from, whatever a level showed or a critique said just then.
    What was given has none.
    """
    places, tops = [], []
    for node, span, learn in zip(turns, found.spans, learns, strict=True):
        if learn and node.origin != "given":
            at = np.arange(span.start, span.stop + span.ended, dtype=np.int32)
            places.append(at)
            ids, logprobs, tail = stored.of(node)
            tops.append(TopLogprobs(ids[: len(at)], logprobs[: len(at)], tail[: len(at)]))
    if not sum(map(len, places)):
        return None
    return Targets(np.concatenate(places), stacked(tops))

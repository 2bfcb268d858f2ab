"""The original's own samples, read by it and by the model: KL a token, CKA a layer.

CKA is a matter of the largest states, and a few ids that all others look back at, the first of a
row above all, have states up to a hundred times larger than the rest. They alone would decide it,
so it leaves out first ids, and in each layer those that stand out in either model. It looks at so
many tokens, evenly spread, and so many layers that its products stay small.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from pipeline.retention.cka import Likeness
from pipeline.retention.divergence import divergences
from pipeline.retention.reader import Read, Reader, finite, padded, places_before
from pipeline.retention.rows import Row, Watch, rows_digest
from schemas.errors import SpecError
from schemas.retention import MeasuredSamples

CKA_TOKENS = 4096
STANDS_OUT = 4.0
"""So many times as large as the median of its layer and batch."""
CKA_BYTES = 4 << 30
"""Of all products; wide models are compared at fewer layers, evenly spaced."""


class Pair(NamedTuple):
    """The original and the model."""

    original: Reader
    model: Reader


def measure_samples(
    pair: Pair, rows: Sequence[Row], batch_rows: int, watch: Watch
) -> MeasuredSamples:
    """By sample, how far the model is from the original on it."""
    _check_vocabularies(pair)
    kl = [0.0] * len(rows)
    likeness = _Layers(pair, every=-(-sum(len(row.asked) for row in rows) // CKA_TOKENS))
    done = 0
    watch(done, len(rows))
    for batch in pair.original.plan(rows, max(1, batch_rows // 2)):
        picked = [rows[i] for i in batch]
        reads = [_read(reader, picked) for reader in pair]
        told = finite(divergences(*(read.logits for read in reads)), pair.model.location)
        ends = np.cumsum([len(row.asked) for row in picked])[:-1]
        for i, part in zip(batch, np.split(told, ends), strict=True):
            kl[i] = float(part.mean())
        likeness.add(reads, picked)
        done += len(batch)
        watch(done, len(rows))
    return MeasuredSamples(
        items=rows_digest(rows),
        kl=tuple(kl),
        tokens=tuple(len(row.asked) for row in rows),
        cka=likeness.values(),
        layers=likeness.layers,
    )


def itself(model: Reader, rows: Sequence[Row]) -> MeasuredSamples:
    """What a model is to itself, which need not be measured."""
    layers = _Layers(Pair(model, model), every=1).layers
    return MeasuredSamples(
        items=rows_digest(rows),
        kl=(0.0,) * len(rows),
        tokens=tuple(len(row.asked) for row in rows),
        cka=(1.0,) * len(layers),
        layers=layers,
    )


def _check_vocabularies(pair: Pair) -> None:
    found = [reader.vocabulary for reader in pair]
    if found[0] != found[1]:
        raise SpecError(
            f"The model in {pair.model.location} has a vocabulary of {found[1]:,} tokens and the "
            f"original in {pair.original.location} one of {found[0]:,}; expected the same, since "
            "KL compares them token by token. Measure without samples, or against another model."
        )


def _read(reader: Reader, rows: Sequence[Row]) -> Read:
    return reader.read(padded(rows), places_before(rows), output_hidden_states=True)


class _Layers:
    """CKA by layer."""

    def __init__(self, pair: Pair, every: int) -> None:
        configs = [reader.model.config.get_text_config() for reader in pair]
        depths = [int(config.num_hidden_layers) for config in configs]
        self.layers = _spread(depths[0], int(configs[0].hidden_size))
        if depths[0] != depths[1]:
            self.layers = ()
        self._found = [Likeness() for _ in self.layers]
        self._every, self._seen = max(1, every), 0

    def add(self, reads: Sequence[Read], rows: Sequence[Row]) -> None:
        """A batch that both have read."""
        width = max(len(row.ids) for row in rows)
        places = places_before(rows)
        places = places[places % width > 0]
        places = places[(torch.arange(len(places)) + self._seen) % self._every == 0]
        self._seen += sum(int((row.asked > 1).sum()) for row in rows)
        if not len(places):
            return
        for layer, likeness in zip(self.layers, self._found, strict=True):
            states = [read.states[layer].flatten(0, 1) for read in reads]
            likeness.add(*ordinary(*(state[places.to(state.device)] for state in states)))

    def values(self) -> tuple[float, ...]:
        """By layer."""
        return tuple(found.value() for found in self._found) if self._seen else ()


def ordinary(*states: torch.Tensor) -> list[torch.Tensor]:
    """The same tokens of several models, but for those that stand out in any of them."""
    kept = torch.ones(len(states[0]), dtype=torch.bool, device=states[0].device)
    for state in states:
        sizes = state.float().norm(dim=-1)
        kept &= (sizes <= STANDS_OUT * sizes.median()).to(kept.device)
    return [state[kept.to(state.device)] for state in states]


def _spread(depth: int, width: int) -> tuple[int, ...]:
    """Layers from the embeddings (0) to the last, as many as there is room for."""
    most = max(2, CKA_BYTES // (3 * 8 * width * width))
    if depth + 1 <= most:
        return tuple(range(depth + 1))
    return tuple(int(layer) for layer in np.linspace(0, depth, most).round())

"""A model that reads: which ids it expects after which, at the places that are asked about only.

Rows are padded at their ends, where no id before sees it, so no mask is needed and a row says the
same in any company, up to the order in which a device adds. The vocabulary is large and most places
are not asked about, so what enters the model's head is cut down to those that are.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from pipeline.retention.rows import Row, Watch, plan_batches
from pipeline.sft.blocks import side_by_side
from pipeline.sft.model import DTYPE, load_model
from schemas.errors import ModelError

Floats = npt.NDArray[np.float64]

_CPU_LOGITS = 1 << 26
_GPU_LOGITS = 1 << 29
"""At most so many numbers come out of the head at once."""
_CHUNK = 1 << 23
"""So many of them are made float32 at once."""


class Read(NamedTuple):
    """What a model says of a batch."""

    logits: torch.Tensor
    """A row of the vocabulary for each place."""
    states: tuple[torch.Tensor, ...] = ()
    """By layer from the embeddings up, rows x ids x width."""
    cache: Any = None


class Reader:
    """One model on one device, in evaluation mode."""

    def __init__(self, model: Any, location: str) -> None:
        self.model, self.location = model, location
        self.device: torch.device = model.device
        self.dtype = str(model.dtype).removeprefix("torch.")
        self.vocabulary = int(model.config.get_text_config().vocab_size)

    @property
    def most_asked(self) -> int:
        """About so many places of a batch it may be asked."""
        limit = _CPU_LOGITS if self.device.type == "cpu" else _GPU_LOGITS
        return max(1, limit // self.vocabulary)

    def plan(self, rows: Sequence[Row], batch_rows: int) -> list[list[int]]:
        """Which rows it reads together."""
        return plan_batches(rows, batch_rows=batch_rows, most_asked=self.most_asked)

    def read(self, ids: torch.Tensor, places: torch.Tensor, **options: Any) -> Read:
        """What follows after some places of a batch, counted over all its rows."""
        with torch.inference_mode(), self._head_sees(places) as seen:
            found = self.model(input_ids=ids.to(self.device), **({"use_cache": False} | options))
        logits = found.logits
        # A head that is no module of its own has seen all places.
        logits = logits[0] if seen else logits.flatten(0, 1)[places.to(logits.device)]
        return Read(logits, found.hidden_states or (), found.past_key_values)

    @contextmanager
    def _head_sees(self, places: torch.Tensor) -> Iterator[list[bool]]:
        head = self.model.get_output_embeddings()
        seen: list[bool] = []

        def cut(_: Any, args: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
            seen.append(True)
            return (args[0].flatten(0, 1)[places.to(args[0].device)].unsqueeze(0),)

        hook = head.register_forward_pre_hook(cut) if head is not None else None
        try:
            yield seen
        finally:
            if hook is not None:
                hook.remove()

    def logprobs(
        self, rows: Sequence[Row], batch_rows: int, watch: Watch = lambda done, of: None
    ) -> list[Floats]:
        """By row, how likely each id is that is asked about."""
        found: list[Floats] = [np.empty(0)] * len(rows)
        done = 0
        watch(done, len(rows))
        for batch in self.plan(rows, batch_rows):
            picked = [rows[i] for i in batch]
            told = chosen(self.read(padded(picked), places_before(picked)).logits, targets(picked))
            ends = np.cumsum([len(row.asked) for row in picked])[:-1]
            for i, part in zip(batch, np.split(finite(told, self.location), ends), strict=True):
                found[i] = part
            done += len(batch)
            watch(done, len(rows))
        return found


def padded(rows: Sequence[Row]) -> torch.Tensor:
    """Rows of one length, filled up with zeros at their ends."""
    return side_by_side([row.ids for row in rows])


def places_before(rows: Sequence[Row]) -> torch.Tensor:
    """Where the ids that are asked about are expected, counted over all rows of a batch."""
    width = max(len(row.ids) for row in rows)
    return torch.from_numpy(
        np.concatenate([row.asked - 1 + number * width for number, row in enumerate(rows)])
    )


def targets(rows: Sequence[Row]) -> torch.Tensor:
    """The ids that are asked about."""
    return torch.from_numpy(np.concatenate([row.ids[row.asked].astype(np.int64) for row in rows]))


def chosen(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """The log-probability of one id in each row of logits, in float32."""
    step = max(1, _CHUNK // logits.shape[-1])
    parts = []
    for part, picked in zip(logits.split(step), ids.to(logits.device).split(step), strict=True):
        whole = part.float()
        parts.append(whole.gather(-1, picked[:, None])[:, 0] - whole.logsumexp(-1))
    return torch.cat(parts)


def finite(values: torch.Tensor, location: str) -> Floats:
    """The numbers, if they are some."""
    found: Floats = values.double().cpu().numpy()
    if not np.isfinite(found).all():
        raise ModelError(
            f"The model in {location} gives probabilities that are no finite numbers, so nothing "
            "can be measured. A training that diverged is the usual cause; take an earlier "
            "checkpoint."
        )
    return found


def conditions() -> tuple[str, str]:
    """The kind of device that models are loaded on, and the type of their numbers."""
    return "cuda" if torch.cuda.is_available() else "cpu", str(DTYPE).removeprefix("torch.")


def load_reader(location: str) -> Reader:
    """The model in a directory."""
    from transformers import GenerationConfig

    model = load_model(location)
    # What a model's files say of sampling has no say in what is measured.
    model.generation_config = GenerationConfig()
    return Reader(model.to(conditions()[0]).eval(), location)

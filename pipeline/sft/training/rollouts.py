"""On-policy rows: a model answers the prompts of a batch, and the answers take the rows' place."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.sft.blocks import continuations
from pipeline.sft.example import IGNORED
from pipeline.sft.training.batches import Ids, learned, padded
from schemas.sft_spec import RolloutSpec


@dataclass(frozen=True)
class Sampling:
    """How prompts are answered."""

    spec: RolloutSpec
    stop_ids: tuple[int, ...]
    pad_id: int
    context: int
    seed: int

    def answered(
        self, model: Any, batch: Mapping[str, Tensor], rows: Sequence[int], place: tuple[int, ...]
    ) -> dict[str, Tensor]:
        """The batch with answers in the place of what followed the prompts of some rows.

        The same place (step, batch, process) gives the same draws, whatever was drawn before.
        """
        prompts = [prompt(batch, row) for row in rows]
        answers = self._sampled(model, prompts, place)
        ids = [_real(batch, row, "input_ids") for row in range(len(batch["part"]))]
        labels = [_real(batch, row, "labels") for row in range(len(batch["part"]))]
        for row, asked, answer in zip(rows, prompts, answers, strict=True):
            ids[row] = np.concatenate([asked, answer])
            labels[row] = np.concatenate([np.full(len(asked), IGNORED), answer])
        device = batch["input_ids"].device
        new = {k: v.to(device) for k, v in padded(ids, labels, self.pad_id).items()}
        return {**batch, **new}

    def _sampled(self, model: Any, prompts: Sequence[Ids], place: tuple[int, ...]) -> list[Ids]:
        # No longer ones are prepared.
        assert max(map(len, prompts)) + self.spec.max_tokens <= self.context
        device, was_training = model.device, model.training
        model.eval()
        # The global generators are left as they were: what else is random does not depend on this.
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(_seed(self.seed, *place))
            with torch.no_grad():
                found = continuations(model, prompts, self._config())
        model.train(was_training)
        return [self._cut(row) for row in found]

    def _config(self) -> Any:
        from transformers import GenerationConfig

        # All that the model's own settings might say otherwise is said here.
        return GenerationConfig(
            max_new_tokens=self.spec.max_tokens,
            do_sample=True,
            temperature=self.spec.temperature,
            top_k=0,
            top_p=1.0,
            min_p=0.0,
            repetition_penalty=1.0,
            no_repeat_ngram_size=0,
            num_beams=1,
            eos_token_id=list(self.stop_ids),
            pad_token_id=self.pad_id,
            use_cache=True,
        )

    def _cut(self, row: Ids) -> Ids:
        """Up to the first id that ends an answer, which is part of it."""
        ends = np.flatnonzero(np.isin(row, self.stop_ids))
        return row[: ends[0] + 1] if len(ends) else row


def prompt(batch: Mapping[str, Tensor], row: int) -> Ids:
    """The ids before the first learned one; all if none is."""
    ids = _real(batch, row, "input_ids")
    found = learned(batch)[row].nonzero()
    return ids[: int(found[0]) + 1] if len(found) else ids


def _real(batch: Mapping[str, Tensor], row: int, column: str) -> Ids:
    length = int(batch["attention_mask"][row].sum())
    values: Ids = batch[column][row, :length].cpu().numpy()
    return values


def _seed(*numbers: int) -> int:
    text = ",".join(map(str, numbers)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1

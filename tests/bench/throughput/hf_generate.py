"""Arm `transformers`: `model.generate` with a KV cache, level by level, in batches of as many
prompts as the engine has slots, padded on the left. A batch ends with its longest turn."""

import time
from collections.abc import Sequence
from typing import Any

from tests.bench.throughput.growing import Asked, Grower
from tests.bench.throughput.machine import load_transformers
from tests.bench.throughput.record import Finish, Record, Step
from tests.bench.throughput.setup import Setup
from tests.bench.throughput.spec import make_spec

PADDING = 0


def measure(setup: Setup) -> Record:
    """One run."""
    from jobs.wiring import resolve

    resolved = resolve(make_spec(setup, "memory://bench-throughput"))
    grower, record = Grower(resolved, setup), Record()
    author = Author(load_transformers(setup), setup)
    author.write(grower.first()[:1], Record())
    record.begin()
    asked = grower.first()
    while asked:
        batches = [asked[i : i + setup.slots] for i in range(0, len(asked), setup.slots)]
        said = [ids for batch in batches for ids in author.write(batch, record)]
        asked = [c for one, ids in zip(asked, said, strict=True) for c in grower.below(one, ids)]
    record.end()
    return record


class Author:
    """The model, and how it is asked."""

    def __init__(self, model: Any, setup: Setup) -> None:
        from transformers import GenerationConfig

        self._model, self._setup = model, setup
        # What the model's own configuration says would fill in what is left open.
        model.generation_config = GenerationConfig()

    def write(self, batch: Sequence[Asked], record: Record) -> list[list[int]]:
        """The turns of a batch, without their terminators."""
        import torch

        width = max(len(one.prompt) for one in batch)
        gaps = [width - len(one.prompt) for one in batch]
        pairs = list(zip(batch, gaps, strict=True))
        place = self._model.device
        ids = torch.tensor([[PADDING] * gap + one.prompt for one, gap in pairs], device=place)
        mask = torch.tensor([[0] * gap + [1] * len(one.prompt) for one, gap in pairs], device=place)
        torch.manual_seed(batch[0].seed % 2**63)
        ends = _Ends(batch, width, record, natural=not self._setup.sigma)
        with torch.inference_mode():
            output = self._model.generate(
                input_ids=ids,
                attention_mask=mask,
                generation_config=self._settings(batch),
                stopping_criteria=[ends],
            )
        record.prompts += [one.prompt for one in batch]
        record.prompt_computed += sum(len(one.prompt) for one in batch)
        record.output_tokens += sum(ends.lengths)
        rows = output[:, width:].tolist()
        said = zip(rows, ends.lengths, ends.stopped, strict=True)
        return [row[: length - stopped] for row, length, stopped in said]

    def _settings(self, batch: Sequence[Asked]) -> Any:
        from transformers import GenerationConfig

        sampling = batch[0].sampling
        forced = {"suppress_tokens": list(sampling.stop_ids)} if self._setup.sigma else {}
        return GenerationConfig(
            do_sample=True,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=0,
            max_new_tokens=max(one.most for one in batch),
            pad_token_id=PADDING,
            use_cache=True,
            **forced,
        )


class _Ends:
    """Called by transformers after each token: which turns of a batch are at their end."""

    def __init__(
        self, batch: Sequence[Asked], width: int, record: Record, *, natural: bool
    ) -> None:
        self._batch, self._width, self._record, self._natural = batch, width, record, natural
        self.lengths = [0] * len(batch)
        """0: goes on."""
        self.stopped = [False] * len(batch)
        """Whether the last token is a terminator."""
        self._last = time.perf_counter()

    def __call__(self, input_ids: Any, scores: Any, **more: Any) -> Any:
        import torch

        tokens, said = input_ids[:, -1].tolist(), input_ids.shape[1] - self._width
        now = time.perf_counter()
        self._record.steps.append(Step(self._last, now, self.lengths.count(0)))
        self._last = now
        for i, one in enumerate(self._batch):
            stops = self._natural and tokens[i] in one.sampling.stop_ids
            if not self.lengths[i] and (stops or said == one.most):
                self.lengths[i], self.stopped[i] = said, stops
                self._record.finishes.append(Finish(now, one.level))
        return torch.tensor([length > 0 for length in self.lengths], device=input_ids.device)

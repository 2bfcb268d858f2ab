"""TRL's trainer for a mixture: its rows in their order, its parts each with a loss of their own.

A step's loss is the sum over the parts of their weight times the mean loss over all their learned
tokens in the whole step, over all batches and processes of it.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import PrinterCallback, TrainerCallback
from trl import SFTTrainer

from pipeline.sft.training.batches import NOBODY, Rows, counts, learned
from pipeline.sft.training.figures import Figures
from pipeline.sft.training.losses import forward_kl, next_token_loss, reverse_kl, stored_kl
from pipeline.sft.training.rollouts import Sampling
from pipeline.sft.training.steps import Steps
from pipeline.sft.training.tuning import Anchor, Teacher
from pipeline.sft.training.watch import Watch
from schemas.errors import Diverged
from schemas.sft_spec import Objective

TAUGHT: tuple[Objective, ...] = ("model_kl", "reverse_kl")
"""The objectives that ask the teacher as training goes."""


@dataclass(frozen=True)
class Part:
    """What a trainer must know of one ingredient."""

    name: str
    objective: Objective
    weight: float


@dataclass(frozen=True)
class Course:
    """What is trained and how, beside the optimiser's settings."""

    parts: tuple[Part, ...]
    watch: Watch
    keep: Callable[[Path, Mapping[str, Any]], None]
    """Called with a checkpoint once all of it is written, and the figures that are pending."""
    pending: Mapping[str, Any] | None = None
    """Those of the checkpoint that is gone on from."""
    teacher: Teacher | None = None
    l2: float = 0.0
    """How strongly the weights at the start hold those that move."""
    sampling: Sampling | None = None
    """How prompts are answered."""
    refreeze: Callable[[Any], None] = lambda model: None
    """Called after weights were read, which may set free what is frozen."""

    def having(self, *objectives: Objective) -> frozenset[int]:
        """The parts with one of these objectives."""
        return frozenset(i for i, part in enumerate(self.parts) if part.objective in objectives)


class MixtureTrainer(SFTTrainer):  # type: ignore[misc]
    """Thin: the loop, the optimiser, checkpoints and processes are those of its bases."""

    loss_is_scaled_for_ga = True

    def __init__(self, course: Course, steps: Steps, **options: Any) -> None:
        self.course, self._steps = course, steps
        super().__init__(**options)
        self._weights = torch.tensor([p.weight for p in course.parts], device=self.args.device)
        self._figures = Figures({p.name: p.weight for p in course.parts}, self.args.device)
        whole = getattr(self.model, "get_base_model", lambda: self.model)()
        self._can_keep = "logits_to_keep" in inspect.signature(type(whole).forward).parameters
        self._anchor = Anchor(self.model, course.l2) if course.l2 else None
        self._stopping = False
        if course.teacher is not None:
            course.teacher.model.to(self.args.device)
        self.remove_callback(PrinterCallback)
        self.add_callback(_Flow(self))

    def get_train_dataloader(self) -> DataLoader[Any]:
        """In the mixture's order."""
        return DataLoader(
            Rows(self.train_dataset),
            batch_sampler=self._steps.batches(self.args.process_index),
            collate_fn=self.data_collator,
            pin_memory=self.args.device.type == "cuda",
        )

    def get_batch_samples(
        self, epoch_iterator: Iterator[dict[str, Tensor]], num_batches: int, device: torch.device
    ) -> tuple[list[dict[str, Tensor]], Tensor]:
        """The batches of a step, answered where prompts are, and by part their learned ids."""
        batches = [b for _, b in zip(range(num_batches), epoch_iterator, strict=False)]
        if self.course.sampling is not None:
            batches = [self._answered(batch, index) for index, batch in enumerate(batches)]
        here = counts(batches, len(self.course.parts)).to(device)
        return batches, self.accelerator.reduce(here, "sum")

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | None = None,
    ) -> Tensor:
        """This batch's part of the step's loss."""
        assert num_items_in_batch is not None and not return_outputs
        losses = (self._fused if self._fusible(inputs) else self._by_objective)(model, inputs)
        of_part = inputs["part"][:, None] == torch.arange(len(self._weights), device=losses.device)
        sums = torch.where(of_part, losses.sum(1)[:, None], 0.0).sum(0)
        shares = sums / num_items_in_batch.clamp(min=1)
        self._figures.add(inputs, losses.detach(), shares.detach(), num_items_in_batch)
        # Processes' gradients are averaged, their shares have to be summed.
        return (self._weights * shares).sum() * self.accelerator.num_processes

    def training_step(self, *args: Any, **options: Any) -> Tensor:
        """Forward and backward of a batch; with the last of a step, what holds for all of it."""
        loss: Tensor = super().training_step(*args, **options)
        if self.accelerator.sync_gradients:
            if self._anchor is not None:
                pull = self._anchor.pull()
                self._figures.pulled(pull)
                loss = loss + pull
            self._stopping = self._figures.close(
                loss, self.accelerator, stopping=self.course.watch.stopping()
            )
            if not self._figures.finite:
                raise self._diverged(1, "the loss is no finite number")
        return loss

    def _fusible(self, batch: Mapping[str, Tensor]) -> bool:
        """Whether cross-entropy is all there is, and the fused head the cheaper way to it: without
        a GPU it goes over ids that are not learned too, and over the logits twice."""
        plain = self.course.having("next_token") | {NOBODY}
        return self.args.device.type != "cpu" and plain.issuperset(batch["part"].tolist())

    def _fused(self, model: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """Cross-entropy without the logits of a whole batch in memory."""
        said = model(**_inputs(batch), labels=batch["labels"], fused_lm_head=True)
        return -said.log_probs

    def _by_objective(self, model: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """The loss at each position, by the objective of its row."""
        mask = learned(batch)
        keep = mask.any(0).nonzero().flatten()
        taught = self._rows_of(batch, *TAUGHT)
        # Before the student, whose graph the switching of an adapter would touch.
        target = self._taught(batch, mask, keep, taught)
        logits = self._logits(model, _inputs(batch), keep)
        losses = logits.new_zeros(mask.shape, dtype=torch.float32)
        if not len(keep):
            # Nothing to learn, but the other processes wait for this one's gradients.
            losses = losses + logits.sum()
        for rows, of in (
            (self._rows_of(batch, "next_token"), _next_token),
            (self._rows_of(batch, "stored_kl"), _stored),
        ):
            if rows.any():
                losses = _placed(losses, mask, rows, of(_at(logits, mask, keep, rows), batch, rows))
        if target is not None:
            said = _at(logits, mask, keep, taught)
            losses = _placed(losses, mask, taught, self._drawn(said, target, batch, mask, taught))
        return losses

    def _taught(
        self, batch: Mapping[str, Tensor], mask: Tensor, keep: Tensor, rows: Tensor
    ) -> Tensor | None:
        """The teacher's logits at the learned ids of some rows."""
        if not rows.any():
            return None
        teacher = self.course.teacher
        assert teacher is not None
        few = {name: value[rows] for name, value in _inputs(batch).items()}
        with torch.no_grad(), teacher.speaking() as model, self.accelerator.autocast():
            logits = self._logits(model, few, keep)
        return logits[mask[rows][:, keep]]

    def _logits(self, model: Any, inputs: Mapping[str, Tensor], keep: Tensor) -> Tensor:
        """Those at some positions; where the model can, no others are computed."""
        if self._can_keep:
            kept: Tensor = model(**inputs, logits_to_keep=keep, use_cache=False).logits
            return kept
        every: Tensor = model(**inputs, use_cache=False).logits
        return every[:, keep]

    def _drawn(
        self, said: Tensor, target: Tensor, batch: Mapping[str, Tensor], mask: Tensor, rows: Tensor
    ) -> Tensor:
        """To the teacher: backward on what the student says itself, else forward."""
        backward = self._rows_of(batch, "reverse_kl") & (not self._bootstrapping)
        own = backward[:, None].expand_as(mask)[mask & rows[:, None]]
        losses = said.new_zeros(len(said), dtype=torch.float32)
        for where, kl in ((own, reverse_kl), (~own, forward_kl)):
            if where.any():
                losses = losses.masked_scatter(where, kl(said[where], target[where]))
        return losses

    @property
    def _bootstrapping(self) -> bool:
        sampling = self.course.sampling
        return sampling is not None and self.state.global_step < sampling.spec.bootstrap_steps

    def _rows_of(self, batch: Mapping[str, Tensor], *objectives: Objective) -> Tensor:
        parts = torch.tensor(sorted(self.course.having(*objectives)), dtype=torch.int64)
        return torch.isin(batch["part"], parts.to(batch["part"].device))

    def _answered(self, batch: dict[str, Tensor], index: int) -> dict[str, Tensor]:
        rows = self._rows_of(batch, "reverse_kl").nonzero().flatten().tolist()
        sampling, teacher = self.course.sampling, self.course.teacher
        if not rows or sampling is None or teacher is None:
            return batch
        place = (self.state.global_step, index, self.args.process_index)
        with self.accelerator.autocast():
            if not self._bootstrapping:
                return sampling.answered(self.model, batch, rows, place)
            with teacher.speaking() as model:
                return sampling.answered(model, batch, rows, place)

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        """Asked for before the optimiser moves anything."""
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        if not torch.isfinite(torch.as_tensor(norm)):
            raise self._diverged(1, "the gradient's norm is no finite number")
        return norm

    def _diverged(self, more: int, what: str) -> Diverged:
        rows = self._figures.told(self.accelerator)
        return Diverged(f"step {self.state.global_step + more}: {what}. {rows}")

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """With the figures of the parts."""
        if "loss" in logs:
            logs |= self._figures.taken()
        super().log(logs, start_time)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        if not all(bool(p.isfinite().all()) for p in self.model.parameters() if p.requires_grad):
            raise self._diverged(0, "the weights that it led to are no finite numbers")
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
            self.course.keep(folder, self._figures.pending())
        self.accelerator.wait_for_everyone()

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        self.course.refreeze(self.model)

    def create_model_card(self, *args: Any, **options: Any) -> None:
        """None: what was done lies in `arborist.json`, and a draft would claim other things."""

    def _send_telemetry(self) -> None:
        """None: nothing leaves this machine."""


class _Flow(TrainerCallback):  # type: ignore[misc]
    """Stops where it is asked to, and tells who watches."""

    def __init__(self, trainer: MixtureTrainer) -> None:
        self._trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **options: Any) -> None:
        """Some steps may be done already."""
        self._trainer._figures.begin(self._trainer.course.pending)
        if state.is_world_process_zero:
            self._trainer.course.watch.began(state.max_steps, state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **options: Any) -> None:
        """With a checkpoint where it is asked to stop."""
        if self._trainer._stopping:
            control.should_save = control.should_training_stop = True

    def on_log(self, args: Any, state: Any, control: Any, **options: Any) -> None:
        """The last figures."""
        logs = options.get("logs") or {}
        if state.is_world_process_zero and "loss" in logs:
            self._trainer.course.watch.logged({**logs, "step": state.global_step})


def _inputs(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}


def _at(logits: Tensor, mask: Tensor, keep: Tensor, rows: Tensor) -> Tensor:
    """The logits at the learned ids of some rows, one below the other."""
    return logits[(mask & rows[:, None])[:, keep]]


def _placed(losses: Tensor, mask: Tensor, rows: Tensor, found: Tensor) -> Tensor:
    """Where `_at` took them from."""
    return losses.masked_scatter(mask & rows[:, None], found)


def _next_token(logits: Tensor, batch: Mapping[str, Tensor], rows: Tensor) -> Tensor:
    ids = batch["labels"][:, 1:][learned(batch) & rows[:, None]]
    return next_token_loss(logits, ids)


def _stored(logits: Tensor, batch: Mapping[str, Tensor], rows: Tensor) -> Tensor:
    top = (batch[name] for name in ("target_ids", "target_logprobs", "target_tail"))
    return stored_kl(logits, *top)

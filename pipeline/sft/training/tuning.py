"""Which weights move and what holds them: adapters, frozen parts, the teacher, the anchor."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationConfig

from pipeline.sft.model import load_model
from schemas.errors import ModelError, SpecError
from schemas.sft_spec import LoraSpec, TuningSpec

_SHOWN = 3
_ALL_LINEAR = "all-linear"


def tuned(model: Any, tuning: TuningSpec, seed: int) -> Any:
    """The model with an adapter if one is asked for, and with what does not move frozen."""
    model.requires_grad_(True)
    if tuning.lora is not None:
        model = _with_adapter(model, tuning.lora, seed)
    moving = [name for name, p in model.named_parameters() if p.requires_grad]
    stop(model, _frozen(moving, tuning.frozen, _other_names(model)))
    return model


def stopped(model: nn.Module) -> list[str]:
    """The names of the parameters that do not move."""
    return [name for name, p in model.named_parameters() if not p.requires_grad]


def stop(model: nn.Module, names: Iterable[str]) -> None:
    """Let parameters not move from here on."""
    for name in names:
        model.get_parameter(name).requires_grad_(False)


def _other_names(model: nn.Module) -> dict[str, str]:
    """By the further names of moving parameters that have several: the one they go by."""
    first = {id(p): name for name, p in model.named_parameters() if p.requires_grad}
    every = model.named_parameters(remove_duplicate=False)
    return {n: first[id(p)] for n, p in every if first.get(id(p), n) != n}


def _frozen(moving: list[str], patterns: tuple[str, ...], tied: Mapping[str, str]) -> set[str]:
    """The names that patterns match, each of which must match one."""
    names = set()
    for pattern in patterns:
        found = [name for name in moving if _compiled(pattern).search(name)]
        if not found:
            also = [name for name in tied if _compiled(pattern).search(name)]
            expected = _same(also[0], tied[also[0]]) if also else _expected(pattern, moving)
            raise SpecError(f"tuning.frozen: found {pattern!r}, {expected}")
        names.update(found)
    if len(names) == len(moving):
        raise SpecError(
            f"tuning.frozen: the patterns {', '.join(map(repr, patterns))} stop all "
            f"{len(moving)} parameters; expected at least one to be left to train."
        )
    return names


def _same(name: str, moving: str) -> str:
    return (
        f"which matches {name}, which in this model is tied to {moving}: one and the same weights. "
        f"Expected a pattern of {moving}, which stops both."
    )


class Teacher:
    """A frozen model that distributions are taken from."""

    def __init__(self, model: Any, *, below: bool = False) -> None:
        self.model, self._below = model, below

    @contextmanager
    def speaking(self) -> Iterator[Any]:
        """The model as the teacher; without its adapter where it lies below the trainee."""
        if not self._below:
            yield self.model
            return
        fixed = stopped(self.model)
        was_training = self.model.training
        self.model.eval()
        try:
            with self.model.disable_adapter():
                yield self.model
        finally:
            # What was frozen of an adapter moves once the adapter is switched on again.
            stop(self.model, fixed)
            self.model.train(was_training)


def make_teacher(model: Any, location: str, start: str, tuning: TuningSpec) -> Teacher:
    """The frozen model of a location; the start's lies below an adapter already."""
    if tuning.lora is not None and location == start:
        return Teacher(model, below=True)
    frozen = load_model(location).eval().requires_grad_(False)
    # How it is sampled from is said in full; its own settings would stand in for what is not.
    frozen.generation_config = GenerationConfig()
    ours, its = (_vocabulary(one) for one in (model, frozen))
    if ours != its:
        raise ModelError(
            f"teacher: {location} gives {its} logits a position and the trainee {ours}; expected "
            "as many. A teacher is an older checkpoint of the trainee, or one with its vocabulary."
        )
    return Teacher(frozen)


class Anchor:
    """The weights at the start, that hold those that move as a spring does."""

    def __init__(self, model: nn.Module, strength: float) -> None:
        self._strength = strength
        self._pairs = [(p, p.detach().clone()) for p in model.parameters() if p.requires_grad]

    def pull(self) -> Tensor:
        """Add its gradient to what the parameters have; half its strength times the distance
        squared."""
        total = torch.zeros((), device=self._pairs[0][0].device)
        with torch.no_grad():
            for parameter, start in self._pairs:
                away = parameter - start
                total += away.square().sum()
                if parameter.grad is not None:
                    parameter.grad.add_(away, alpha=self._strength)
        return 0.5 * self._strength * total


def finished(model: Any, tuning: TuningSpec, start: str) -> Any:
    """What is saved at the end: merged, and drawn back towards the start, as the spec says."""
    share = tuning.wise_ft
    if tuning.lora is None:
        return model if share is None else _between(model, load_model(start), share)
    if share is not None:
        _scale_adapter(model, share)
    return model.merge_and_unload() if tuning.lora.merge else model


def _between(model: Any, start: Any, share: float) -> Any:
    before = dict(start.named_parameters())
    for name, parameter in model.named_parameters():
        origin = before[name].to(parameter.device)
        parameter.data.sub_(origin).mul_(share).add_(origin)
    return model


def _scale_adapter(model: nn.Module, share: float) -> None:
    """An adapter adds B A to weights: so much of B is so far on the line."""
    for name, parameter in model.named_parameters():
        if ".lora_B." in name or ".lora_embedding_B." in name:
            parameter.data.mul_(share)


def _with_adapter(model: Any, lora: LoraSpec, seed: int) -> Any:
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    targets: str | list[str] = _ALL_LINEAR
    if lora.targets != _ALL_LINEAR:
        # A text of its own would be taken for a pattern of whole names.
        targets = [lora.targets] if isinstance(lora.targets, str) else list(lora.targets)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
    )
    linear = sorted({n.rpartition(".")[2] for n, m in model.named_modules() if _is_linear(m)})
    tied = _has_tied_embeddings(model)
    try:
        adapted = get_peft_model(model, config)
    except ValueError as error:
        raise SpecError(
            f"tuning.lora.targets: found {lora.targets!r}, expected `all-linear` or names of the "
            f"model's linear modules: {', '.join(linear)}."
        ) from error
    _check_embeddings(adapted, tied=tied)
    return adapted


def _has_tied_embeddings(model: Any) -> bool:
    first, last = model.get_input_embeddings(), model.get_output_embeddings()
    return last is not None and first.weight is last.weight


def _check_embeddings(adapted: Any, *, tied: bool) -> None:
    if tied and hasattr(adapted.get_input_embeddings(), "lora_A"):
        raise SpecError(
            "tuning.lora.targets: the adapter would lie on the input embeddings, which this model "
            "ties to the output embeddings: merged, it would change both, but only one is trained. "
            "Expected other modules, for example `all-linear`."
        )
    if hasattr(adapted.get_output_embeddings(), "lora_A"):
        raise SpecError(
            "tuning.lora.targets: the adapter would lie on the output embeddings, whose weights "
            "are used directly; expected other modules, for example `all-linear`, which leaves "
            "them out."
        )


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear)


def _vocabulary(model: Any) -> int:
    return int(model.get_output_embeddings().weight.shape[0])


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise SpecError(
            f"tuning.frozen: found {pattern!r}, expected a regular expression: {error}."
        ) from error


def _expected(pattern: str, names: list[str]) -> str:
    """Near names: of parameters, or of the modules and kinds that their names are made of."""
    pieces = {piece for name in names for piece in name.split(".") if not piece.isdigit()}
    letters = re.sub(r"\\.|[^\w.]", "", pattern)
    near = [
        close
        for among in (sorted(pieces), names)
        for close in difflib.get_close_matches(letters, among, n=_SHOWN, cutoff=0.5)
    ]
    shown = near or [names[index] for index in sorted({0, len(names) // 2, len(names) - 1})]
    hint = "did you mean" if near else "such as"
    return (
        "which matches the name of no parameter that would move; expected a regular expression "
        f"found in some of the {len(names)} names ({hint} {', '.join(shown)}?)."
    )

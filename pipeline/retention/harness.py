"""Tasks of lm-evaluation-harness, for those who have their data; it is not installed by default.

The harness trusts a tokenizer to write what begins a text, and some do not: it is given one that
does, so that a text begins there as it does in all other measures.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.dialects.tokenizer import load_tokenizer
from pipeline.retention.reader import Reader
from pipeline.sft.trainee import Trainee
from schemas.errors import EnvironmentMismatch, SpecError
from schemas.retention import MeasuredMetric
from schemas.sft_spec import HarnessSpec

_RESAMPLES = 100
"""For the standard errors of metrics that are no means; without any there would be none at all."""


def check_harness() -> None:
    """Whether it is there, before anything else is done."""
    try:
        import lm_eval  # noqa: F401
    except ImportError as error:
        raise EnvironmentMismatch(
            f"retention.harness: lm-evaluation-harness cannot be imported ({error}). Install it "
            "with pip install 'arborist[harness]', or take the section out of the spec."
        ) from error


def measure_harness(
    reader: Reader, trainee: Trainee, spec: HarnessSpec
) -> dict[str, MeasuredMetric]:
    """By `task metric`, what it found."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=spec.include)
    unknown = [task for task in spec.tasks if task not in manager.all_tasks]
    if unknown:
        raise SpecError(
            f"retention.harness.tasks: lm-evaluation-harness knows no {', '.join(unknown)}; "
            "expected names of its own, or of files in the folder that `include` names."
        )
    model = HFLM(
        pretrained=reader.model,
        tokenizer=_beginning(trainee),
        batch_size=spec.batch_rows,
        max_length=trainee.context,
    )
    found = simple_evaluate(
        model=model,
        tasks=list(spec.tasks),
        task_manager=manager,
        limit=spec.limit,
        bootstrap_iters=_RESAMPLES,
        log_samples=True,
    )
    return dict(read_results(found))


def read_results(found: Mapping[str, Any]) -> Iterator[tuple[str, MeasuredMetric]]:
    """The metrics of all tasks, the groups' own left out: they are means over tasks."""
    for task, samples in found["samples"].items():
        results, better = found["results"][task], found["higher_is_better"].get(task) or {}
        ordered = sorted(samples, key=lambda sample: int(sample["doc_id"]))
        for key, value in results.items():
            metric, comma, chosen = key.partition(",")
            if not comma or metric.endswith("_stderr") or not _is_number(value):
                continue
            of_filter = [sample for sample in ordered if sample.get("filter", "none") == chosen]
            shown = metric if chosen == "none" else f"{metric} ({chosen})"
            error = results.get(f"{metric}_stderr,{chosen}")
            yield (
                f"{task} {shown}",
                MeasuredMetric(
                    items=_digest(of_filter),
                    value=float(value),
                    error=float(error) if _is_number(error) else None,
                    higher_is_better=better.get(metric) is not False,
                    by_item=_by_item(of_filter, metric, float(value)),
                ),
            )


def _by_item(samples: Sequence[Mapping[str, Any]], metric: str, value: float) -> tuple[float, ...]:
    """The items' own values, if the metric is their mean."""
    values = [sample.get(metric) for sample in samples]
    if not values or not all(map(_is_number, values)):
        return ()
    numbers = tuple(float(number) for number in values if number is not None)
    is_mean = math.isclose(math.fsum(numbers) / len(numbers), value, rel_tol=1e-6, abs_tol=1e-9)
    return numbers if is_mean else ()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _digest(samples: Sequence[Mapping[str, Any]]) -> str:
    hasher = hashlib.blake2b(digest_size=16)
    for sample in samples:
        hasher.update(f"{sample['doc_hash']} {sample['prompt_hash']}\n".encode())
    return hasher.hexdigest()


def _beginning(trainee: Trainee) -> Any:
    """A tokenizer that begins every text as the model expects it."""
    from tokenizers.processors import TemplateProcessing

    tokenizer: Any = load_tokenizer(trainee.location)
    names = tokenizer.convert_ids_to_tokens(list(trainee.dialect.start))
    if names:
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single=" ".join([*names, "$A"]),
            pair=" ".join([*names, "$A", "$B"]),
            special_tokens=list(zip(names, trainee.dialect.start, strict=True)),
        )
    return tokenizer

"""The optimiser's settings in the words of TRL."""

from pathlib import Path
from typing import Any

from trl import SFTConfig

from pipeline.sft.training.devices import on_cpu, processes
from pipeline.sft.training.steps import Steps
from schemas.errors import EnvironmentMismatch
from schemas.sft_spec import SftSpec, TrainingSpec

_CHECKPOINTS_A_RUN = 10


def steps_of(training: TrainingSpec, rows: int) -> Steps:
    """The order of so many rows over the processes there are."""
    return Steps(
        rows=rows,
        batch_rows=training.batch_rows,
        accumulate=training.accumulate,
        processes=processes(),
        at_most=training.max_steps,
    )


def settings(spec: SftSpec, steps: Steps, folder: Path) -> Any:
    """TRL's, with its own defaults where they would surprise switched off."""
    training = spec.training
    # Rounded down: the first step of a warmup learns nothing, which few steps cannot spare.
    warm = int(training.warmup * len(steps))
    constant = "constant_with_warmup" if warm else "constant"
    args = SFTConfig(
        output_dir=str(folder),
        per_device_train_batch_size=training.batch_rows,
        gradient_accumulation_steps=training.accumulate,
        max_steps=len(steps),
        learning_rate=training.learning_rate,
        lr_scheduler_type=constant if training.schedule == "constant" else training.schedule,
        warmup_steps=warm,
        weight_decay=training.weight_decay,
        max_grad_norm=training.clip or 0.0,
        bf16=training.dtype == "bfloat16",
        gradient_checkpointing=training.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False},
        seed=training.seed,
        logging_steps=training.log_every,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=training.save_every or max(1, -(-len(steps) // _CHECKPOINTS_A_RUN)),
        save_total_limit=None,
        report_to=[],
        disable_tqdm=True,
        use_cpu=on_cpu(),
        ddp_backend="gloo" if on_cpu() and processes() > 1 else None,
        ddp_find_unused_parameters=False,
        remove_unused_columns=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
        packing=False,
        average_tokens_across_devices=False,
    )
    # A process that sees several GPUs trains on one of them, not on copies of the model.
    args._n_gpu = min(args.n_gpu, 1)
    return args


def tensorboard(folder: Path) -> Any:
    """A callback that writes the figures for TensorBoard."""
    from transformers.integrations import TensorBoardCallback

    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise EnvironmentMismatch(
            "training.tensorboard: the package tensorboard is not installed; install it with "
            '`pip install "arborist[tensorboard]"`, or leave the setting out.'
        ) from error
    return TensorBoardCallback(SummaryWriter(log_dir=str(folder)))

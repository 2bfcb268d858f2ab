"""What there is to train on."""

import gc
import os

import torch


def num_gpus() -> int:
    """Of this machine."""
    return int(torch.cuda.device_count())


def on_cpu() -> bool:
    """Whether there is no GPU."""
    return not torch.cuda.is_available()


def free() -> None:
    """Give back the memory of what nobody needs any more, on the GPU too."""
    # Trainers and models lie in cycles of references.
    gc.collect()
    torch.cuda.empty_cache()


def processes() -> int:
    """How many train together, as whoever launched this one says."""
    return int(os.environ.get("WORLD_SIZE", "1"))

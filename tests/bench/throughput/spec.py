"""The run that all arms grow, as the product is told of it."""

from typing import Any

from tests.bench.throughput.machine import group_settings
from tests.bench.throughput.setup import Setup

LEVELS = (
    {"role": "user", "temperature": 0.9, "top_p": 0.95},
    {"role": "assistant", "temperature": 0.6, "top_p": 0.9},
)
TOPICS = (
    "A chat between a curious user and a helpful assistant. The user asks one short question about "
    "nature, history or everyday science, and the assistant answers in a few sentences.",
    "A chat between a student and a friendly teacher. The student asks one short question and the "
    "teacher explains it simply, in a few sentences.",
)
FILTERS = (
    *("empty", "role_leak", "repetition", "path_repetition", "echo", "refusal"),
    {"filter": "length", "roles": ["user"], "min_chars": 10},
)
"""Those of the chat specs that come with the product, but for `truncated`, which would take turns
of forced lengths out before they are compared."""


def make_spec(setup: Setup, location: str):
    """A Balance-Tree of chats, with the curation of such runs."""
    from jobs.spec_file import parse_spec

    content = {
        "generation": _generation(setup),
        "execution": {
            "location": location,
            "pool": "local",
            "embedder": _embedder(),
            "engines": {"main": group_settings(setup)},
        },
    }
    return parse_spec(content, name="the benchmark")


def _generation(setup: Setup) -> dict[str, Any]:
    return {
        "seed": setup.seed,
        "model": {"name": setup.model, "context": setup.context, "dtype": setup.dtype},
        "roots": {"trees": setup.trees, "topics": [{"text": text} for text in TOPICS]},
        "levels": [
            LEVELS[i % 2] | {"fanout": fanout, "oversample": 1, "max_tokens": setup.longest}
            for i, fanout in enumerate(setup.fanouts)
        ],
        "curation": {"filters": list(FILTERS), "duplicates": "near", "diversity": {}},
        "bounds": {"candidates_per_wave": setup.wave},
    }


def _embedder() -> str:
    """The packaged one where it was prepared."""
    from jobs.prepare_embedder import cached_embedder

    return "packaged" if cached_embedder().is_dir() else "hashing"

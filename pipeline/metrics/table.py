"""Every metric there is. Names and units are as Prometheus has it: base units, `_total` at the end
of what only rises."""

from typing import Literal, NamedTuple

EXPORTER = "ray_"
"""Ray's exporter puts this before every name."""
COMMON = ("run", "attempt")
"""Labels that every metric has."""


class Metric(NamedTuple):
    """One metric, as Prometheus will know it."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    """Beside the common ones."""
    buckets: tuple[float, ...] = ()
    """Upper bounds, of a histogram."""

    @property
    def exported(self) -> str:
        """As it is scraped; a histogram's parts add `_bucket`, `_sum` and `_count`."""
        return EXPORTER + self.name


NODES_ASKED = Metric(
    "arborist_nodes_asked_total", "counter", "Candidates of the waves committed here", ("level",)
)
NODES_KEPT = Metric(
    "arborist_nodes_kept_total", "counter", "Those of them that were kept", ("level",)
)
NODES_DROPPED = Metric(
    "arborist_nodes_dropped_total",
    "counter",
    "Those of them that were dropped or failed, by reason",
    ("reason",),
)
COMMITTED_TOKENS = Metric(
    "arborist_committed_tokens_total",
    "counter",
    "Tokens sampled for the waves committed here, and about them",
    ("level",),
)
WAVES_COMMITTED = Metric(
    "arborist_waves_committed_total", "counter", "Waves committed by this driver", ("level",)
)
WAVES_OPEN = Metric("arborist_waves_open", "gauge", "Waves in flight")
COMMIT_SECONDS = Metric(
    "arborist_commit_seconds",
    "histogram",
    "From a judged wave until its manifest counts",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
STORE_RETRIES = Metric(
    "arborist_store_retries_total", "counter", "Operations on the store that were tried again"
)
ENGINES = Metric(
    "arborist_engines",
    "gauge",
    "Engines by state: live, loading, or waiting for a place",
    ("state",),
)
ENGINES_REPLACED = Metric(
    "arborist_engines_replaced_total",
    "counter",
    "Engines replaced, by cause: engine (raised or stalled) or machine (process or node lost)",
    ("cause",),
)
ENGINE_SEQUENCES = Metric(
    "arborist_engine_sequences",
    "gauge",
    "Sequences at live engines, by state: running or waiting",
    ("state",),
)
REQUEUED = Metric(
    "arborist_nodes_requeued_total",
    "counter",
    "Candidates asked for again because their engine was lost",
)
SAMPLED_TOKENS = Metric(
    "arborist_sampled_tokens_total", "counter", "Tokens that engines sampled, committed or not"
)
PROMPT_TOKENS = Metric(
    "arborist_prompt_tokens_total", "counter", "Prompt tokens that engines were asked to read"
)
CACHED_TOKENS = Metric(
    "arborist_cached_prompt_tokens_total",
    "counter",
    "Those of them that the prefix cache held already",
)
PROGRESS = Metric(
    "arborist_progress_ratio", "gauge", "Candidates asked for of those expected of the whole run"
)
LEFT_SECONDS = Metric(
    "arborist_left_seconds", "gauge", "Estimated time until the run ends, once it can be told"
)

METRICS = (
    *(NODES_ASKED, NODES_KEPT, NODES_DROPPED, COMMITTED_TOKENS, WAVES_COMMITTED, WAVES_OPEN),
    *(COMMIT_SECONDS, STORE_RETRIES, ENGINES, ENGINES_REPLACED, ENGINE_SEQUENCES, REQUEUED),
    *(SAMPLED_TOKENS, PROMPT_TOKENS, CACHED_TOKENS, PROGRESS, LEFT_SECONDS),
)

"""Context-free data (arXiv 2505.13811): what the model writes of itself, from nothing.

From the id that begins every text alone, at temperature 1, with nothing truncated in the
distribution, nothing filtered and nothing dropped, rows are an unbiased sample of the model, and
their next-token loss is an unbiased estimate of the divergence from it. Cutting at max_tokens is
harmless: it is the law of the first so many tokens. So is going on past the end of a text
(`ignore_eos`), as arXiv 2605.26097 does to fill every row.

Where the paper is silent we chose: lengths are settings, the log-probabilities of sampled tokens
are always stored, the most likely tokens of each position on request. Whatever a spec sets that
breaks the estimate is named on the snapshot.
"""

from collections.abc import Iterator

from pipeline.recipes.method import Method
from pipeline.tree.recipe import Stops
from schemas.errors import SpecError
from schemas.generation_spec import GenerationSpec, LevelSpec, ModelSpec


class ContextFree(Method):
    """From the beginning of a text alone."""

    name = "context-free"
    text_is = "text"
    stops: Stops = "text"
    defaults = {
        "logprobs": "tokens",
        "curation": {"filters": [], "duplicates": "keep", "diversity": None},
    }
    level_defaults = {"text": {"oversample": 1.0}}

    def check(self, spec: GenerationSpec) -> None:
        """One level of text, from nothing, with its log-probabilities."""
        super().check(spec)
        if len(spec.levels) > 1:
            raise SpecError(
                f"generation.levels: found {len(spec.levels)}, expected one ({self.name})."
            )
        if spec.roots.topics or spec.roots.data is not None:
            raise SpecError(
                f"generation.roots: found texts to grow from, expected none ({self.name}); "
                "`tg-pt` continues texts, `contextual` answers prompts."
            )
        if spec.logprobs != "tokens":
            raise SpecError(
                f"generation.logprobs: found {spec.logprobs}, expected tokens ({self.name})."
            )

    def biases(self, spec: GenerationSpec) -> tuple[str, ...]:
        """What makes rows another sample than the model's own."""
        return (*_of_sampling(spec.levels[0]), *_of_curation(spec), *_of_model(spec.model))


def _of_sampling(level: LevelSpec) -> Iterator[str]:
    untouched = {
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": 0,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
    }
    for name, value in untouched.items():
        if getattr(level, name) != value:
            yield f"{name} {getattr(level, name):g}"
    for stop in level.stop:
        yield f"stop {stop!r}"
    if level.system:
        yield "a system prompt"


def _of_model(model: ModelSpec) -> Iterator[str]:
    if model.quantization is not None:
        yield f"quantization {model.quantization}"


def _of_curation(spec: GenerationSpec) -> Iterator[str]:
    curation = spec.curation
    for entry in curation.filters:
        if "text" in entry.roles:
            yield f"filter {entry.filter}"
    if curation.duplicates != "keep":
        yield f"duplicates {curation.duplicates}"
    if curation.diversity is not None and curation.diversity.max_cosine is not None:
        yield f"diversity.max_cosine {curation.diversity.max_cosine:g}"
    if spec.asked(1) > spec.levels[0].fanout:
        yield "oversample"

"""How the rows were made: models, sampling by level, filters, and what each of these left."""

from collections import Counter
from collections.abc import Iterator

from pipeline.card.facts import Facts
from pipeline.card.markdown import code, plain, table
from schemas.filter_spec import AnyFilter
from schemas.generation_spec import GenerationSpec

_SHORT = 80
DIGITS = 16
"""Of a digest that are shown."""


def models(facts: Facts) -> str:
    """By what they are known: names are labels, digests are the models."""
    spec, identity = facts.run.spec, facts.run_file.identity
    specs = [spec.model, *(spec.models[group] for group in sorted(spec.models))]
    rows = [
        (
            code(one.name),
            code(digests.weights[:DIGITS]),
            code(digests.tokenizer[:DIGITS]),
            code(digests.template[:DIGITS]),
            plain(" ".join(filter(None, (one.dtype, one.quantization)))),
        )
        for one, digests in zip(specs, identity.models, strict=True)
    ]
    return table(("model", "weights", "tokenizer", "chat template", "dtype"), rows)


def software(facts: Facts) -> str:
    """What the engines were."""
    made = sorted(
        {
            " ".join(filter(None, (one.backend_version or one.backend, one.device, one.dtype)))
            for one in facts.snapshot.software
        }
    )
    return "; ".join(map(plain, made)) or "not recorded"


def sampling(facts: Facts) -> str:
    """Who spoke at each level, and how that was drawn."""
    head = ("level", "role", "kept of each parent", "asked", "temperature", "top p", "most tokens")
    rows = [
        (
            str(number),
            rule.role,
            f"{rule.fanout:,}",
            f"{rule.asked:,}",
            f"{rule.sampling.temperature:g}",
            f"{rule.sampling.top_p:g}",
            f"{rule.sampling.max_tokens:,}",
        )
        for number, rule in enumerate(facts.run.rules, start=1)
    ]
    return table(head, rows, right=(0, 2, 3, 4, 5, 6))


def counts(facts: Facts) -> str:
    """What became of the candidates of each level."""
    head = ("level", "role", "asked for", "dropped", "kept", "given", "tokens sampled")
    rows = [
        (
            str(level.level),
            level.role,
            f"{level.asked:,}",
            f"{level.dropped.total():,}",
            f"{level.kept:,}",
            f"{level.given:,}",
            f"{level.tokens:,}",
        )
        for level in facts.levels
    ]
    return table(head, rows, right=(0, 2, 3, 4, 5, 6))


def funnel(facts: Facts) -> str:
    """From the candidates asked for to the kept ones, a line for each reason; the last is left."""
    snapshot, spec = facts.snapshot, facts.run.spec
    left = snapshot.counts.asked
    rows = [("asked for", "", "", f"{left:,}")]
    dropped = Counter(snapshot.counts.dropped)
    for reason, words in _steps(spec):
        lost = dropped.pop(reason, 0)
        left -= lost
        rows.append((code(reason), words, f"-{lost:,}" if lost else "0", f"{left:,}"))
    for reason, lost in sorted(dropped.items()):
        left -= lost
        rows.append((code(reason), _failure(reason), f"-{lost:,}", f"{left:,}"))
    rows.append(("kept", "", "", f"{snapshot.counts.kept:,}"))
    if snapshot.counts.given:
        rows.append(("references in place of an answer", "", f"+{snapshot.counts.given:,}", ""))
    return table(("step", "rule", "turns", "left"), rows, right=(2, 3))


def _steps(spec: GenerationSpec) -> Iterator[tuple[str, str]]:
    """What turns are held against, in that order, the same filter for several roles once."""
    curation = spec.curation
    for name in dict.fromkeys(entry.filter for entry in curation.filters):
        own = [entry for entry in curation.filters if entry.filter == name]
        yield name, "; ".join(map(_settings, own))
    if curation.duplicates != "keep":
        yield "duplicate", "the same text"
    if curation.duplicates == "near":
        yield "near_duplicate", f"Jaccard of shingles at least {curation.near_threshold:g}"
    if curation.diversity is not None and curation.diversity.max_cosine is not None:
        yield "similar", f"cosine at least {curation.diversity.max_cosine:g}"
    by = "" if curation.diversity is None else ", by maximal marginal relevance"
    yield "surplus", f"enough others were chosen{by}"


def _settings(entry: AnyFilter) -> str:
    """Its thresholds, and whose turns it looks at."""
    said = entry.model_dump(mode="json", exclude={"filter", "roles"}, exclude_none=True)
    parts = [f"{name} {_short(value)}" for name, value in said.items() if value not in ([], "")]
    return f"{', '.join(entry.roles)}{': ' if parts else ''}{', '.join(map(plain, parts))}"


def _short(value: object) -> str:
    said = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return said if len(said) <= _SHORT else f"{said[:_SHORT]}..."


def _failure(reason: str) -> str:
    return "the request gave no text" if reason.startswith("failed:") else ""

"""The card itself: front matter, then what a person wants to know before using the rows."""

from collections.abc import Iterator, Sequence

import yaml

from pipeline.card.columns import columns
from pipeline.card.facts import Facts
from pipeline.card.front_matter import front_matter
from pipeline.card.making import DIGITS, counts, funnel, models, sampling, software
from pipeline.card.markdown import block, code, plain, wrapped
from pipeline.card.shown import Said

TURNS_SHOWN = 8
CHARS_SHOWN = 700
SPEC_SHOWN = 12_000

_KINDS = {
    "messages": "a conversation",
    "text": "a text",
    "preference": "a prompt with several answers",
    "nodes": "a kept turn of a tree",
}


def card(facts: Facts) -> str:
    """The whole README.md."""
    sections = [
        f"# {plain(facts.title)}",
        *_about(facts),
        "## Load it",
        _load(facts),
        "## How it was made",
        *_made(facts),
        "## What was kept",
        *_kept(facts),
        "## Columns",
        columns(facts.rows.schema, nodes=facts.rows.kind == "nodes"),
        "## Examples",
        *_examples(facts.rows.examples),
        "## Limits and biases",
        _limits(facts),
        "## Make it again",
        *_again(facts),
        "## Licence",
        _licence(facts),
        "## Citation",
        *_citation(facts),
    ]
    return front_matter(facts) + "\n" + "\n\n".join(filter(None, sections)) + "\n"


def _about(facts: Facts) -> Iterator[str]:
    rows, snapshot = facts.rows, facts.snapshot
    trees = facts.run.trees
    yield (
        f"{rows.count:,} rows, each {_KINDS[rows.kind]}. All of it is synthetic: a language model "
        f"wrote it, as trees of {'text' if facts.run.is_text else 'dialogue'}, grown by Arborist "
        f"with the recipe {code(facts.recipe)}."
    )
    if facts.rehearsal:
        yield (
            "**This is a rehearsal.** Scripted engines stood in for the model, so the texts mean "
            "nothing."
        )
    if not snapshot.complete:
        yield (
            f"**This is a part of the run**: the first whole cohorts of its {trees:,} trees, which "
            "is where its budget ended."
        )
    if rows.languages:
        shares = ", ".join(f"{code(name)} {share:.0%}" for name, share in rows.languages.items())
        yield f"Languages, told by py3langid from a sample of rows: {shares}."


def _load(facts: Facts) -> str:
    place = 'PLACE = "OWNER/NAME"  # on the hub, or this folder'
    lines = ["import datasets", "", place, 'rows = datasets.load_dataset(PLACE, split="train")']
    if facts.rows.kind == "preference":
        lines.append('pairs = rows.filter(lambda row: row["chosen_by"])')
    return block("\n".join(lines), "python")


def _made(facts: Facts) -> Iterator[str]:
    snapshot = facts.snapshot
    yield models(facts)
    yield (
        f"Names are labels; the digests (SHA-256, their beginnings) say which files. Engines: "
        f"{software(facts)}. Run {code(snapshot.run_id)}, snapshot {snapshot.number}, seed "
        f"{facts.run.spec.seed}, guarantee {code(snapshot.guarantee)}."
    )
    yield _roots(facts)
    yield sampling(facts)
    if facts.rows.how_chosen:
        yield facts.rows.how_chosen


def _roots(facts: Facts) -> str:
    roots, rows = facts.run.spec.roots, facts.run_file.rows.good
    trees = f"The {facts.run.trees:,} trees grow from"
    if roots.data is not None:
        known = code(facts.run_file.identity.roots[:DIGITS])
        return f"{trees} {rows:,} rows of a data set, whose digest begins with {known}."
    if roots.topics:
        return f"{trees} {rows:,} topics or system prompts, which stand in the spec below."
    return f"{trees} nothing but what the recipe begins with."


def _kept(facts: Facts) -> Iterator[str]:
    yield counts(facts)
    yield "Turns were judged while the trees grew; the first rule that hits names the reason."
    yield funnel(facts)
    refinement = facts.snapshot.refinement
    if refinement is not None:
        fallen = ", ".join(f"{n:,} {code(reason)}" for reason, n in refinement.dropped.items())
        yield f"Of the kept turns, a comparison over all trees left out: {fallen or 'none'}."
    asides = facts.snapshot.counts.asides
    if asides:
        said = ", ".join(f"{n:,} {code(kind)}" for kind, n in asides.items())
        tokens = facts.snapshot.counts.aside_tokens
        yield f"Beside the turns, the model was asked about them: {said} ({tokens:,} tokens)."


def _examples(examples: Sequence[Sequence[Said]]) -> Iterator[str]:
    if not examples:
        yield "There are no rows."
    for number, said in enumerate(examples, start=1):
        yield f"### {number}"
        for turn in said[:TURNS_SHOWN]:
            yield f"**{plain(turn.who)}**\n\n{block(_cut(turn.text))}"
        if len(said) > TURNS_SHOWN:
            yield f"... and {len(said) - TURNS_SHOWN:,} more turns."


def _cut(text: str) -> str:
    if len(text) <= CHARS_SHOWN:
        return wrapped(text)
    return f"{wrapped(text[:CHARS_SHOWN])} ... ({len(text):,} characters)"


def _limits(facts: Facts) -> str:
    lines = [
        "What a model writes may be wrong, and it is as one-sided as the model. Nobody has read "
        "all of it.",
        *_biases(facts),
    ]
    masked = ", ".join(map(code, sorted(facts.run.masked)))
    if facts.rows.kind == "nodes" and masked:
        lines.append("Personal data are not masked in this form.")
    elif masked:
        lines.append(
            f"Personal data in turns of {masked} are masked by patterns, such as `<EMAIL>`; what "
            "looks like none of the patterns is still there."
        )
    else:
        lines.append("Personal data were not masked; what looks like some may be invented.")
    if facts.snapshot.refinement is None:
        lines.append("Repeats were looked for within a cohort only, not over the whole run.")
    return "\n".join(f"- {line}" for line in lines)


def _biases(facts: Facts) -> Iterator[str]:
    biases = facts.snapshot.biases
    if biases is None:
        yield (
            "It is no unbiased sample of what the model writes, and does not claim to be: prompts, "
            "filters and the choice among siblings shape it."
        )
    elif not biases:
        yield "It is an unbiased sample of what the model writes."
    else:
        said = "; ".join(map(plain, biases))
        yield f"It is no unbiased sample of what the model writes: {said}."


def _again(facts: Facts) -> Iterator[str]:
    spec = yaml.safe_dump(
        {"generation": facts.run_file.generation.model_dump(mode="json")},
        sort_keys=False,
        allow_unicode=True,
    )
    more = "" if len(spec) <= SPEC_SHOWN else "# ... the rest is in the run's run.json\n"
    yield (
        f"Arborist {plain(facts.run_file.arborist)}. The section below, with an `execution` of "
        "your own, is the same run: its id is a hash of it and of the model's files."
    )
    yield block(f"arborist generate SPEC.yaml\n{facts.rows.command}", "sh")
    yield "<details><summary>The spec</summary>"
    yield block(f"{spec[:SPEC_SHOWN]}{more}".rstrip("\n"), "yaml")
    yield "</details>"


def _licence(facts: Facts) -> str:
    writers = ", ".join(dict.fromkeys(map(code, facts.writers)))
    terms = (
        f"The terms of what wrote it ({writers}) may bind its outputs too, and so may those of the "
        "data that the trees grew from"
    )
    if facts.license is None:
        return f"Not stated. {terms}: check them, and state a licence, before you share this."
    return f"{code(facts.license)}, as stated by whoever exported it. {terms}."


def _citation(facts: Facts) -> Iterator[str]:
    if not facts.papers:
        yield f"The recipe {code(facts.recipe)} is after no paper that this card knows."
        return
    for paper in facts.papers:
        yield f"[{paper.title}]({paper.link}), {paper.year}"
    yield block("\n\n".join(paper.bibtex for paper in facts.papers), "bibtex")

"""Re-check a run from its bytes: every checksum, count, id, link, prompt, score and verdict.

It walks the tree of waves as a resuming driver would, so it also proves that a resume would find
what it needs. Each defect is one sentence that names the file or node. What only a model's
tokenizer could prove is counted where none is at hand.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa

from pipeline.judging import count_asides
from pipeline.lineage import Lineage
from pipeline.plan.agenda import planned_waves
from pipeline.plan.plan import Plan, make_plan
from pipeline.storage.ledger import Ledger
from pipeline.storage.shards import WAVE_TABLES, WaveRows, read_wave, wave_rows
from pipeline.storage.store import Store
from pipeline.tree.frontier import Parent, frontier_of, prompt_of
from pipeline.tree.run import Run
from pipeline.verify.defect import Defect
from pipeline.verify.logprobs import logprob_defects
from pipeline.verify.measures import feature_defects, measure_defects
from pipeline.verify.nodes import node_defects, place_defects
from pipeline.verify.reach import Decode, Reach, text_defects
from pipeline.verify.roots import root_defects
from pipeline.verify.snapshots import readable_snapshots, snapshot_defects
from pipeline.verify.verdicts import aside_defects, verdict_defects
from schemas.errors import CorruptData, ModelError, NotFound
from schemas.manifest import Manifest, Table
from schemas.records import Node
from schemas.wave_id import WaveId

Tables = Mapping[Table, pa.Table]


class _Walk(NamedTuple):
    """What every wave is checked with."""

    run: Run
    store: Store
    plan: Plan
    ledger: Ledger
    lineage: Lineage
    reach: Reach
    rejudge: bool
    remeasure: bool
    widths: dict[int, str]
    """Of vectors, and the wave in which each was met first."""


def verify(
    run: Run,
    ledger: Ledger,
    *,
    decoders: Mapping[int, Decode] | None = None,
    unproven: Counter[str] | None = None,
    rejudge: bool = True,
    remeasure: bool = True,
) -> Iterator[Defect]:
    """Defects, none for a sound run.

    `decoders`, by tongue, additionally prove text == decode(token_ids), and the run's spellers the
    prompts in which several models speak, and the openings. What is left out for want of these is
    added to `unproven`, by the kinds of `reach`. `rejudge` proves every verdict, and
    `remeasure` the numbers that it comes from as far as texts give them; both take the curation of
    the version that made the run, so without `rejudge` nothing is measured either.
    """
    plan = make_plan(run.spec, run.recipe, run.trees)
    store = ledger.store
    # Before the ledger: a snapshot that is made meanwhile names waves that are not looked at.
    snapshots, unreadable = readable_snapshots(store, ledger.repairs)
    manifests, damaged = _read_ledger(ledger)
    yield from damaged
    frontiers = {name: manifest.frontier for name, manifest in manifests.items()}
    reach = Reach(decoders or {}, Counter() if unproven is None else unproven)
    lineage = Lineage(run, plan, ledger)
    remeasure = rejudge and remeasure
    walk = _Walk(run, store, plan, ledger, lineage, reach, rejudge, remeasure, {})
    planned = list(planned_waves(run.spec, run.recipe, plan, frontiers))
    seen = {wave.name: wave for wave, committed in planned if committed}
    told: set[str] = set()
    for name, wave in seen.items():
        for text in _defects(walk, wave, manifests[name]):
            # What is wrong with a wave is met again by all that grew from it.
            if text not in told:
                told.add(text)
                yield Defect(text, wave=name)
    yield from _stray_defects(ledger, manifests, seen, planned)
    yield from unreadable
    yield from snapshot_defects(snapshots, ledger, manifests, planned)


def _read_ledger(ledger: Ledger) -> tuple[dict[str, Manifest], list[Defect]]:
    """The manifests that count, and what is wrong with the files in the ledger."""
    manifests: dict[str, Manifest] = {}
    damaged = [
        Defect(f"{name}: is no manifest of a wave; delete it by hand.") for name in ledger.strays()
    ]
    for wave, found in ledger.survey().items():
        if isinstance(found, CorruptData):
            damaged.append(Defect(str(found), wave=wave))
        else:
            manifests[wave] = found
    return manifests, damaged


def _stray_defects(
    ledger: Ledger,
    manifests: Mapping[str, Manifest],
    seen: Mapping[str, WaveId],
    planned: Sequence[tuple[WaveId, bool]],
) -> Iterator[Defect]:
    """Manifests that the plan does not lead to; where the one above is gone, that is the cause."""
    missing = {wave.name for wave, committed in planned if not committed}
    for name in sorted(manifests.keys() - seen.keys()):
        parts = name.split(".")
        above = (".".join(parts[:depth]) for depth in range(1, len(parts)))
        cause = next((wave for wave in above if wave in missing), name)
        yield Defect(
            f"{ledger.name_of(name)}: no wave of this plan has this name or its parent wave is "
            "gone.",
            wave=cause,
        )


def _defects(walk: _Walk, wave: WaveId, manifest: Manifest) -> Iterator[str]:
    try:
        yield from _wave_defects(walk, wave, manifest)
    except (CorruptData, NotFound) as error:
        yield str(error)
    except ModelError as error:
        yield f"wave {wave.name}: a text in or above it cannot be spelled: {error}"


def _wave_defects(walk: _Walk, wave: WaveId, manifest: Manifest) -> Iterator[str]:
    run = walk.run
    where = walk.ledger.name_of(wave.name)
    if manifest.run_id != run.run_id or manifest.wave != wave.name:
        yield f"{where}: names run {manifest.run_id}, wave {manifest.wave}; expected {run.run_id}."
        return
    tables = _read_tables(walk.ledger, manifest)
    rows = wave_rows(tables)
    nodes = rows.nodes
    trees = walk.plan.trees_of(wave.cohort) if wave.level == 1 else range(0)
    yield from root_defects(run, wave, rows.roots, trees, walk.reach)
    parents = walk.lineage.parents(wave, manifest)
    yield from place_defects(run, wave, parents, nodes)
    yield from _count_defects(run, where, wave, manifest, nodes)
    yield from _token_defects(run, where, wave, manifest, parents, rows)
    yield from node_defects(run, wave, parents, nodes, walk.reach)
    yield from _evidence_defects(walk, wave, parents, rows, tables)
    known = {parent.node_id for parent in parents}
    kept = [c for c, verdict in nodes if verdict.kept and c.parent_id in known]
    frontier = frontier_of(run, parents, kept)
    if len(frontier) != manifest.frontier:
        yield f"{where}: frontier is {manifest.frontier}, its rows give {len(frontier)}."
    walk.lineage.hold(wave, frontier)


def _evidence_defects(
    walk: _Walk, wave: WaveId, parents: Sequence[Parent], rows: WaveRows, tables: Tables
) -> Iterator[str]:
    """What verdicts come from, and verdicts."""
    run = walk.run
    ids = tables["features"].column("node_id").to_pylist() if "features" in tables else []
    unfit = list(feature_defects(run, wave, rows, ids, widths=walk.widths))
    yield from unfit
    yield from logprob_defects(run, wave, rows, tables)
    for aside, _ in rows.asides:
        yield from text_defects(run, f"{aside.kind} {aside.node_id}", aside, walk.reach)
    yield from aside_defects(run, wave, parents, rows, walk.reach, rejudge=walk.rejudge)
    if walk.remeasure:
        yield from measure_defects(run, wave, parents, rows)
    if walk.rejudge and not unfit:
        yield from verdict_defects(run, wave, rows)


def _read_tables(ledger: Ledger, manifest: Manifest) -> Tables:
    """The tables of a wave, with the rows of each where they belong."""
    if len({entry.table for entry in manifest.shards} & set(WAVE_TABLES)) < len(manifest.shards):
        raise CorruptData(
            f"{ledger.name_of(manifest.wave)}: names {[entry.name for entry in manifest.shards]}; "
            f"expected at most one file of each of {list(WAVE_TABLES)}."
        )
    tables = read_wave(ledger.store, manifest.shards)
    for entry in manifest.shards:
        if entry.table in ("features", "logprobs", "roots"):
            continue
        table = tables[entry.table]
        places = list(zip(*(table.column(c).to_pylist() for c in ("tree_id", "path")), strict=True))
        if places != sorted(places):
            raise CorruptData(f"{entry.name}: its rows are not in the order of tree and path.")
        if entry.table == "asides":
            continue
        reasons = table.column("drop_reason")
        if reasons.null_count != (0 if entry.table == "dropped" else table.num_rows):
            raise CorruptData(f"{entry.name}: kept and dropped rows are in one file.")
    return tables


def _count_defects(
    run: Run, where: str, wave: WaveId, manifest: Manifest, nodes: Sequence[Node]
) -> Iterator[str]:
    rule, counts = run.rule(wave.level), manifest.counts
    sampled = [node for node in nodes if node.candidate.origin != "given"]
    reasons = Counter(node.verdict.drop_reason for node in sampled)
    kept = reasons.pop(None, 0)
    if (counts.kept, dict(counts.dropped)) != (kept, dict(reasons)):
        yield (
            f"{where}: counts kept {counts.kept}, dropped {dict(counts.dropped)}; "
            f"its rows give {kept} and {dict(reasons)}."
        )
    if counts.asked != counts.kept + counts.num_dropped:
        yield f"{where}: asked {counts.asked} is not kept {counts.kept} + {counts.num_dropped}."
    given = sum(node.candidate.level > 0 for node in nodes) - len(sampled)
    if counts.given != given:
        yield f"{where}: counts {counts.given} given rows, there are {given}."
    tokens = sum(len(node.candidate.token_ids) for node in sampled)
    if counts.output_tokens != tokens:
        yield f"{where}: counts {counts.output_tokens} output tokens, its rows hold {tokens}."
    families = Counter(node.candidate.parent_id for node in sampled if node.verdict.kept)
    for parent_id, size in families.items():
        if size > rule.fanout:
            yield f"node {parent_id}: has {size} kept children, at most {rule.fanout} are allowed."


def _token_defects(
    run: Run,
    where: str,
    wave: WaveId,
    manifest: Manifest,
    parents: Sequence[Parent],
    rows: WaveRows,
) -> Iterator[str]:
    """What the manifest counts beside candidates."""
    counts = manifest.counts
    rule = run.rule(wave.level)
    prompts = [prompt_of(run, parent, rule) for parent in parents]
    total = sum(len(prompt) * rule.asked for prompt in prompts if prompt is not None)
    if all(prompt is not None for prompt in prompts) and counts.prompt_tokens != total:
        yield f"{where}: counts {counts.prompt_tokens} prompt tokens, its parents give {total}."
    asides = count_asides(rows.asides)
    if dict(counts.asides) != asides:
        yield f"{where}: counts asides {dict(counts.asides)}, its rows give {asides}."
    tokens = sum(len(aside.token_ids) for aside, _ in rows.asides)
    if counts.aside_tokens != tokens:
        yield f"{where}: counts {counts.aside_tokens} tokens of asides, its rows hold {tokens}."

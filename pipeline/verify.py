"""Re-check a run from its bytes: every checksum, count, id, link, prompt, score and verdict.

It walks the tree of waves as a resuming driver would, so it also proves that a resume would find
what it needs. Each defect is one sentence that names the file or node.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from pipeline.judging import count_asides, stand_ins
from pipeline.lineage import Lineage
from pipeline.plan.agenda import planned_waves, whole_cohorts
from pipeline.plan.plan import make_plan
from pipeline.storage.ledger import Ledger
from pipeline.storage.shards import WAVE_TABLES, WaveRows, read_wave, wave_rows
from pipeline.storage.snapshots import add_counts, latest
from pipeline.storage.store import Store
from pipeline.tree.frontier import Parent, frontier_of, prompt_of
from pipeline.tree.identity import node_id, prompt_hash
from pipeline.tree.prompt import count_reasoning
from pipeline.tree.recipe import LevelRule
from pipeline.tree.roots import root_candidate
from pipeline.tree.run import Run
from pipeline.verify_drops import drop_defects
from pipeline.verify_measures import feature_defects, measure_defects
from pipeline.verify_verdicts import aside_defects, verdict_defects
from schemas.errors import CorruptData, NotFound
from schemas.fingerprint import digest
from schemas.manifest import Manifest, Snapshot
from schemas.records import KEEP, Candidate, Ids, Node, Verdict
from schemas.wave_id import WaveId

Decode = Callable[[Ids], str]


class _Walk(NamedTuple):
    """What every wave is checked with."""

    run: Run
    store: Store
    lineage: Lineage
    decode: Decode | None
    rejudge: bool
    remeasure: bool
    widths: dict[int, str]
    """Of vectors, and the wave in which each was met first."""


def verify(
    run: Run,
    store: Store,
    *,
    decode: Decode | None = None,
    rejudge: bool = True,
    remeasure: bool = True,
) -> Iterator[str]:
    """Defects, none for a sound run.

    `decode` additionally proves text == decode(token_ids). `rejudge` proves every verdict, and
    `remeasure` the numbers that it comes from as far as texts give them; both take the curation of
    the version that made the run, so without `rejudge` nothing is measured either.
    """
    plan = make_plan(run.spec, run.recipe, run.trees)
    manifests, damaged = _read_ledger(store)
    yield from damaged
    frontiers = {name: manifest.frontier for name, manifest in manifests.items()}
    walk = _Walk(run, store, Lineage(run, plan, store), decode, rejudge, rejudge and remeasure, {})
    seen: set[str] = set()
    missing: list[str] = []
    planned = list(planned_waves(run.spec, run.recipe, plan, frontiers))
    for wave, committed in planned:
        if not committed:
            missing.append(wave.name)
            continue
        seen.add(wave.name)
        yield from _wave_defects(walk, wave, manifests[wave.name])
    for name in sorted(set(manifests) - seen):
        yield f"ledger/{name}.json: no wave of this plan has this name or its parent wave is gone."
    yield from _snapshot_defects(store, manifests, missing)
    yield from _partial_defects(store, planned)


def _read_ledger(store: Store) -> tuple[dict[str, Manifest], list[str]]:
    ledger, manifests, damaged = Ledger(store), {}, []
    for name in store.list("ledger"):
        wave = name.removeprefix("ledger/").removesuffix(".json")
        try:
            manifest = ledger.read(wave)
        except CorruptData as error:
            damaged.append(str(error))
            continue
        if manifest is not None:
            manifests[wave] = manifest
    return manifests, damaged


def _wave_defects(walk: _Walk, wave: WaveId, manifest: Manifest) -> Iterator[str]:
    run = walk.run
    where = f"ledger/{wave.name}.json"
    if manifest.run_id != run.run_id or manifest.wave != wave.name:
        yield f"{where}: names run {manifest.run_id}, wave {manifest.wave}; expected {run.run_id}."
        return
    try:
        rows, features = _read_rows(walk.store, manifest)
        nodes = rows.nodes
        parents = walk.lineage.parents(wave, manifest)
    except (CorruptData, NotFound) as error:
        yield str(error)
        return
    yield from _place_defects(run, wave, parents, nodes)
    yield from _count_defects(run, where, wave, manifest, nodes)
    yield from _token_defects(run, wave, manifest, parents, rows)
    yield from _node_defects(run, wave, parents, nodes, walk.decode)
    yield from _evidence_defects(walk, wave, parents, rows, features)
    known = {parent.node_id for parent in parents}
    kept = [c for c, verdict in nodes if verdict.kept and c.parent_id in known]
    frontier = frontier_of(run, parents, kept)
    if len(frontier) != manifest.frontier:
        yield f"{where}: frontier is {manifest.frontier}, its rows give {len(frontier)}."
    walk.lineage.hold(wave, frontier)


def _evidence_defects(
    walk: _Walk, wave: WaveId, parents: Sequence[Parent], rows: WaveRows, features: Sequence[str]
) -> Iterator[str]:
    """What verdicts come from, and verdicts."""
    run = walk.run
    unfit = list(feature_defects(run, wave, rows, features, widths=walk.widths))
    yield from unfit
    for aside, _ in rows.asides:
        yield from _text_defects(run, f"{aside.kind} {aside.node_id}", aside, walk.decode)
    yield from aside_defects(run, wave, parents, rows, rejudge=walk.rejudge)
    if walk.remeasure:
        yield from measure_defects(run, wave, parents, rows)
    if walk.rejudge and not unfit:
        yield from verdict_defects(run, wave, rows)


def _read_rows(store: Store, manifest: Manifest) -> tuple[WaveRows, list[str]]:
    """The rows of a wave, and the ids of its features."""
    if len({entry.table for entry in manifest.shards} & set(WAVE_TABLES)) < len(manifest.shards):
        raise CorruptData(
            f"ledger/{manifest.wave}.json: names {[entry.name for entry in manifest.shards]}; "
            f"expected at most one file of each of {list(WAVE_TABLES)}."
        )
    tables = read_wave(store, manifest.shards)
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
    features = tables.get("features")
    ids: list[str] = [] if features is None else features.column("node_id").to_pylist()
    return wave_rows(tables), ids


def _place_defects(
    run: Run, wave: WaveId, parents: Sequence[Parent], nodes: Sequence[Node]
) -> Iterator[str]:
    """Every child that was asked for is there once, and nothing else but what is given."""
    rule = run.recipe.rule(run.spec, wave.level)
    asked = rule.asked
    expected = {(p.tree_id, (*p.path, index)): p.node_id for p in parents for index in range(asked)}
    if wave.level == 1:
        expected |= {(p.tree_id, ()): "" for p in parents}
    expected |= {
        (c.tree_id, c.path): c.parent_id or "" for c in _stand_ins(run, rule, parents, nodes)
    }
    found = Counter((node.candidate.tree_id, node.candidate.path) for node in nodes)
    for place in sorted(expected.keys() - found.keys())[:5]:
        yield f"wave {wave.name}: no row for tree {place[0]}, path {list(place[1])}."
    for place in sorted(p for p, n in found.items() if n > 1 or p not in expected)[:5]:
        yield f"wave {wave.name}: a doubled or foreign row at tree {place[0]}, {list(place[1])}."
    for candidate, _ in nodes:
        parent_id = expected.get((candidate.tree_id, candidate.path))
        if candidate.level and parent_id is not None and candidate.parent_id != parent_id:
            yield f"node {candidate.node_id}: its parent is {candidate.parent_id}, not {parent_id}."


def _stand_ins(
    run: Run, rule: LevelRule, parents: Sequence[Parent], nodes: Sequence[Node]
) -> list[Candidate]:
    sampled = [node for node in nodes if node.candidate.origin != "given"]
    return stand_ins(run, rule, parents, sampled)


def _count_defects(
    run: Run, where: str, wave: WaveId, manifest: Manifest, nodes: Sequence[Node]
) -> Iterator[str]:
    rule, counts = run.recipe.rule(run.spec, wave.level), manifest.counts
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
    run: Run, wave: WaveId, manifest: Manifest, parents: Sequence[Parent], rows: WaveRows
) -> Iterator[str]:
    """What the manifest counts beside candidates."""
    where, counts = f"ledger/{wave.name}.json", manifest.counts
    rule = run.recipe.rule(run.spec, wave.level)
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


def _node_defects(
    run: Run, wave: WaveId, parents: Sequence[Parent], nodes: Sequence[Node], decode: Decode | None
) -> Iterator[str]:
    rule = run.recipe.rule(run.spec, wave.level)
    given = {p.node_id: root_candidate(run, p.root) for p in parents if not p.path}
    given |= {row.node_id: row for row in _stand_ins(run, rule, parents, nodes)}
    kept_ids = {candidate.node_id for candidate, verdict in nodes if verdict.kept}
    for candidate, verdict in nodes:
        name = f"node {candidate.node_id}"
        if candidate.node_id != node_id(run.run_id, candidate.tree_id, candidate.path):
            yield f"{name}: its id does not follow from its place."
        if candidate.origin == "given":
            yield from _given_defects(candidate, verdict, given.get(candidate.node_id))
            continue
        if verdict.keeper_id is not None and verdict.keeper_id not in kept_ids:
            yield f"{name}: its keeper {verdict.keeper_id} is not a kept node of the wave."
        yield from _turn_defects(run, candidate, rule, decode)
    yield from _prompt_defects(run, rule, parents, nodes)


def _prompt_defects(
    run: Run, rule: LevelRule, parents: Sequence[Parent], nodes: Sequence[Node]
) -> Iterator[str]:
    """Each sampled turn was asked from what its ancestors give, where that can be spelled."""
    prompts = {parent.node_id: prompt_of(run, parent, rule) for parent in parents}
    hashes = {n: None if ids is None else prompt_hash(ids) for n, ids in prompts.items()}
    for candidate, _ in nodes:
        expected = hashes.get(candidate.parent_id or "", "")
        if candidate.origin == "sampled" and expected not in (None, candidate.prompt_hash):
            yield (
                f"node {candidate.node_id}: its prompt_hash is not that of the prompt its "
                "ancestors give."
            )


def _turn_defects(
    run: Run, candidate: Candidate, rule: LevelRule, decode: Decode | None
) -> Iterator[str]:
    name = f"node {candidate.node_id}"
    groups = [rule.group, rule.critique.engine if rule.critique else rule.group]
    group = groups[candidate.origin == "rewritten"]
    if candidate.role != rule.role:
        yield f"{name}: role {candidate.role} at level {candidate.level}."
    if candidate.model_index != run.spec.model_index(group):
        yield f"{name}: model {candidate.model_index}, but its level is written by {group}."
        return
    yield from _text_defects(run, name, candidate, decode)


def _text_defects(
    run: Run, name: str, candidate: Candidate, decode: Decode | None
) -> Iterator[str]:
    """Of anything sampled: what follows from its token ids."""
    tongue = run.tongues[candidate.model_index]
    reasoning = count_reasoning(candidate.token_ids, run.dialects[tongue])
    if candidate.role == "assistant" and candidate.reasoning_tokens != reasoning:
        yield f"{name}: {candidate.reasoning_tokens} reasoning tokens, its ids give {reasoning}."
    if decode is not None and tongue == 0 and decode(candidate.token_ids) != candidate.text:
        yield f"{name}: its text is not the decoding of its token ids."


def _given_defects(
    candidate: Candidate, verdict: Verdict, expected: Candidate | None
) -> Iterator[str]:
    """A root, or a reference that stands in, is what its tree grows from."""
    if expected is None:
        yield f"node {candidate.node_id}: is given, but nothing was to be given in its place."
        return
    same_ids = candidate.token_ids.tolist() == expected.token_ids.tolist()
    same = (candidate.role, candidate.text) == (expected.role, expected.text)
    if not same or not same_ids or verdict != KEEP:
        yield f"node {candidate.node_id}: is not the root of tree {candidate.tree_id}."


def _snapshot_defects(
    store: Store, manifests: Mapping[str, Manifest], missing: Sequence[str]
) -> Iterator[str]:
    try:
        snapshot = latest(store)
    except CorruptData as error:
        yield str(error)
        return
    if snapshot is None:
        return
    named = {entry.wave: entry.digest for entry in snapshot.manifests}
    for wave, expected in named.items():
        if wave not in manifests:
            yield f"ledger/{wave}.json: named by snapshot {snapshot.number}, missing or damaged."
        elif digest(store.read(f"ledger/{wave}.json")) != expected:
            yield f"ledger/{wave}.json: is not what snapshot {snapshot.number} names."
    if named.keys() <= manifests.keys():
        yield from _sum_defects(snapshot, [manifests[wave] for wave in named])
    if snapshot.complete:
        yield from _complete_defects(store, snapshot, manifests, missing)
    yield from drop_defects(store, snapshot)


def _partial_defects(store: Store, planned: Sequence[tuple[WaveId, bool]]) -> Iterator[str]:
    """A partial snapshot names the first cohorts of the plan, each of them to its end."""
    try:
        snapshot = latest(store)
    except CorruptData:
        return
    if snapshot is None or snapshot.complete:
        return
    named = [WaveId.parse(entry.wave) for entry in snapshot.manifests]
    last = max((wave.cohort for wave in named), default=-1)
    if named != [wave for wave in whole_cohorts(planned) if wave.cohort <= last]:
        yield (
            f"snapshot {snapshot.number}: is partial, but does not name the first cohorts of the "
            "plan, each to its end."
        )


def _sum_defects(snapshot: Snapshot, manifests: Sequence[Manifest]) -> Iterator[str]:
    shards = tuple(entry for manifest in manifests for entry in manifest.shards)
    if snapshot.shards != shards:
        yield f"snapshot {snapshot.number}: its shards are not those of the manifests it names."
    total = add_counts(manifest.counts for manifest in manifests)
    if snapshot.counts != total:
        yield (
            f"snapshot {snapshot.number}: counts {snapshot.counts}; the manifests it names "
            f"add up to {total}."
        )


def _complete_defects(
    store: Store, snapshot: Snapshot, manifests: Mapping[str, Manifest], missing: Sequence[str]
) -> Iterator[str]:
    """A complete snapshot names all there is, and nothing else lies beside it."""
    for wave in missing:
        yield f"ledger/{wave}.json: planned, not committed, but the snapshot says complete."
    named = {entry.wave for entry in snapshot.manifests}
    for wave in sorted(manifests.keys() - named):
        yield f"ledger/{wave}.json: not named by the complete snapshot {snapshot.number}."
    files = {entry.name for entry in snapshot.shards}
    for folder in WAVE_TABLES:
        for name in sorted(set(store.list(folder)) - files):
            yield f"{name}: lies beside the shards of a complete snapshot that does not name it."

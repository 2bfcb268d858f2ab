"""Re-check a run from its bytes: every checksum, count, id, link, prompt and verdict.

It walks the tree of waves as a resuming driver would, so it also proves that a resume would find
what it needs. Each defect is one sentence that names the file or node.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from pipeline.lineage import Lineage
from pipeline.plan.agenda import planned_waves
from pipeline.plan.plan import make_plan
from pipeline.storage.ledger import Ledger
from pipeline.storage.shards import WAVE_TABLES, WaveRows, read_wave, wave_rows
from pipeline.storage.snapshots import latest
from pipeline.storage.store import Store
from pipeline.tree.frontier import Parent, frontier_of, root_candidate
from pipeline.tree.identity import node_id, prompt_hash
from pipeline.tree.prompt import ask, count_reasoning
from pipeline.tree.run import Run
from pipeline.verify_drops import drop_defects
from pipeline.verify_verdicts import aside_defects, verdict_defects
from schemas.errors import CorruptData, NotFound
from schemas.fingerprint import digest
from schemas.manifest import Manifest, Snapshot
from schemas.records import Candidate, Ids, Node
from schemas.wave_id import WaveId

Decode = Callable[[Ids], str]


class _Proofs(NamedTuple):
    """What is proven beyond the bytes, where it can be."""

    decode: Decode | None
    rejudge: bool


def verify(
    run: Run, store: Store, *, decode: Decode | None = None, rejudge: bool = True
) -> Iterator[str]:
    """Defects, none for a sound run.

    `decode` additionally proves text == decode(token_ids); `rejudge` proves every verdict, which
    takes the curation of the version that made the run.
    """
    proofs = _Proofs(decode, rejudge)
    plan = make_plan(run.spec, run.recipe)
    manifests, damaged = _read_ledger(store)
    yield from damaged
    frontiers = {name: manifest.frontier for name, manifest in manifests.items()}
    lineage = Lineage(run, plan, store)
    seen: set[str] = set()
    missing: list[str] = []
    for wave, committed in planned_waves(run.spec, run.recipe, plan, frontiers):
        if not committed:
            missing.append(wave.name)
            continue
        seen.add(wave.name)
        yield from _wave_defects(run, store, lineage, wave, manifests[wave.name], proofs)
    for name in sorted(set(manifests) - seen):
        yield f"ledger/{name}.json: no wave of this plan has this name or its parent wave is gone."
    yield from _snapshot_defects(store, manifests, missing)


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


def _wave_defects(
    run: Run,
    store: Store,
    lineage: Lineage,
    wave: WaveId,
    manifest: Manifest,
    proofs: _Proofs,
) -> Iterator[str]:
    where = f"ledger/{wave.name}.json"
    if manifest.run_id != run.run_id or manifest.wave != wave.name:
        yield f"{where}: names run {manifest.run_id}, wave {manifest.wave}; expected {run.run_id}."
        return
    try:
        rows = _read_rows(store, manifest)
        nodes = rows.nodes
        parents = lineage.parents(wave)
    except (CorruptData, NotFound) as error:
        yield str(error)
        return
    yield from _place_defects(run, wave, parents, nodes)
    yield from _count_defects(run, where, wave, manifest, nodes)
    yield from _node_defects(run, parents, nodes, proofs.decode)
    yield from aside_defects(run, wave, parents, rows)
    if proofs.rejudge:
        yield from verdict_defects(run, wave, rows)
    known = {parent.node_id for parent in parents}
    kept = [c for c, verdict in nodes if verdict.kept and c.parent_id in known]
    frontier = frontier_of(run, parents, kept)
    if len(frontier) != manifest.frontier:
        yield f"{where}: frontier is {manifest.frontier}, its rows give {len(frontier)}."
    lineage.hold(wave, frontier)


def _read_rows(store: Store, manifest: Manifest) -> WaveRows:
    tables = read_wave(store, manifest.shards)
    for entry in manifest.shards:
        if entry.table == "features":
            continue
        table = tables[entry.table]
        places = list(zip(*(table.column(c).to_pylist() for c in ("tree_id", "path")), strict=True))
        if places != sorted(places):
            raise CorruptData(f"{entry.name}: its rows are not in the order of tree and path.")
        reasons = table.column("drop_reason")
        if reasons.null_count != (0 if entry.table == "dropped" else table.num_rows):
            raise CorruptData(f"{entry.name}: kept and dropped rows are in one file.")
    return wave_rows(tables)


def _place_defects(
    run: Run, wave: WaveId, parents: Sequence[Parent], nodes: Sequence[Node]
) -> Iterator[str]:
    """Every child that was asked for is there once, and nothing else."""
    asked = run.recipe.rule(run.spec, wave.level).asked
    expected = {(p.tree_id, (*p.path, index)): p.node_id for p in parents for index in range(asked)}
    if wave.level == 1:
        expected |= {(p.tree_id, ()): "" for p in parents}
    found = Counter((node.candidate.tree_id, node.candidate.path) for node in nodes)
    for place in sorted(expected.keys() - found.keys())[:5]:
        yield f"wave {wave.name}: no row for tree {place[0]}, path {list(place[1])}."
    for place in sorted(p for p, n in found.items() if n > 1 or p not in expected)[:5]:
        yield f"wave {wave.name}: a doubled or foreign row at tree {place[0]}, {list(place[1])}."
    for candidate, _ in nodes:
        parent_id = expected.get((candidate.tree_id, candidate.path))
        if candidate.level and parent_id is not None and candidate.parent_id != parent_id:
            yield f"node {candidate.node_id}: its parent is {candidate.parent_id}, not {parent_id}."


def _count_defects(
    run: Run, where: str, wave: WaveId, manifest: Manifest, nodes: Sequence[Node]
) -> Iterator[str]:
    rule, counts = run.recipe.rule(run.spec, wave.level), manifest.counts
    sampled = [node for node in nodes if node.candidate.level]
    reasons = Counter(node.verdict.drop_reason for node in sampled)
    kept = reasons.pop(None, 0)
    if (counts.kept, dict(counts.dropped)) != (kept, dict(reasons)):
        yield (
            f"{where}: counts kept {counts.kept}, dropped {dict(counts.dropped)}; "
            f"its rows give {kept} and {dict(reasons)}."
        )
    if counts.asked != counts.kept + counts.num_dropped:
        yield f"{where}: asked {counts.asked} is not kept {counts.kept} + {counts.num_dropped}."
    tokens = sum(len(node.candidate.token_ids) for node in sampled)
    if counts.output_tokens != tokens:
        yield f"{where}: counts {counts.output_tokens} output tokens, its rows hold {tokens}."
    families = Counter(node.candidate.parent_id for node in sampled if node.verdict.kept)
    for parent_id, size in families.items():
        if size > rule.fanout:
            yield f"node {parent_id}: has {size} kept children, at most {rule.fanout} are allowed."


def _node_defects(
    run: Run, parents: Sequence[Parent], nodes: Sequence[Node], decode: Decode | None
) -> Iterator[str]:
    hashes = {p.node_id: prompt_hash(ask(p.history, p.role, run.dialect)) for p in parents}
    kept_ids = {candidate.node_id for candidate, verdict in nodes if verdict.kept}
    for candidate, verdict in nodes:
        name = f"node {candidate.node_id}"
        if candidate.node_id != node_id(run.run_id, candidate.tree_id, candidate.path):
            yield f"{name}: its id does not follow from its place."
        if candidate.level == 0:
            yield from _root_defects(run, candidate)
            continue
        if candidate.prompt_hash != hashes.get(candidate.parent_id or ""):
            yield f"{name}: its prompt_hash is not that of the prompt its ancestors give."
        if verdict.keeper_id is not None and verdict.keeper_id not in kept_ids:
            yield f"{name}: its keeper {verdict.keeper_id} is not a kept node of the wave."
        yield from _turn_defects(run, candidate, decode)


def _turn_defects(run: Run, candidate: Candidate, decode: Decode | None) -> Iterator[str]:
    name = f"node {candidate.node_id}"
    if candidate.role != run.recipe.rule(run.spec, candidate.level).role:
        yield f"{name}: role {candidate.role} at level {candidate.level}."
    reasoning = count_reasoning(candidate.token_ids, run.dialect)
    if candidate.role == "assistant" and candidate.reasoning_tokens != reasoning:
        yield f"{name}: {candidate.reasoning_tokens} reasoning tokens, its ids give {reasoning}."
    if decode is not None and decode(candidate.token_ids) != candidate.text:
        yield f"{name}: its text is not the decoding of its token ids."


def _root_defects(run: Run, candidate: Candidate) -> Iterator[str]:
    expected = root_candidate(run, candidate.tree_id)
    same_ids = candidate.token_ids.tolist() == expected.token_ids.tolist()
    if candidate.text != expected.text or not same_ids:
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
    there = [manifests[wave] for wave in named if wave in manifests]
    shards = tuple(entry for manifest in there for entry in manifest.shards)
    if len(there) == len(named) and snapshot.shards != shards:
        yield f"snapshot {snapshot.number}: its shards are not those of the manifests it names."
    if snapshot.complete:
        yield from _complete_defects(store, snapshot, manifests, missing)
    yield from drop_defects(store, snapshot)


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

"""Builders of what a store holds."""

import hashlib
from collections.abc import Sequence

import numpy as np

from jobs.recipes import recipe_identity
from pipeline.storage.shards import ShardPlace, WaveRows, write_shards
from pipeline.storage.store import Store
from schemas.dialect import Dialect
from schemas.fingerprint import Identity, ModelIdentity, run_id
from schemas.generation_spec import GenerationSpec, LevelSpec, ModelSpec, RootsSpec, Topic
from schemas.manifest import Counts, Manifest, RowCount, RunFile, ShardEntry, Software
from schemas.measures import no_measures
from schemas.records import KEEP, Candidate, Node, Verdict, to_ids

SOFTWARE = Software(backend="scripted", backend_version="1", device="cpu", dtype="float32")
RUN = "0123456789abcdef"


def make_node(tree_id: int, path: tuple[int, ...], verdict: Verdict = KEEP) -> Node:
    """A row whose text and ids follow from its place."""
    place = f"{tree_id}/{path}"
    name = hashlib.sha256(place.encode()).hexdigest()
    return Node(
        Candidate(
            tree_id=tree_id,
            node_id=name[:32],
            parent_id=name[32:] if path else None,
            path=path,
            role="user" if len(path) % 2 else "assistant",
            token_ids=to_ids([len(path), tree_id, *path]),
            text=f"text of {place}",
            finish_reason="stop",
            logprob_sum=-1.5,
            token_logprobs=np.asarray([-0.5] * len(path), dtype=np.float32),
            prompt_hash=name[:8],
        ),
        verdict,
    )


def make_nodes(trees: int, children: int) -> list[Node]:
    """Rows in (tree, path) order; every third child is a duplicate of the first."""
    duplicate = Verdict("duplicate", keeper_id="first", similarity=1.0)
    return [
        make_node(tree, (child,), duplicate if child % 3 == 2 else KEEP)
        for tree in range(trees)
        for child in range(children)
    ]


def make_manifest(
    wave: str = "000000",
    attempt: str = "a",
    *,
    shards: tuple[ShardEntry, ...] = (),
    counts: Counts | None = None,
    run: str = RUN,
    software: tuple[Software, ...] = (SOFTWARE,),
) -> Manifest:
    """A manifest of a small wave."""
    return Manifest(
        run_id=run,
        wave=wave,
        attempt=attempt,
        shards=shards,
        counts=counts or Counts(asked=4, kept=3, dropped={"duplicate": 1}),
        frontier=3,
        started_at=1.5,
        finished_at=2.25,
        software=software,
    )


def make_run_file(*, seed: int = 0, arborist: str = "0.1.0", after_user: int = 7) -> RunFile:
    """The run file of a spec with one level."""
    spec = GenerationSpec(
        seed=seed,
        model=ModelSpec(name="scripted", context=128),
        roots=RootsSpec(trees=2, topics=(Topic(text="cats"),)),
        levels=(LevelSpec(role="user", fanout=2, max_tokens=16),),
    )
    identity = Identity(
        models=(ModelIdentity(weights="w", tokenizer="t", template="c", dialect="d"),),
        recipe=recipe_identity("tg-sft"),
        curation={"selection": "1"},
    )
    dialect = Dialect(
        tokenizer="t",
        template="c",
        vocab_size=100,
        after_user=(after_user,),
        ask_assistant=(8,),
        after_assistant=(9,),
        user_stop_ids=(1,),
        assistant_stop_ids=(1,),
    )
    return RunFile(
        run_id=run_id(spec, identity),
        arborist=arborist,
        generation=spec,
        identity=identity,
        rows=RowCount(good=1),
        tongues=(0,),
        dialects=(dialect,),
        phrases=({},),
    )


def write_nodes(
    store: Store, nodes: Sequence[Node], *, wave: str = "000000", attempt: str = "a", run: str = RUN
) -> tuple[ShardEntry, ...]:
    """Rows of which nothing was measured, as shards."""
    rows = WaveRows(nodes, no_measures(len(nodes)))
    return write_shards(store, ShardPlace(run, wave, attempt), rows, {})

"""A run of scripted engines in this process, as benchmarks need it: everything that the command
does between the spec and the last commit, under a watch of the benchmark's own."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import NamedTuple

from jobs.curation import make_workers
from jobs.garbage import collect_seldom
from jobs.whereabouts import here, is_gone
from jobs.wiring import make_pool, pace_of, resolve
from pipeline.generate import Attempt, Hands
from pipeline.outlook import Limits
from pipeline.share import Clocks, Share
from pipeline.storage.ledger import Ledger
from pipeline.storage.open import join, open_store
from pipeline.storage.runs import create_run
from pipeline.storage.store import Store
from pipeline.watch import Watch
from schemas.execution_spec import RunSpec


class Opened(NamedTuple):
    """A run whose engines and workers have started."""

    hands: Hands
    store: Store
    """As it is, without what `through` puts before it."""
    generate: Callable[[], object]
    """Grows until nothing remains, or the watch stops it."""


@contextmanager
def opened(
    spec: RunSpec,
    watch: Watch,
    *,
    through: Callable[[Store], Store] = lambda store: store,
    see: Callable[[Hands], None] = lambda hands: None,
) -> Iterator[Opened]:
    """The run, ready to be grown; `through` is the way to the store, `see` looks at the hands
    before they start."""
    collect_seldom()
    resolved = resolve(spec)
    store = open_store(join(spec.execution.location, resolved.run_file.run_id))
    resolved = resolved._replace(run_file=create_run(store, resolved.run_file))
    pool = make_pool(spec, resolved.run_file)
    hands = Hands(pool, make_workers(spec, resolved.run_file), resolved.plant)
    see(hands)
    reached = through(store)
    share = Share(reached, here("bench", spec.execution.claim_s), is_gone, Clocks(time.time))
    attempt = Attempt(
        resolved.run, ledger=Ledger(reached), share=share, pace=pace_of(spec), watch=watch
    )
    limits = Limits(0.0, spec.execution.budget)
    try:
        pool.start()
        hands.workers.start()
        yield Opened(
            hands, store, partial(attempt.generate, lambda: nullcontext(hands), {}, limits)
        )
    finally:
        hands.workers.close()
        pool.close()

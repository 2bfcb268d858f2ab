"""The engines of a run and where they live: threads of this process, or Ray actors.

A pool promises exactly one outcome for each child asked for, whatever dies. Who gets what is
decided in `dispatch.py`, and how many engines there are in `staffing.py`, which are pure;
`supervise.py` starts, watches and replaces engines, and sees them through a `Fleet`. What engines
need of a Ray cluster, and whether it can ever give that, is in `ray_places.py`. This room is the
only one that imports ray's core; of the engines it sees the protocol.

Beside the engines live the workers of `workers.py`, which measure turns: in this process, in
processes of their own, or in Ray actors. What they run is in `measuring.py`, and how a wave is
shared among them in `parts.py`. All that use Ray join it through `ray_connection.py`,
and what a driver counts goes to Ray's exporter through `ray_metrics.py`.

For work after a run, such as dedup over the whole of it, there are the tasks of `tasks.py`:
functions over many items, in threads of this process or on Ray (`ray_tasks.py`).

To add a pool: implement `Fleet` and `Host` as `local.py` does, add a line in `jobs/wiring.py`, and
let `tests/contracts/test_pool.py` run over it. To add workers: keep the protocol, add a line in
`jobs/curation.py`, and let `tests/contracts/test_workers.py` run over them. To add
tasks: the same with `jobs/refine.py` and `tests/contracts/test_tasks.py`.
"""

"""The engines of a run and where they live: threads of this process, or Ray actors.

A pool promises exactly one outcome for each child asked for, whatever dies. Who gets what is
decided in `dispatch.py`, which is pure; `local.py` and `ray.py` only carry it out. This room is
the only one that imports ray's core; of the engines it sees the protocol.
"""

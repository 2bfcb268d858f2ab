"""Bytes by name, and what is built from them: shards, ledger, snapshots, readers.

All run state lies under the run's location. Shards are created once, at attempt-scoped names; one
manifest, created only if absent, makes a wave real. No renames, no overwrites. This room is the
only one that imports fsspec. It sees the schemas and nothing else of ours.

To add a store: implement the protocol in `store.py`, add a line in `open_store`, and let
`tests/contracts/test_store.py` run over it.
"""

"""Ledger and shards in, figures out. Reads, never writes.

Everything it says is added up from manifests, so it is true whatever became of the process that
made the run.
"""

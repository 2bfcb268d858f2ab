"""A run as pages in a browser: what the page asks for, answered from committed waves.

The first page needs the snapshot (or the ledger's manifests) alone; all else is read on demand, a
wave at a time, in the columns that are shown. Answers are JSON values of pure functions, so that
they are tested without sockets; `server` alone listens, on the loopback alone. Reads, never writes.

To add a page: a function in a module of its own, a line in `routes.py`, a module in `page/`.
"""

"""Embedders: texts as vectors, so that siblings can be chosen for what they add.

Edge: may import torch and sentence models. Sees the schemas only. An embedder is named by
`execution.embedder`; the digest of its content joins the run's identity.

To add one: a file beside `static.py` with a class that keeps the protocol and a VERSION, how it is
known in `load.py`, and its fixture in `tests/contracts/test_embedder.py`.
"""

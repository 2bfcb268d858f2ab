"""Engines turn requests into outcomes on some hardware.

An engine is fed continuously: `add` requests at any time, `step` it, and take what is finished.
This room is the only one that imports vllm. It sees the schemas and nothing else of ours.

To add one: implement the protocol in `engine.py`, add a line in `jobs/wiring.py` and an extra in
`pyproject.toml`, and let `tests/contracts/test_engine.py` run over it.
"""

"""The name of a prompt: what rows, proofs and messages call it by."""

import hashlib

import numpy as np

from schemas.records import Ids


def prompt_hash(prompt: Ids) -> str:
    """The hash by which `verify` proves what a node was asked from."""
    buffer = np.ascontiguousarray(prompt, dtype="<i4").tobytes()
    return hashlib.blake2b(buffer, digest_size=16).hexdigest()

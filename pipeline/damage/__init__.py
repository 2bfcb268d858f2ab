"""Damage to a model's weights, done reproducibly, so that its recovery can be tried and measured.

`prune` takes neurons or single weights out of the feed-forward layers, `nf4` rounds the linear
layers to 4 bits and back, `checkpoint` reads a model's files and writes them changed. What comes
out is a whole model of the same shape that loads like the one it was made of. The same input gives
the same bytes. To add a kind: a function that says what becomes of a tensor of a name, and a line
in `jobs/damage.py`. May import schemas only; loads torch late.
"""

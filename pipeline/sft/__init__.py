"""The thin SFT stage: a snapshot and task data in, a trained model and what it kept out.

`example` is what travels: a row of token ids and which of them are learned. `linearise`, `mix` and
`interval` are pure; the rest are edges to torch, transformers and TRL, and the only ones that
generation never sees. A run is known here by its location alone.
"""

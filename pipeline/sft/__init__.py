"""The thin SFT stage: a snapshot and task data in, a trained model and what it kept out.

`example` is what travels: a row of token ids and which of them are learned. `rows` makes them,
`training` learns them. Generation never sees this room; a run is known here by its location alone.
"""

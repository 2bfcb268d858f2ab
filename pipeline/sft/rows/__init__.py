"""From runs and data sets to the rows that are trained on, in their order.

`path_ids`, `linearise` and `mix` are pure. `from_run` and `from_data` read, `spelled` spells, and
`prepare` puts all of it on disk as one mixture.
"""

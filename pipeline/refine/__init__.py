"""The second loop: dedup over a whole run, which gives a new snapshot with a drop list.

`census` numbers the kept rows, `prompts` says what their trees answer, `traits` reads what rows
are compared by, `comparisons` lets those meet that may be alike and compares them exactly, `loop`
sweeps and seals. No shard is rewritten.
What is decided, and how, is pure and lies in `curate.whole_run`; where tasks run is a value of
`pool`.
"""

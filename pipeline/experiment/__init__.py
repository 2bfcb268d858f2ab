"""Experiments: many trainings that differ in one thing, and what may be said of the difference.

Pure: `overlay` makes an arm's spec out of the base's, `cells` says what is to be done, `budgets`
whether arms can be compared, `table` what came out, with intervals; `figures` and `page` draw it.
Nothing here trains; `jobs` does, and hands results in.
"""

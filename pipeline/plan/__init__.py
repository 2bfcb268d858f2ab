"""The plan: which waves there are, computed without doing anything, and which are ready next.

A plan is a tree of waves. How many child waves a wave has follows from how many of its nodes were
kept, which its manifest says; so plan and ledger together name exactly what remains. Here, too:
what a run has spent and whether its budget admits another cohort; the shape of a pilot, and what
its rows say of the whole run. Pure. Sees the schemas and `tree`.
"""

"""Who works on what: from heartbeats and claims, which drivers live, and which cohorts are free.

A driver takes a cohort that nobody claims, or whose last claim is that of a dead one. All of it is
advice, to keep drivers from doing the same work: what is committed is decided by manifests alone.
Pure: clocks and what the machine says are handed in. Sees the schemas and nothing else of ours.
"""

"""The run against a plain loop, a ceiling and its peers, on the same trees.

Each arm is one file, which measures one run in a process of its own and gives back a `Record`.
"""

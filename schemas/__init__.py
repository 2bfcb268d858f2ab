"""The contracts: what a run is asked for, what it writes, and the values that travel in between.

Nothing here acts. Everything here may be imported by every other room, and this room imports
nothing of ours: pydantic for what people and files say, frozen dataclasses for what the rooms
hand to each other, pyarrow for the tables.

To add an output column: append a nullable field in `node_table`, raise its version, and fill it
in the one function that computes it.
"""

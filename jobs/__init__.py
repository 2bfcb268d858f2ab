"""One launchable command a file, and whole runs as data in `specs/`.

Each command module has `add_arguments(parser)` and `run(args) -> exit code`, and imports heavy
libraries inside `run`. `wiring.py` is the one place where names become objects. Sees every room,
and is seen by none.
"""

"""What a check found wrong, and what has to be made again for it."""

from typing import NamedTuple


class Defect(NamedTuple):
    """One sentence for a person that names the file or node, and whose defect it is."""

    text: str
    wave: str | None = None
    """The wave that cannot be trusted."""
    snapshot: int | None = None
    """The number of the snapshot that says something wrong."""
    orphan: bool = False
    """Whether it is a file that nothing names, and that a sweep takes away."""

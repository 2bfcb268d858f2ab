"""Commands of other people's, such as `sbatch`, as scripts that note how they were called."""

import json
import os
import stat
from pathlib import Path


class FakeTools:
    """A folder of commands, first on the path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.path = f"{folder}:{os.environ['PATH']}"

    def add(self, name: str, body: str) -> None:
        """One, in bash; it notes its arguments before."""
        file = self.folder / name
        note = f'printf "%s\\n" "$*" >>{self.folder}/{name}.calls'
        file.write_text(f"#!/bin/bash\n{note}\n{body}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)

    def answer(self, name: str, value: object) -> Path:
        """A file with an answer, as JSON."""
        file = self.folder / name
        file.write_text(json.dumps(value))
        return file

    def calls(self, name: str) -> list[str]:
        """The arguments of each call."""
        file = self.folder / f"{name}.calls"
        return file.read_text().splitlines() if file.exists() else []

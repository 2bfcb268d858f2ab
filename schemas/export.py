"""`export.json`: what an export holds, and of which snapshot it is."""

from typing import Annotated, Any, Literal

from pydantic import Field

from schemas.curation_spec import Strict
from schemas.manifest import Amount, Digest, Sealed, Word

Kind = Literal["messages", "text", "preference", "nodes"]
"""What a row is."""

FileName = Annotated[str, Field(pattern=r"^[a-z]+-[0-9]{5,10}\.parquet$")]


class ExportedFile(Strict):
    """One Parquet file."""

    name: FileName
    rows: Amount
    bytes: Amount
    sha256: Digest


class Export(Sealed):
    """The rows of one snapshot, in one form."""

    arborist: str
    run_id: Word
    snapshot: Annotated[int, Field(ge=1, le=2**31 - 1)]
    snapshot_digest: Digest
    """Of the snapshot's bytes."""
    kind: Kind
    settings: dict[str, Any] = {}
    """Those of the command that decide rows."""
    rows: Amount
    files: tuple[ExportedFile, ...]
    readme: Digest | None = None
    """Of the data card that lies beside them; None where it is of another hand, or missing."""

    def is_of(self, other: "Export") -> bool:
        """Whether both are exports of one run, in one form."""
        return (self.run_id, self.kind) == (other.run_id, other.kind)

    def asks_for(self, other: "Export") -> bool:
        """Whether both hold the same rows."""
        same = self.snapshot_digest == other.snapshot_digest and self.settings == other.settings
        return same and self.is_of(other)

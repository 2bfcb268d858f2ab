"""The source of a part: its rows as examples, and by what it is known that they are the same."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline.sft.example import Example
from pipeline.sft.rows.from_data import data_examples, files_of
from pipeline.sft.rows.from_run import run_examples
from pipeline.sft.rows.run_source import OpenRun, SealedRun, rows_from
from pipeline.sft.trainee import Trainee
from pipeline.storage.data_files import DataFile, find_files
from pipeline.storage.records import Options
from schemas.errors import StoreError
from schemas.fingerprint import canonical, digest
from schemas.manifest import BadRow
from schemas.sft_spec import DataSource, PartSpec, SftSpec

_ROOMS = ("curate", "dialects", "sft/rows", "storage", "tree")


@dataclass(frozen=True)
class Source:
    """Where the rows of one part come from."""

    part: PartSpec
    trainee: Trainee
    seed: int
    options: Options
    run: SealedRun | None
    about: dict[str, Any]
    """What it was, as JSON."""

    @property
    def stored(self) -> bool:
        """Whether rows come with the distributions that the run stored."""
        return self.part.objective == "stored_kl"

    @property
    def prompts(self) -> bool:
        """Whether only what is asked is taken of its rows, for a model to answer."""
        return self.part.objective == "reverse_kl"

    def examples(self) -> Iterator[Example | BadRow]:
        """All its rows, in an order that is always the same."""
        part, trainee = self.part, self.trainee
        if part.data is not None:
            return data_examples(part.data, part.loss, trainee, self.options)
        assert part.run is not None and self.run is not None
        return run_examples(
            self.run, part.run, part.loss, trainee, stored=self.stored, seed=self.seed
        )

    def name(self, **more: Any) -> str:
        """Of its rows: another one as soon as anything that decides them is another."""
        part, about = self.part, dict(self.about)
        # Where files and runs lie, and what is said of them, has no say.
        for idle in ("files", "location", "notes"):
            about.pop(idle, None)
        return digest(
            canonical(
                {
                    "source": about,
                    "data": part.data and part.data.model_dump(mode="json", exclude={"files"}),
                    "run": part.run and part.run.model_dump(mode="json", exclude={"location"}),
                    "loss": part.loss,
                    "objective": part.objective,
                    "seed": self.seed if self.run is not None else None,
                    "dialect": self.trainee.dialect.model_dump(mode="json"),
                    "code": _code(),
                    **more,
                }
            )
        )[:32]


def open_source(part: PartSpec, spec: SftSpec, trainee: Trainee, open_run: OpenRun) -> Source:
    """The source of a part, looked up."""
    options, run = spec.storage_options, None
    if part.data is not None:
        about = _about_files(part.data, options)
    else:
        assert part.run is not None
        run = open_run(part.run)
        about = rows_from(run, trainee)._asdict()
        about["digest"] = digest(run.snapshot.to_bytes())
    return Source(part, trainee, spec.mix.seed, options, run, about)


def _about_files(source: DataSource, options: Options) -> dict[str, Any]:
    total = hashlib.sha256()
    locations = files_of(source)
    files = [file for location in locations for file in find_files(location, options)]
    for file in files:
        total.update(f"{file.base_name} {digest_of(file)}\n".encode())
    return {"files": list(locations), "digest": total.hexdigest()}


def digest_of(file: DataFile) -> str:
    """Of its content."""
    try:
        with file.store.open(file.name) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise StoreError(f"{file.location}: cannot be read: {error}.") from error


@lru_cache(maxsize=1)
def _code() -> str:
    """Digest of what turns sources into rows."""
    packages = [f"{name} {version(name)}" for name in ("tokenizers", "transformers")]
    pipeline = Path(__file__).parents[2]
    files = [file for room in _ROOMS for file in sorted((pipeline / room).glob("**/*.py"))]
    return digest(b"\n".join([*(p.encode() for p in packages), *(f.read_bytes() for f in files)]))

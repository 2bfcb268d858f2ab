"""Whether what is measured was also trained on, so that it is no longer held out."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jobs.sealed_runs import opener
from pipeline.sft.rows.from_data import files_of
from pipeline.sft.rows.sources import digest_of
from pipeline.storage.data_files import find_files
from schemas.errors import SpecError
from schemas.sft_spec import RunSource, SftSpec


def seen_in_training(spec: SftSpec, sources: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Sentences on runs and files that both a part and a measure of the spec read. `sources`: by
    part, what it was, as the mixture tells."""
    return [*_runs(spec, sources), *_files(spec)]


def _runs(spec: SftSpec, sources: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    trained = {part["run_id"]: (name, part) for name, part in sources.items() if "run_id" in part}
    wanted = {name: one.run for name, one in spec.retention.samples.items() if one.run is not None}
    if not trained:
        return
    for name, location in wanted.items():
        sealed = opener(spec.storage_options)(RunSource(location=location))
        if sealed.snapshot.run_id in trained:
            part, source = trained[sealed.snapshot.run_id]
            yield (
                f"retention.samples.{name}: the run at {location} (snapshot "
                f"{sealed.snapshot.number}) is also trained on, by parts.{part} (snapshot "
                f"{source['snapshot']}), so these samples are not held out; expected another run, "
                "or its KL tells of what was learned by heart."
            )


def _files(spec: SftSpec) -> Iterator[str]:
    measured = dict(_measured_files(spec))
    trained = {name: files_of(part.data) for name, part in spec.parts.items() if part.data}
    if not measured or not trained:
        return
    by_part = {name: _digests(places, spec) for name, places in trained.items()}
    for name, places in measured.items():
        try:
            ours = _digests(places, spec)
        except SpecError as error:
            raise SpecError(f"retention.{name}: {error}") from error
        for part, theirs in by_part.items():
            for content in ours.keys() & theirs.keys():
                yield (
                    f"retention.{name}: {ours[content]} is also trained on, by parts.{part}, so "
                    "it is not held out; expected other rows, or its figures tell of what was "
                    "learned by heart."
                )


def _measured_files(spec: SftSpec) -> Iterator[tuple[str, Sequence[str]]]:
    for name, samples in spec.retention.samples.items():
        if samples.items is not None:
            yield f"samples.{name}", (samples.items,)
    for name, gain in spec.retention.task.items():
        yield f"task.{name}", files_of(gain.data)
    for name, texts in spec.retention.texts.items():
        yield f"texts.{name}", (texts.items,)


def _digests(locations: Sequence[str], spec: SftSpec) -> dict[str, str]:
    """By the digest of its content, where a file lies."""
    files = [file for place in locations for file in find_files(place, spec.storage_options)]
    return {digest_of(file): file.location for file in files}

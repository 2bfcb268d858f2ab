"""A run, put together as a report's values."""

from collections.abc import Iterator

from jobs.report_drawn import examples_in, refined_in, repeats_in, topics_in
from jobs.report_facts import commands, facts, spec_yaml, unknown
from jobs.report_levels import levels_of
from jobs.report_source import Source, read_source
from jobs.wiring import is_rehearsal
from pipeline.report.content import Header, RunReport
from pipeline.report.course import course_of
from pipeline.report.dialogues import Dialogues, dialogues_of
from pipeline.report.engines import engines_of
from pipeline.report.foretold import guesses_of
from pipeline.report.funnel import together
from pipeline.report.prompts import prompts_of
from pipeline.storage.engine_uses import read_uses
from pipeline.storage.store import Store
from schemas.execution_spec import RunSpec
from schemas.secrets import redacted

_DIALOGUES = 12


def read_report(store: Store, spec: RunSpec | None, *, seed: int) -> RunReport:
    """Everything there is to say of a run, sealed or growing."""
    found = read_source(store, seed=seed)
    standing, levels = found.standing, tuple(levels_of(found))
    topics, vectors_by = topics_in(found)
    pilot, status = standing.pilot, standing.status
    attempts = (manifest.attempt for manifest in found.manifests)
    engines = engines_of(read_uses(store), attempts)
    lengths = {level.level: level.lengths.mean for level in levels if level.lengths}
    return RunReport(
        header=_header(found),
        funnel=together(level.funnel for level in levels),
        levels=levels,
        course=course_of(found.manifests),
        engines=engines,
        guesses=tuple(guesses_of(pilot, status, done=standing.sealed)) if pilot else (),
        pilot_candidates=pilot.pilot_candidates if pilot else None,
        prompts=prompts_of(status.levels, lengths),
        topics=topics,
        vectors_by=vectors_by,
        repeats=repeats_in(found),
        refined=refined_in(found),
        reasons=examples_in(found),
        asides=found.snapshot.counts.asides,
        dialogues=_dialogues(found),
        spec=spec_yaml(found.run_file),
        facts=facts(found.run_file, found.snapshot.software, spec),
        commands=commands(standing, found.run_file),
        unknown=tuple(unknown(found.manifests, standing, engines)),
    )


def _dialogues(found: Source) -> Dialogues:
    run, size, seed = found.view.run, _DIALOGUES, found.seed
    return dialogues_of(found.store, found.snapshot, run, found.show, size=size, seed=seed)


def _header(found: Source) -> Header:
    standing, generation = found.standing, found.run_file.generation
    snapshot = standing.snapshot
    return Header(
        name=redacted(_name(found.store.location, found.run_file.run_id)),
        location=redacted(found.store.location),
        run_id=found.run_file.run_id,
        recipe=generation.recipe,
        models=(generation.model.name, *generation.models),
        state=found.state,
        snapshot=snapshot.number if snapshot else None,
        complete=standing.sealed,
        guarantee=found.snapshot.guarantee,
        biases=found.snapshot.biases,
        cohorts=standing.cohorts,
        sealed_cohorts=standing.sealed_cohorts,
        trees=found.view.run.trees,
        attempts=standing.status.attempts,
        repairs=standing.repairs,
        notes=tuple(_notes(found)),
    )


def _name(location: str, run_id: str) -> str:
    """The folder that holds a run is named by a person, the run's own folder by a hash."""
    head, _, last = location.rstrip("/").rpartition("/")
    return (head.rpartition("/")[2] if last == run_id else last) or run_id


def _notes(found: Source) -> Iterator[str]:
    standing = found.standing
    if is_rehearsal(found.run_file):
        yield "A rehearsal: scripted engines wrote the texts, so nothing here tells of a model."
    if standing.sealed:
        return
    named = len(standing.snapshot.manifests) if standing.snapshot else 0
    beyond = max(0, len(found.manifests) - named)
    yield (
        f"The run is {found.state}: {standing.sealed_cohorts:,} of {standing.cohorts:,} cohorts "
        f"are sealed. Everything committed so far is counted"
        + (f", {beyond:,} waves that no snapshot names yet among it." if beyond else ".")
    )

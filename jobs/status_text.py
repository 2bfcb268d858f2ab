"""What `arborist status` says: all figures as JSON, and the same for a person."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jobs.estimate_text import course_json, course_text
from jobs.live_view import drops_text, engines_text, left_text, tokens_beside
from jobs.plan import rows_text
from pipeline.report.drivers import DriverStatus
from pipeline.report.status import LevelStatus, Status
from schemas.claim import Headway

if TYPE_CHECKING:
    from jobs.status import Standing

_SHOWN = 10


def as_json(standing: "Standing") -> dict[str, object]:
    """All figures."""
    status, snapshot, pilot = standing.status, standing.snapshot, standing.pilot
    return {
        "location": standing.location,
        "state": standing.state,
        "sealed": standing.sealed,
        "rows": standing.rows.model_dump(mode="json"),
        "levels": [_level_json(level) for level in status.levels],
        "kept": status.kept,
        "dropped": dict(sorted(status.dropped.items())),
        "asides": standing.asides,
        "snapshot": snapshot.number if snapshot else None,
        "sealed_cohorts": standing.sealed_cohorts,
        "cohorts": standing.cohorts,
        "biases": list(snapshot.biases) if snapshot and snapshot.biases is not None else None,
        "refined": standing.refined,
        "kept_after_refine": standing.kept_after_refine,
        "output_tokens": status.output_tokens,
        "aside_tokens": status.aside_tokens,
        "unused_tokens": status.unused_tokens,
        "busy_s": round(status.busy_s, 2),
        "tokens_per_s": round(status.tokens_per_s, 1),
        "attempts": status.attempts,
        "spent": status.spent._asdict(),
        "budget": {limit.name: limit.allowed for limit in status.limits},
        "eta_s": None if standing.eta.seconds is None else round(standing.eta.seconds),
        "eta_how": standing.eta.how,
        "eta_by_mean_s": None if status.eta_s is None else round(status.eta_s),
        "tokens_per_s_now": _rounded(standing.eta.tokens_per_s),
        "pilot": course_json(pilot, status) if pilot else None,
        "repairs": standing.repairs,
        "drivers": [_driver_json(driver) for driver in standing.drivers],
    }


def _driver_json(one: DriverStatus) -> dict[str, object]:
    return {
        "attempt": one.driver.attempt,
        "host": one.driver.host,
        "pid": one.driver.pid,
        "state": one.state,
        "heard_s": round(one.heard_s, 1),
        "claim_s": one.driver.claim_s,
        "cohorts": list(one.cohorts),
        "stale": one.stale,
        "headway": None if one.headway is None else one.headway.model_dump(mode="json"),
    }


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 1)


def _level_json(level: LevelStatus) -> dict[str, object]:
    return {
        "level": level.level,
        "role": level.role,
        "waves": level.waves,
        "expected_waves": level.expected_waves,
        "asked": level.asked,
        "expected_candidates": round(level.expected_candidates),
        "parents": level.parents,
        "given": level.given,
        "kept": level.kept,
        "dropped": dict(sorted(level.dropped.items())),
        "prompt_tokens": level.prompt_tokens,
        "output_tokens": level.output_tokens,
        "aside_tokens": level.aside_tokens,
        "unused_tokens": level.unused_tokens,
    }


def as_text(standing: "Standing") -> str:
    """The same as a table."""
    status = standing.status
    lines = [
        f"run {standing.location}: {_state(standing)}, {status.attempts} "
        f"attempt{'' if status.attempts == 1 else 's'}",
        *rows_text(standing.rows),
        f"{'level':>5} {'role':<10}{'waves':>14}{'asked':>12}{'of about':>12}{'kept':>12}"
        f"{'tokens':>14}",
    ]
    for level in status.levels:
        waves = f"{level.waves:,}/{level.expected_waves:,}"
        lines.append(
            f"{level.level:>5} {level.role:<10}{waves:>14}{level.asked:>12,}"
            f"{level.expected_candidates:>12,.0f}{level.kept:>12,}{level.output_tokens:>14,}"
        )
    lines.append(f"dropped: {drops_text(status)}")
    lines += _notes(standing)
    beside = tokens_beside(status.aside_tokens, status.unused_tokens)
    lines.append(
        f"{status.output_tokens:,} tokens{beside} in {status.busy_s:,.1f} busy seconds, "
        f"{status.tokens_per_s:,.1f} tokens/s"
    )
    if not standing.is_over:
        lines.append(_left(standing))
    return "\n".join(lines)


def _left(standing: "Standing") -> str:
    """What is left, of a run that may go on, and how that is known."""
    eta = standing.eta
    if eta.seconds is None:
        return f"left: unknown, as {eta.how}{_by_the_mean(standing.status)}"
    return f"left: {left_text(eta.seconds)}, {eta.how}"


def _by_the_mean(status: Status) -> str:
    if status.eta_s is None:
        return ""
    return f"; at the mean speed of the run so far it would take {left_text(status.eta_s)}"


def _state(standing: "Standing") -> str:
    snapshot = standing.snapshot
    if snapshot is None:
        return standing.state
    if snapshot.complete:
        return f"{standing.state}, snapshot {snapshot.number}"
    return (
        f"{standing.state}, snapshot {snapshot.number}: partial, {standing.sealed_cohorts:,} of "
        f"{standing.cohorts:,} cohorts"
    )


def _notes(standing: "Standing") -> list[str]:
    """Lines that only some runs have."""
    status, snapshot = standing.status, standing.snapshot
    lines = [_given_text(level) for level in status.levels if level.given]
    if standing.asides:
        lines.append(f"asked about turns: {_by_name(standing.asides)}")
    if standing.refined is not None:
        lines.append(
            f"refined: {_by_name(standing.refined)}; {standing.kept_after_refine:,} of "
            f"{status.kept:,} kept rows remain"
        )
    if snapshot is not None and snapshot.biases is not None:
        lines.append(biases_text(snapshot.biases))
    if status.limits:
        lines.append(f"spent: {', '.join(map(str, status.limits))}")
    if standing.repairs:
        lines.append(f"repairs: {standing.repairs}; what they retired is not counted")
    lines += map(_driver_text, standing.drivers)
    lines += _together(standing.drivers)
    if standing.pilot is not None:
        lines.append(course_text(standing.pilot, status, done=standing.sealed))
    return lines


def _driver_text(one: DriverStatus) -> str:
    shown = ", ".join(map(str, one.cohorts[:_SHOWN]))
    more = len(one.cohorts) - _SHOWN
    held = f"cohorts {shown}{f' and {more:,} more' if more > 0 else ''}" if shown else "nothing"
    holds = "left" if one.state in ("ended", "gone") else "holds"
    gets_on = f"; {headway_text(one.headway)}" if one.headway else ""
    return (
        f"driver {one.driver.attempt} on {one.driver.host}: {one.state}, {holds} {held}{gets_on}; "
        f"last heard of {one.heard_s:,.0f} s ago{_doubt(one)}"
    )


def _doubt(one: DriverStatus) -> str:
    return f", though within {one.driver.claim_s:g} s was promised" if _is_late(one) else ""


def _is_late(one: DriverStatus) -> bool:
    return one.at_work and one.stale


def headway_text(one: Headway) -> str:
    """How a driver gets on."""
    coming = [
        *([f"{one.loading} loading"] if one.loading else []),
        *([f"{one.waiting} waiting for a place"] if one.waiting else []),
        *([f"{one.replaced} replaced so far"] if one.replaced else []),
    ]
    engines = engines_text(one.live) + (f" ({', '.join(coming)})" if coming else "")
    failed = f", {one.failed:,} of {one.asked:,} requests failed" if one.failed else ""
    speed = "" if one.tokens_per_s is None else f", {one.tokens_per_s:,.0f} tokens/s"
    return f"{engines}, {one.waves_open:,} waves open, {one.waves:,} committed{speed}{failed}"


def _together(drivers: Sequence[DriverStatus]) -> list[str]:
    """The sum over those that are at work and were heard of."""
    heard = [one.headway for one in drivers if one.headway and one.at_work and not one.stale]
    if len(heard) < 2:
        return []
    return [f"{len(heard)} drivers together: {headway_text(summed(heard))}"]


def summed(headways: Sequence[Headway]) -> Headway:
    """Of several drivers; their speed is that of those that tell one."""
    speeds = [one.tokens_per_s for one in headways if one.tokens_per_s is not None]
    return Headway(
        live=sum(one.live for one in headways),
        loading=sum(one.loading for one in headways),
        waiting=sum(one.waiting for one in headways),
        replaced=sum(one.replaced for one in headways),
        waves_open=sum(one.waves_open for one in headways),
        waves=sum(one.waves for one in headways),
        asked=sum(one.asked for one in headways),
        failed=sum(one.failed for one in headways),
        tokens_per_s=sum(speeds) if speeds else None,
        over_s=max((one.over_s for one in headways), default=0.0),
    )


def _given_text(level: LevelStatus) -> str:
    share = level.given / level.parents if level.parents else 0.0
    return (
        f"level {level.level}: reference kept for {level.given:,} of {level.parents:,} prompts "
        f"({share:.1%})"
    )


def biases_text(biases: tuple[str, ...]) -> str:
    """Whether the rows are a fair sample of what the model writes."""
    if not biases:
        return "an unbiased sample of what the model writes"
    return f"no unbiased sample of what the model writes: {'; '.join(biases)}"


def _by_name(counts: dict[str, int]) -> str:
    return ", ".join(f"{n:,} {name}" for name, n in counts.items()) or "nothing dropped"

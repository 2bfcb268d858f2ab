"""Dividing a queue between an engine that has too much and one that ran dry."""

from collections.abc import Iterable

from schemas.records import Request


def divide(queue: Iterable[Request], target: int) -> tuple[list[Request], list[Request]]:
    """What stays, and up to `target` children that go: the last waves whole, else a part of one."""
    waves: dict[str, list[Request]] = {}
    for request in queue:
        waves.setdefault(request.wave, []).append(request)
    going = _last_that_fit(waves, target)
    stay = [request for wave, run in waves.items() if wave not in going for request in run]
    if going:
        return stay, [request for wave in waves if wave in going for request in waves[wave]]
    *_, last = waves.values()
    head, tail = _cut_run(last, target)
    return stay[: len(stay) - len(last)] + head, tail


def _last_that_fit(waves: dict[str, list[Request]], target: int) -> set[str]:
    going: set[str] = set()
    for wave in reversed(waves):
        size = sum(request.n for request in waves[wave])
        if size <= target:
            going.add(wave)
            target -= size
    return going


def _cut_run(run: list[Request], target: int) -> tuple[list[Request], list[Request]]:
    """The requests of one wave in two; siblings stay together unless they are all there is."""
    at = len(run)
    while run[at - 1].n <= target:
        at -= 1
        target -= run[at].n
    if at < len(run):
        return run[:at], run[at:]
    stays, goes = run[-1].cut(run[-1].n - target)
    return [*run[:-1], stays], [goes]

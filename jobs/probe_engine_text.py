"""The report of `arborist probe --engine` for a person."""

import textwrap
from typing import Any

from jobs.engine_trials import Outcome

_WIDTH = 100
_GIB = 1 << 30


def as_text(found: dict[str, Any]) -> str:
    """The report as paragraphs."""
    parts = [_machine(found["machine"]), _software(found["installed"], found["libraries"])]
    parts += [_group(name, settings) for name, settings in found["groups"].items()]
    return "\n\n".join(parts)


def _machine(machine: dict[str, Any]) -> str:
    quota, nodes = machine["quota"], machine["nodes"]
    told = [
        f"CPU        {machine['name']} ({machine['architecture']}): "
        f"{' '.join(machine['flags']) or 'instruction sets not known'}",
        f"cores      {machine['cores']} for this process, {machine['threads']} hardware threads, "
        f"NUMA nodes of {' + '.join(map(str, nodes))}",
        f"granted    {'no limit' if quota is None else f'{quota:g} CPUs'} by the control group: "
        f"{machine['usable']} can compute at once",
        f"memory     {machine['memory'] / _GIB:.1f} GiB, {machine['available'] / _GIB:.1f} free",
    ]
    return "\n".join(told)


def _software(installed: dict[str, str], libraries: dict[str, str | None]) -> str:
    named = ", ".join(f"{name} {number}" for name, number in installed.items())
    return "\n".join(
        [
            f"installed  {named}",
            f"OpenMP     {libraries['openmp'] or 'torch brings its own'}",
            f"allocator  {libraries['allocator'] or 'none for many threads was found'}",
            f"preloaded  {libraries['preloaded'] or 'nothing (LD_PRELOAD)'}",
        ]
    )


def _group(name: str, settings: dict[str, dict[str, Any]]) -> str:
    lines = [f"Engines of the group {name}:"]
    for setting, one in settings.items():
        head = f"  {setting:<24} {one['value']!s:<12} "
        lines += textwrap.wrap(
            one["why"], _WIDTH, initial_indent=head, subsequent_indent=" " * 40
        ) or [head.rstrip()]
    return "\n".join(lines)


def trial_line(one: Outcome, base: Outcome) -> str:
    """One trial, beside what the settings give as they are."""
    head = f"{one.setting:<12} {one.value!s:<10}"
    if one.error:
        return f"{head} {textwrap.shorten(one.error, 70)}"
    spread = f"{min(one.tokens_per_s):.0f} to {max(one.tokens_per_s):.0f}"
    beside = f", {one.median / base.median:.2f} of it as it is" if base.median else ""
    return f"{head} {one.median:8.1f} tokens/s ({spread}){beside}"

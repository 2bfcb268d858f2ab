"""From the figures of all rounds to ratios, and to a table for people."""

import statistics
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tests.bench.throughput.setup import MOST_COMPUTED, PEERS, SCENARIOS, Setup

Round = Mapping[str, Mapping[str, Any]]
"""By arm, its figures."""

COLUMNS = {
    "tok/s": "tokens_per_s",
    "tokens": "output_tokens",
    "s": "seconds",
    "cpu s": "cpu_s",
    "computed": "prompt_ratio",
    "short": "short",
    "held back": "held_back",
    "filled": "filled",
}


def summary(setup: Setup, rounds: list[Round]) -> dict[str, Any]:
    """One scenario."""
    ratios = {name: spread for name in _names(rounds) if (spread := _spread(name, rounds))}
    targets = SCENARIOS[setup.scenario].targets
    met = {
        name: ratios[name]["median"] >= least for name, least in targets.items() if name in ratios
    }
    computed = [r["product"]["prompt_ratio"] for r in rounds if _worked(r, "product")]
    if computed:
        met["computed"] = statistics.median(computed) <= MOST_COMPUTED
    return {
        "settings": asdict(setup),
        "ratios": ratios,
        "targets": {**targets, "computed": MOST_COMPUTED},
        "met": met,
        "failed": sorted({arm for one in rounds for arm in one if not _worked(one, arm)}),
        "rounds": rounds,
    }


def passed(result: Mapping[str, Any]) -> bool:
    """Whether every target was met that could be looked at, and no arm failed."""
    found = result["scenarios"].values()
    return all(all(one["met"].values()) and not one["failed"] for one in found)


def _worked(one: Round, arm: str) -> bool:
    return "tokens_per_s" in one.get(arm, {})


def _names(rounds: list[Round]) -> list[str]:
    arms = [arm for arm in rounds[0] if arm != "plain"]
    names = [f"{arm} / plain" for arm in arms]
    if "product" in arms:
        names += [f"product / {arm}" for arm in arms if arm != "product"]
        names += ["product / best peer"] if set(PEERS) & set(arms) else []
    return names


def _spread(name: str, rounds: list[Round]) -> dict[str, float] | None:
    """Of one ratio, over the rounds that have both."""
    over, under = name.split(" / ")
    pairs = [(_rate(one, over), _rate(one, under)) for one in rounds]
    found = sorted(a / b for a, b in pairs if a and b)
    if not found:
        return None
    middle = statistics.median(found)
    spread = {"median": middle, "lowest": found[0], "highest": found[-1]}
    return {word: round(value, 4) for word, value in spread.items()}


def _rate(one: Round, arm: str) -> float | None:
    if arm == "best peer":
        return max((rate for peer in PEERS if (rate := _rate(one, peer))), default=None)
    return one[arm]["tokens_per_s"] if _worked(one, arm) else None


def table(result: Mapping[str, Any]) -> str:
    """For people."""
    machine = result["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    devices = ", ".join([f"{machine['cpu']} ({machine['cores']} cores)", *machine["gpus"]])
    lines = [f"{devices}; {versions}"]
    for name, found in result["scenarios"].items():
        lines += ["", _heading(name, found["settings"]), *_rows(found), *_ratios(found)]
    return "\n".join(lines)


def _heading(name: str, settings: Mapping[str, Any]) -> str:
    fanouts = ",".join(map(str, settings["fanouts"]))
    ends = f"lengths {settings['mean']} ~ {settings['sigma']}" if settings["sigma"] else "own ends"
    kv = f"KV {settings['kv_gib']} GiB" if settings["kv_gib"] else "KV as by default"
    return (
        f"{name}: {settings['trees']} x {fanouts}, {ends}, {settings['slots']} slots, "
        f"waves of {settings['wave']}, {kv}, {settings['model']} on {settings['device']}"
    )


def _rows(found: Mapping[str, Any]) -> list[str]:
    lines = [f"{'':<16}" + "".join(f"{name:>11}" for name in COLUMNS) + "   tails"]
    for number, one in enumerate(found["rounds"], start=1):
        for arm, figures in one.items():
            start = f"{number:>2} {arm:<13}"
            lines.append(start + (_cells(figures) if _worked(one, arm) else _why(figures)))
    return lines


def _cells(figures: Mapping[str, Any]) -> str:
    tails = " ".join(f"{tail:.1f}" for tail in figures["tails_s"])
    return "".join(f"{figures[name]:>11}" for name in COLUMNS.values()) + f"   {tails}"


def _why(figures: Mapping[str, Any]) -> str:
    return "failed: " + " ".join(figures["failed"].split())[-160:]


def _ratios(found: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, spread in found["ratios"].items():
        words = f"{name:<24}{spread['median']:.3f} ({spread['lowest']:.3f} to "
        words += f"{spread['highest']:.3f})"
        if name in found["met"]:
            verdict = "meets" if found["met"][name] else "MISSES"
            words += f", {verdict} {found['targets'][name]}"
        lines.append(words)
    if "computed" in found["met"]:
        verdict = "within" if found["met"]["computed"] else "ABOVE"
        lines.append(
            f"prompt tokens computed by the product: {verdict} {MOST_COMPUTED} of the trie"
        )
    return lines

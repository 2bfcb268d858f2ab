"""The report of `arborist probe` for a person."""

import textwrap
from typing import Any

from jobs.probe_start_text import start_text

NAMES = {
    "after_user": "after a user's text, in history",
    "ask_assistant": "after a user's text, to ask",
    "after_assistant": "after an assistant's text",
    "reasoning_close": "where reasoning ends",
}

SHOWN_LEAKS = 40
"""Some tokenizers reserve hundreds of control tokens."""


def as_text(report: dict[str, Any]) -> str:
    """The report as paragraphs."""
    sections = [_head(report), start_text(report["start"])]
    if "markers" in report:
        sections += [_opening(report["markers"]), _markers(report["markers"])]
    sections.append(_ends(report))
    if "texts" in report:
        sections.append(_texts(report["texts"]))
    if "talks" in report:
        sections += [_talks(report["talks"]), _prompt(report["talks"]), _shares(report)]
    return "\n\n".join(sections)


def _head(report: dict[str, Any]) -> str:
    own = "as the template writes it"
    folded = "in front of the first user's text, because the template takes no system message"
    lines = [f"model      {report['model']}", f"tokenizer  {report['tokenizer']}"]
    if report["template"]:
        lines += [
            f"template   {report['template']}",
            f"system     {own if report['system_message'] else folded}",
        ]
    else:
        lines.append("template   none: recipes on plain texts only")
    return "\n".join([*lines, f"BOS        {_bos(report['bos'], report['template'])}"])


def _bos(bos: dict[str, Any], template: str) -> str:
    if bos["token"] is None:
        return "the tokenizer has none"
    writes = "starts with it" if bos["template_writes_it"] else "does not start with it"
    adds = "adds it" if bos["tokenizer_adds_it"] else "does not add it"
    by_template = f"the template {writes}; " if template else ""
    return f"{bos['token']}: {by_template}to plain text the tokenizer {adds}"


def _opening(markers: dict[str, str]) -> str:
    return "Prompt for a first user's turn:\n" + _quoted(markers["opening"])


def _markers(markers: dict[str, str]) -> str:
    width = max(map(len, NAMES.values()))
    lines = [
        f"  {NAMES[name]:<{width}}  {text!r}"
        for name, text in markers.items()
        if name in NAMES and text
    ]
    return "\n".join(["Between turns:", *lines])


def _ends(report: dict[str, Any]) -> str:
    lines = ["What ends a turn, and a plain text:"]
    for role, stops in (*report.get("stops", {}).items(), ("text", report["text_stops"])):
        lines += [f"  {role:<10} {_stop(stop)}" for stop in stops]
    return "\n".join([*lines, "", "What has no business inside:", _leaks(report["leaks"])])


def _leaks(leaks: list[str]) -> str:
    more = len(leaks) - SHOWN_LEAKS
    shown = leaks[:SHOWN_LEAKS] + ([f"and {more} more"] if more > 0 else [])
    return textwrap.indent(textwrap.fill(" ".join(shown), 96, break_on_hyphens=False), "  ")


def _stop(stop: dict[str, Any]) -> str:
    return f"the text {stop['text']!r}" if stop["id"] is None else f"{stop['id']:>7} {stop['text']}"


def _texts(texts: list[dict[str, Any]]) -> str:
    lines = ["Plain texts, from their start alone:"]
    for turn in texts:
        lines += ["", *_said(turn)]
    return "\n".join(lines)


def _talks(talks: list[list[dict[str, Any]]]) -> str:
    lines = []
    for number, turns in enumerate(talks, start=1):
        lines += ["", f"Conversation {number}"]
        for turn in turns:
            lines += _said(turn)
    return "\n".join(lines).lstrip("\n")


def _said(turn: dict[str, Any]) -> list[str]:
    dropped = f", dropped: {', '.join(turn['dropped'])}" if turn["dropped"] else ""
    head = f"  {turn['role']} ({turn['tokens']} tokens, {turn['finish']}{dropped})"
    return [head, _quoted(turn["text"])]


def _prompt(talks: list[list[dict[str, Any]]]) -> str:
    longest = max((turns[-1]["prompt"] for turns in talks), key=len)
    return "The longest of the prompts that these turns were sampled from:\n" + _quoted(longest)


def _shares(report: dict[str, Any]) -> str:
    lines = ["What a run would drop of these turns:"]
    for role, shares in report["shares"].items():
        turns = shares["turns"]
        told = ", ".join(
            f"{name} {count} ({count / turns:.0%})" for name, count in shares["dropped"].items()
        )
        lines.append(f"  {role:<10} of {turns}: {told}" if turns else f"  {role:<10} none sampled")
    differ, prompts = report["prompts"]["differing"], report["prompts"]["asked"]
    lines.append(
        f"Prompts that are not token for token what the template makes of the same texts: {differ} "
        f"of {prompts} ({differ / prompts:.0%})."
    )
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return "\n".join(f"  | {line}" for line in text.split("\n"))

"""What `arborist probe` says to a person of the start of texts."""

from typing import Any

_NOTHING = "nothing"
_ROLES = {
    "derived": "derived",
    "bos": "the tokenizer's BOS",
    "end": "ends texts",
    "nothing": "no token in front",
}


def start_text(start: dict[str, Any]) -> str:
    """The start of texts, and the proof of it where there is one."""
    lines = ["What begins a text:", f"  {_named(start)}"]
    if "candidates" in start:
        lines += ["", "Loss of plain texts after each candidate, in nats a token:"]
        lines += [_row(row) for row in start["candidates"]]
        lines += ["", _verdict(start)]
    return "\n".join(lines)


def _named(candidate: dict[str, Any]) -> str:
    if not candidate["ids"]:
        return _NOTHING
    return f"{candidate['text']} ({', '.join(map(str, candidate['ids']))})"


def _row(row: dict[str, Any]) -> str:
    roles = ", ".join(_ROLES[role] for role in row["roles"])
    return f"  {row['nll']:8.3f}  {_named(row):<28} {roles}"


def _verdict(start: dict[str, Any]) -> str:
    own, best = _named(start), start["candidates"][0]
    if start["verdict"] == "proven":
        return f"Proven: the model reads texts best after {own}, by {start['lead']:.3f} nats."
    if start["verdict"] == "unclear":
        return (
            f"WARNING: NOT PROVEN. {own} is within {abs(start['lead']):.3f} nats of another "
            "candidate, so these texts do not tell them apart. Look at the texts sampled below "
            "before you grow anything from the start alone."
        )
    return (
        f"WARNING: WRONG BY THE WEIGHTS. The model reads texts better after {_named(best)} than "
        f"after {own}, by {-start['lead']:.3f} nats a token. Do not grow anything from the start "
        "alone before this is settled: if that token is right, name it as bos_token in the "
        "model's tokenizer_config.json."
    )

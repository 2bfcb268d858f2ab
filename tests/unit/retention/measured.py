"""What was measured of models that do not exist."""

from schemas.retention import Measured, MeasuredChoices, MeasuredTexts


def choices(*scores, items="items", words="choice"):
    """Questions whose first choice is right, by the scores of their choices."""
    return MeasuredChoices(
        items=items,
        questions=tuple(f"question {n}" for n in range(len(scores))),
        choices=tuple(tuple(f"{words} {n}" for n in range(len(row))) for row in scores),
        answers=(0,) * len(scores),
        scores=scores,
    )


def measured(*, nll=(), tokens=(10, 30), model="model", **sets):
    """A model; with `nll` it was shown texts."""
    if nll:
        sets["texts"] = {"human": MeasuredTexts(items="texts", nll=nll, tokens=tokens)}
    return Measured(model=model, weights=model, device="cpu", dtype="float32", **sets)

"""What may become of any input: it is taken, or refused with one paragraph, in bounded time."""

import contextlib
import io
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import settings

import tests.fuzz.conftest  # noqa: F401
from jobs.cli import main
from schemas.errors import ArboristError

fuzzed = settings(settings.get_profile("fuzz"))
PATIENCE_S = 20.0
"""Of processor time, for one input."""
LONGEST = 6000
EXITS = (0, 1, 2, 75)

TRIED: Counter[tuple[str, str]] = Counter()
"""What became of inputs, by their kind."""


class Hung(BaseException):
    """No handler of the product's may take it for its own."""


@contextlib.contextmanager
def bounded(patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Raise where so much processor time is used up; the clock of pytest's own limit is another."""

    def ring(*_: object) -> None:
        raise Hung(f"took more than {patience_s} s")

    before = signal.signal(signal.SIGVTALRM, ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, patience_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def refusal(kind: str, attempt: Callable[[], Any]) -> str | None:
    """Why an input was refused, None if it was taken; anything else is a failure of the test."""
    with bounded():
        try:
            attempt()
        except ArboristError as error:
            TRIED[kind, "refused"] += 1
            check_words(str(error))
            return str(error)
    TRIED[kind, "taken"] += 1
    return None


def command(kind: str, *arguments: str) -> int:
    """The exit code of a command in this process, whose only ends are those that are documented."""
    out, err = io.StringIO(), io.StringIO()
    with bounded(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments)
    assert code in EXITS, (code, arguments)
    TRIED[kind, f"exit {code}"] += 1
    assert "Traceback" not in err.getvalue(), err.getvalue()[-2000:]
    said = paragraphs(err.getvalue())
    for words in said:
        TRIED[kind, " ".join(words.split())[-90:]] += 1
        check_words(words)
    assert len(said) <= bool(code), (code, said)
    assert said or code not in (2, 75), (code, err.getvalue()[-2000:])
    return code


def paragraphs(err: str) -> list[str]:
    """What a command says of its end; notes and warnings may stand before it."""
    return re.split(r"^arborist: ", err, flags=re.MULTILINE)[1:]


def check_words(said: str) -> None:
    """One paragraph for a person."""
    assert said.strip(), "refused without a word"
    assert len(said) <= LONGEST, f"a paragraph of {len(said)} characters: {said[:200]}"
    assert "Traceback" not in said, said

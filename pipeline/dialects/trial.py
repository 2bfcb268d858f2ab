"""A chat template on trial: whether it comes to an end, in a process that can be stopped.

A template is a program that a model brings along. transformers runs it in jinja's sandbox, out of
which it reaches nothing, but where it may loop for ever or fill the memory. So it first writes some
conversations, short and long, in a process of its own whose time and memory are bounded. Only these
bounds are looked at here: what it writes, and what it refuses, the real rendering finds. A template
that waits for one certain text to go astray is not found: it stalls a run, and reaches nothing.
"""

import json
import subprocess
import sys
from functools import lru_cache
from typing import Any

from pipeline.dialects.rendering import FROZEN_DAY, alternate, made_up_texts, unusable
from pipeline.dialects.tokenizer import Tokenizer
from schemas.errors import EnvironmentMismatch

CPU_S = 3
WALL_S = 60
"""On a machine that does other things, too."""
MEMORY_BYTES = 1 << 30
MAX_CHARS = 4 << 20
"""Of all conversations together, which hold a third of it."""
LENGTHS = (200, 2_000, 20_000)
"""Of a topic, of an answer, of a text that fills a window."""

_SHOWN = 200

_PROGRAM = """
import datetime, json, resource, sys
asked = json.load(sys.stdin)
sys.path[:] = asked["path"]
from jinja2 import ext, nodes
from jinja2.exceptions import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

class Generation(ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.Scope(body).set_lineno(line)

def refuse(message):
    raise TemplateError(message)

resource.setrlimit(resource.RLIMIT_AS, (asked["memory"],) * 2)
resource.setrlimit(resource.RLIMIT_CPU, (asked["cpu"],) * 2)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
sandbox = ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=[Generation, ext.loopcontrols]
)
sandbox.filters["tojson"] = lambda value, **ways: json.dumps(value)
day = datetime.date(*asked["day"])
sandbox.globals |= {"raise_exception": refuse, "strftime_now": day.strftime}
chars = 0
try:
    template = sandbox.from_string(asked["template"])
except MemoryError:
    sys.exit(3)
except Exception:
    sys.exit(0)
for messages in asked["conversations"]:
    for ask in (False, True):
        try:
            text = template.render(messages=messages, add_generation_prompt=ask, **asked["names"])
            chars += len(text)
        except MemoryError:
            sys.exit(3)
        except Exception:
            continue
        if chars > asked["chars"]:
            sys.exit(4)
"""


def check_bounded(tokenizer: Tokenizer) -> None:
    """Refuse a template that takes too long, or writes too much, or cannot be tried."""
    names = {key: str(value) for key, value in _special_tokens(tokenizer).items()}
    reason = _why_unbounded(tokenizer.get_chat_template(), json.dumps(names, sort_keys=True))
    if reason is not None:
        raise unusable(tokenizer, reason)


def _special_tokens(tokenizer: Tokenizer) -> dict[str, Any]:
    found = getattr(tokenizer, "special_tokens_map", {})
    return {key: value for key, value in found.items() if isinstance(value, str)}


@lru_cache(maxsize=256)
def _why_unbounded(template: str, names: str) -> str | None:
    asked = {
        "path": sys.path,
        "template": template,
        "names": json.loads(names),
        "conversations": _conversations(),
        "day": FROZEN_DAY.timetuple()[:3],
        "memory": MEMORY_BYTES,
        "cpu": CPU_S,
        "chars": MAX_CHARS,
    }
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", _PROGRAM],
            input=json.dumps(asked).encode(),
            capture_output=True,
            timeout=WALL_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it takes more than {WALL_S} s to write a few conversations"
    except OSError as error:
        raise _untried(f"{sys.executable} cannot be started: {error.strerror}") from error
    return _reason(done)


def _reason(done: subprocess.CompletedProcess[bytes]) -> str | None:
    if done.returncode == 0:
        return None
    if done.returncode == 3:
        return f"it takes more than {MEMORY_BYTES >> 20:,} MiB to write a few conversations"
    if done.returncode == 4:
        return f"it writes more than {MAX_CHARS:,} characters around a few texts"
    if done.returncode < 0:
        return (
            f"it takes more than {CPU_S} s, or crashes, writing a few conversations "
            f"(signal {-done.returncode})"
        )
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no word"]
    raise _untried(f"it ends with {done.returncode} ({said[0][:_SHOWN]})")


def _untried(reason: str) -> EnvironmentMismatch:
    return EnvironmentMismatch(
        "A model's chat template is a program, which is tried in a process of its own before it is "
        f"used. This process failed: {reason}. Expected one that imports jinja2 from where this "
        f"Python finds it, and may use {MEMORY_BYTES >> 20:,} MiB and {CPU_S} s; reinstall "
        "arborist's packages, or raise the limits of this machine or container."
    )


def _conversations() -> list[list[dict[str, str]]]:
    short = made_up_texts(6)[0]
    long = [[f"{text} and so on.\n" * (n // 10) for text in short] for n in LENGTHS]
    cut = [[text[:n] for text in texts] for n, texts in zip(LENGTHS, long, strict=True)]
    return [talk for texts in (short, *cut) for talk in _talks(texts)]


def _talks(texts: list[str]) -> list[list[dict[str, str]]]:
    plain = [alternate(texts[:turns]) for turns in (1, 2, 3, 4, 5)]
    return plain + [alternate(texts[1 : 1 + turns], system=texts[0]) for turns in (1, 3, 4, 5)]

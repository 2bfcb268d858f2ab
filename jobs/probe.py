"""`arborist probe`: how a model begins and ends texts and turns, and what it writes by it; with
`--engine` what this machine has for engines, and what they will be told."""

import argparse
import json
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from jobs.probe_text import as_text
from jobs.wiring import model_location
from schemas.dialect import Dialect
from schemas.errors import UserError
from schemas.records import Sampling, to_ids

if TYPE_CHECKING:
    from pipeline.dialects.tokenizer import Tokenizer
    from pipeline.engines.vllm import VllmEngine


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument(
        "--model",
        help="the directory of a model; or `packaged`, `packaged-base`, `packaged-tiny`",
    )
    parser.add_argument("--system", default="", help="system prompt; empty: the template's own")
    parser.add_argument(
        "--samples", type=_at_least_one, default=4, help="texts and conversations to sample (4)"
    )
    parser.add_argument(
        "--max-tokens", type=_at_least_one, default=256, help="longest turn or text (256)"
    )
    parser.add_argument("--temperature", type=float, default=1.0, help="of all turns (1.0)")
    parser.add_argument(
        "--no-sampling", action="store_true", help="look at the tokenizer only, load no weights"
    )
    parser.add_argument(
        "--engine",
        action="store_true",
        help="look at this machine instead, and at what engines will be told on it, and why",
    )
    parser.add_argument("--spec", help="with --engine: the YAML file whose engine groups are meant")
    parser.add_argument(
        "--measure",
        action="store_true",
        help="with --engine: try threads, data types and block sizes by short runs (minutes)",
    )
    parser.add_argument(
        "--sequences", type=_at_least_one, default=32, help="decoded at once in these runs (32)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {text}, expected a whole number from 1")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Print what was found; an unsupported template is refused with its reason."""
    _require_sense(args)
    if args.engine:
        from jobs.probe_engine import run_engine

        return run_engine(args)
    return _run_model(args)


def _require_sense(args: argparse.Namespace) -> None:
    if not args.engine and (args.spec or args.measure):
        raise UserError("--spec and --measure are about engines; expected --engine beside them.")
    if not args.engine and not args.model:
        raise UserError("--model: missing; expected the directory of a model, or --engine.")
    if args.model and args.spec:
        raise UserError("--model: found beside --spec, expected one of the two.")
    if args.measure and not (args.model or args.spec):
        raise UserError("--measure: found no model; expected --model DIR or --spec FILE.")


def _run_model(args: argparse.Namespace) -> int:
    from pipeline.dialects.derive import derive_dialect
    from pipeline.dialects.tokenizer import generation_eos_ids, load_tokenizer

    location = model_location(args.model)
    tokenizer = load_tokenizer(location)
    dialect = derive_dialect(tokenizer, eos_ids=generation_eos_ids(location))
    report = {"model": location} | describe(tokenizer, dialect, args.system)
    if not args.no_sampling:
        report |= _ask_model(args, location, tokenizer, dialect)
    print(json.dumps(report, indent=1, ensure_ascii=False) if args.json else as_text(report))
    return 0


def describe(tokenizer: "Tokenizer", dialect: Dialect, system: str) -> dict[str, Any]:
    """The dialect as it was read, with every special token visible."""
    from jobs.probe_start import start_report
    from pipeline.dialects.opening import bos_report
    from pipeline.dialects.tokenizer import decode

    about = {
        "tokenizer": dialect.tokenizer,
        "template": dialect.template,
        "start": start_report(tokenizer, dialect),
        "text_stops": _stops(tokenizer, dialect.text_stop_ids, ()),
        "leaks": [decode(tokenizer, [i]) for i in dialect.leak_ids] + list(dialect.leak_strings),
        "bos": bos_report(tokenizer, dialect)._asdict(),
    }
    return about | _template(tokenizer, dialect, system) if dialect.chats else about


def _template(tokenizer: "Tokenizer", dialect: Dialect, system: str) -> dict[str, Any]:
    from pipeline.dialects.opening import opening_ids
    from pipeline.dialects.tokenizer import decode

    text = partial(decode, tokenizer)
    return {
        "markers": {
            "opening": text(opening_ids(tokenizer, dialect, system)),
            "after_user": text(dialect.after_user),
            "ask_assistant": text(dialect.ask_assistant),
            "after_assistant": text(dialect.after_assistant),
            "reasoning_close": text(dialect.reasoning_close),
        },
        "stops": {
            "user": _stops(tokenizer, dialect.user_stop_ids, dialect.user_stop_strings),
            "assistant": _stops(
                tokenizer, dialect.assistant_stop_ids, dialect.assistant_stop_strings
            ),
        },
        "system_message": dialect.system == "system",
    }


def _stops(
    tokenizer: "Tokenizer", ids: Sequence[int], strings: Sequence[str]
) -> list[dict[str, Any]]:
    from pipeline.dialects.tokenizer import decode

    by_id = [{"id": i, "text": decode(tokenizer, [i])} for i in ids]
    return by_id + [{"id": None, "text": text} for text in strings]


def _ask_model(
    args: argparse.Namespace, location: str, tokenizer: "Tokenizer", dialect: Dialect
) -> dict[str, Any]:
    """What the weights say: of the start, and by themselves."""
    from jobs.probe_start import prove_start
    from pipeline.engines.vllm import VllmEngine
    from pipeline.engines.vllm_scoring import score

    engine = VllmEngine(_config(args, location, tokenizer, dialect))
    try:
        engine.start()
        found = {"start": prove_start(tokenizer, dialect, partial(score, engine))}
        return found | _sample(args, engine, tokenizer, dialect)
    finally:
        engine.close()


def _config(
    args: argparse.Namespace, location: str, tokenizer: "Tokenizer", dialect: Dialect
) -> Any:
    from jobs.probe_samples import ROLES
    from jobs.probe_start import longest_prompt
    from pipeline.dialects.opening import opening_ids
    from pipeline.engines.machine import this_machine
    from pipeline.engines.vllm import VllmConfig

    opening = len(opening_ids(tokenizer, dialect, args.system)) if dialect.chats else 0
    markers = len(dialect.after_user) + len(dialect.ask_assistant) + len(dialect.after_assistant)
    talk = opening + len(ROLES) * (markers + args.max_tokens) if dialect.chats else 0
    text = len(dialect.start) + args.max_tokens
    context = max(talk, text, longest_prompt(tokenizer, dialect) + 1)
    return VllmConfig(
        model=location,
        context=context,
        cpus=this_machine().usable,
        max_num_seqs=args.samples,
        max_num_batched_tokens=min(8192, args.samples * context),
        log_level="ERROR",
    )


def _sample(
    args: argparse.Namespace, engine: "VllmEngine", tokenizer: "Tokenizer", dialect: Dialect
) -> dict[str, Any]:
    from jobs.probe_samples import TEXT, Talk, hold_talks, summarise, summarise_texts
    from pipeline.dialects.opening import opening_ids

    sampling = Sampling(args.max_tokens, temperature=args.temperature, logprobs="none")
    found: dict[str, Any] = {}
    if dialect.start:
        texts = [Talk("", to_ids(dialect.start), begins="text") for _ in range(args.samples)]
        hold_talks(engine, tokenizer, dialect, texts, sampling, TEXT)
        found |= summarise_texts(texts, tokenizer)
    if dialect.chats:
        opening = opening_ids(tokenizer, dialect, args.system)
        talks = [Talk(args.system, opening) for _ in range(args.samples)]
        hold_talks(engine, tokenizer, dialect, talks, sampling)
        found |= summarise(talks, tokenizer)
    return found

"""From a tokenizer, and its own chat template if it has one, to a dialect."""

import reprlib
from collections.abc import Sequence

from pipeline.dialects.ends import NO_MARKERS, read_ends
from pipeline.dialects.markers import read_markers, takes_system
from pipeline.dialects.opening import opening_ids
from pipeline.dialects.reasoning import read_reasoning
from pipeline.dialects.rendering import unusable
from pipeline.dialects.stops import (
    assistant_stops,
    control_ids,
    leak_ids,
    leak_strings,
    user_stops,
)
from pipeline.dialects.tokenizer import Tokenizer, is_panic, template_digest, tokenizer_digest
from pipeline.dialects.trial import check_bounded
from schemas.dialect import Dialect
from schemas.errors import ArboristError, ModelError

__all__ = ["derive_dialect", "opening_ids", "require_chat"]


def derive_dialect(tokenizer: Tokenizer, *, eos_ids: Sequence[int] = ()) -> Dialect:
    """The dialect of a tokenizer; a ModelError where its chat template cannot be read.

    Without a template it has no markers, and only plain texts can be said in it.
    """
    try:
        template = template_digest(tokenizer)
        if template:
            check_bounded(tokenizer)
            return _chat(tokenizer, template, eos_ids)
        return _plain(tokenizer, eos_ids)
    except ArboristError:
        raise
    # A tokenizer is made of files that may say anything; what it does then is its own.
    except BaseException as error:
        if not (isinstance(error, Exception) or is_panic(error)):
            raise
        raise ModelError(
            f"The tokenizer in {tokenizer.name_or_path} cannot be used: reading and writing small "
            f"texts with it ends in {type(error).__name__}: {reprlib.repr(str(error))}. Its files "
            "are damaged or do not belong together; fetch the model again."
        ) from error


def require_chat(dialect: Dialect, name: str) -> None:
    """Refuse the model of this name where it has no chat template."""
    if not dialect.chats:
        raise ModelError(
            f"The tokenizer in {name} has no default chat template, so there is no telling how "
            "its model marks the turns of a user and an assistant. Use the instruction-tuned "
            "version of the model, put the template it was tuned with into chat_template.jinja in "
            "that directory, or choose a recipe that works on plain texts."
        )


def _plain(tokenizer: Tokenizer, eos_ids: Sequence[int]) -> Dialect:
    ends = read_ends(tokenizer, NO_MARKERS, eos_ids)
    return Dialect(
        tokenizer=tokenizer_digest(tokenizer.name_or_path),
        template="",
        vocab_size=_vocab_size(tokenizer),
        start=ends.start,
        text_stop_ids=ends.stops,
        after_user=(),
        ask_assistant=(),
        after_assistant=(),
        user_stop_ids=(),
        assistant_stop_ids=(),
        leak_ids=tuple(sorted(control_ids(tokenizer, NO_MARKERS) - {*ends.stops})),
    )


def _chat(tokenizer: Tokenizer, template: str, eos_ids: Sequence[int]) -> Dialect:
    reasoning = read_reasoning(tokenizer)
    markers = read_markers(tokenizer, hides_reasoning=reasoning is not None)
    ends = read_ends(tokenizer, markers, eos_ids)
    spared = reasoning.tags if reasoning else ()
    user = user_stops(tokenizer, markers, eos_ids)
    assistant = assistant_stops(tokenizer, markers, eos_ids)
    dialect = Dialect(
        tokenizer=tokenizer_digest(tokenizer.name_or_path),
        template=template,
        vocab_size=_vocab_size(tokenizer),
        start=ends.start,
        text_stop_ids=ends.stops,
        after_user=markers.after_user,
        ask_assistant=markers.ask_assistant,
        after_assistant=markers.after_assistant,
        user_stop_ids=user.ids,
        user_stop_strings=user.strings,
        assistant_stop_ids=assistant.ids,
        assistant_stop_strings=assistant.strings,
        leak_ids=leak_ids(tokenizer, markers, (user, assistant), spared=spared),
        leak_strings=leak_strings(tokenizer, markers, (user, assistant)),
        reasoning_close=reasoning.close if reasoning else markers.answer_opener,
        reasoning_open=reasoning.open if reasoning else "",
        reasoning_end=reasoning.end if reasoning else "",
        blank_ids=reasoning.blanks if reasoning else (),
        system="system" if takes_system(tokenizer) else "user",
    )
    _check_openings(tokenizer, dialect)
    return dialect


def _vocab_size(tokenizer: Tokenizer) -> int:
    return max(tokenizer.get_vocab().values()) + 1


def _check_openings(tokenizer: Tokenizer, dialect: Dialect) -> None:
    """Every opening is built by rendering again, so it must come out and be the same each time."""
    for system_text in ("", "Talk about\n\ntrees."):
        if not len(opening_ids(tokenizer, dialect, system_text)):
            raise unusable(tokenizer, "nothing stands before the first user's text")

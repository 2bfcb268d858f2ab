"""From a tokenizer's own chat template to a dialect, by reading what it renders."""

from collections.abc import Sequence

from pipeline.dialects.markers import read_markers, takes_system
from pipeline.dialects.opening import opening_ids
from pipeline.dialects.reasoning import read_reasoning
from pipeline.dialects.rendering import unusable
from pipeline.dialects.stops import assistant_stops, leak_ids, leak_strings, user_stops
from pipeline.dialects.tokenizer import Tokenizer, template_digest, tokenizer_digest
from schemas.dialect import Dialect

__all__ = ["derive_dialect", "opening_ids"]


def derive_dialect(tokenizer: Tokenizer, *, eos_ids: Sequence[int] = ()) -> Dialect:
    """The dialect of a tokenizer's chat template; a ModelError where it has none."""
    template = template_digest(tokenizer)
    reasoning = read_reasoning(tokenizer)
    markers = read_markers(tokenizer, hides_reasoning=reasoning is not None)
    spared = reasoning.tags if reasoning else ()
    user = user_stops(tokenizer, markers, eos_ids)
    assistant = assistant_stops(tokenizer, markers, eos_ids)
    dialect = Dialect(
        tokenizer=tokenizer_digest(tokenizer.name_or_path),
        template=template,
        vocab_size=max(tokenizer.get_vocab().values()) + 1,
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


def _check_openings(tokenizer: Tokenizer, dialect: Dialect) -> None:
    """Every opening is built by rendering again, so it must come out and be the same each time."""
    for system_text in ("", "Talk about\n\ntrees."):
        if not len(opening_ids(tokenizer, dialect, system_text)):
            raise unusable(tokenizer, "nothing stands before the first user's text")

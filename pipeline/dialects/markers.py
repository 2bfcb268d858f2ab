"""What a chat template writes between turns, read off its renderings."""

from typing import NamedTuple

from pipeline.dialects.rendering import (
    Marker,
    alternate,
    gaps,
    is_blank,
    made_up_texts,
    render,
    shared_gaps,
    text_gaps,
    unusable,
    writes_prompt,
)
from pipeline.dialects.tokenizer import Tokenizer
from schemas.errors import ModelError


class Markers(NamedTuple):
    """The ids between turns, in a conversation that goes on unless said otherwise."""

    after_user: Marker
    ask_assistant: Marker
    after_assistant: Marker
    last: Marker
    """After an assistant's text that ends the conversation."""
    answer_opener: Marker = ()
    """What history opens an answer with and a prompt leaves to the model; () for most."""


def read_markers(tokenizer: Tokenizer, *, hides_reasoning: bool) -> Markers:
    """The markers of a template, the same in every turn; a ModelError where they are not."""
    after_user, after_assistant, asked = _between_turns(tokenizer, system=False)
    last = _read(tokenizer, turns=2)[-1]
    plain = Markers(after_user, after_user, after_assistant, last)
    return _asking(tokenizer, plain, asked, hides_reasoning=hides_reasoning)


def takes_system(tokenizer: Tokenizer) -> bool:
    """Whether the template writes a system message, in front, and changes nothing else for it."""
    plain = _between_turns(tokenizer, system=False)
    try:
        return _between_turns(tokenizer, system=True) == plain
    except ModelError:
        return False


def _between_turns(tokenizer: Tokenizer, *, system: bool) -> tuple[Marker, Marker, Marker]:
    """After a user's text and after an assistant's in history, and the generation prompt."""
    first, second, *later = _read(tokenizer, turns=5, system=system)[1:]
    if later[:2] != [first, second]:
        raise unusable(tokenizer, "its markers change from turn to turn")
    asked = [_read(tokenizer, turns=n, system=system, ask=True) for n in (1, 3)]
    if asked[0][-1] != asked[1][-1] or asked[1][1:3] != [first, second]:
        raise unusable(tokenizer, "its markers change when the conversation goes on")
    return first, second, asked[0][-1]


def _read(
    tokenizer: Tokenizer, *, turns: int, system: bool = False, ask: bool = False
) -> list[Marker]:
    """The gaps before, between and after the turns, shared by all styles of texts."""
    found = []
    for texts in made_up_texts(turns + system):
        messages = alternate(texts[system:], system=texts[0] if system else None)
        found.append(gaps(tokenizer, render(tokenizer, messages, ask=ask), texts)[system:])
    return shared_gaps(tokenizer, found)


def _asking(
    tokenizer: Tokenizer, plain: Markers, asked: Marker, *, hides_reasoning: bool
) -> Markers:
    """The markers where a prompt may open an assistant's turn in another way than history does.

    A prompt that is longer opens a reasoning part. One that is shorter leaves a blank to the
    model, or the choice of its channel, and then history shows the channel of the answer.
    """
    history = plain.after_user
    rest = history[len(asked) :]
    shorter = history == asked + rest
    if _same_opener(tokenizer):
        return plain
    if shorter and is_blank(tokenizer, rest) and not hides_reasoning:
        return plain._replace(after_user=asked, ask_assistant=asked)
    if not writes_prompt(tokenizer, alternate(made_up_texts(1)[0])):
        return plain
    if hides_reasoning or asked[: len(history)] == history:
        return plain._replace(ask_assistant=asked)
    if not shorter:
        raise unusable(
            tokenizer, "it opens an assistant's turn in one way to ask for it, in another later"
        )
    return plain._replace(ask_assistant=asked, answer_opener=rest)


def _same_opener(tokenizer: Tokenizer) -> bool:
    """Whether a prompt ends with the very text that history has before an answer."""
    texts = made_up_texts(3)[0]
    history = text_gaps(tokenizer, render(tokenizer, alternate(texts)), texts)[1]
    return history == text_gaps(tokenizer, render(tokenizer, alternate(texts), ask=True), texts)[-1]

"""Given texts as ids: frames, and what a run itself says between turns.

A conversation is spelled by its template as a whole, so an opening is exactly what the model's own
software would make of the same messages. Names of control tokens inside a text stay text: where
one occurs, the texts are spelled each for itself, without control tokens, and put between the
markers.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.dialects.derive import require_chat
from pipeline.dialects.frames import Turn, conversation, plain_text
from pipeline.dialects.opening import opening_ids, system_gaps, telling_text, template_prompt
from pipeline.dialects.rendering import Marker, is_blank
from pipeline.dialects.tokenizer import Tokenizer, encode
from schemas.dialect import Dialect
from schemas.errors import ModelError
from schemas.records import Frame, Ids, Opening, to_ids


class TokenizerSpeller:
    """Spells texts for one model."""

    def __init__(self, tokenizer: Tokenizer, dialect: Dialect) -> None:
        self._tokenizer, self._dialect = tokenizer, dialect
        named = {*dialect.leak_ids, *dialect.start, *dialect.text_stop_ids}
        named.update(dialect.user_stop_ids, dialect.assistant_stop_ids)
        added = tokenizer.added_tokens_decoder
        self._controls = frozenset(named & added.keys())
        self._first_letters = {added[i].content[0] for i in self._controls}
        self._next_texts = (telling_text(tokenizer, dialect),) if dialect.chats else ()

    def opening(self, frame: Frame) -> Opening:
        """A frame, down to the end of its last text; `ModelError` where it cannot be said."""
        if (text := plain_text(frame)) is not None:
            return Opening(self._text(text), "text")
        require_chat(self._dialect, self._tokenizer.name_or_path)
        system, turns = conversation(frame)
        ids = self._conversation(system, turns)
        return Opening(ids, turns[-1].role if turns else "system")

    def ids(self, text: str) -> Ids:
        """A text as it stands between markers, names of control tokens spelled out."""
        spelled = self._split(text)
        if not self._controls.isdisjoint(spelled):
            raise ModelError(
                f"{_shown(text)} names a control token that the tokenizer in "
                f"{self._tokenizer.name_or_path} cannot spell as ordinary text. Take it out of "
                "the text."
            )
        return to_ids(spelled)

    def heard(self, text: str) -> Ids:
        """A text that another model wrote: control tokens that cannot be spelled out fall out of
        it, so that it neither ends a turn nor stops a run."""
        return to_ids([i for i in self._split(text) if i not in self._controls])

    def is_harmless(self, text: str) -> bool:
        """Whether no control token is named in a text."""
        if self._first_letters.isdisjoint(text):
            return True
        return self._controls.isdisjoint(encode(self._tokenizer, text))

    def pieces(self, system: str, turns: Sequence[Turn]) -> list[Ids]:
        """A conversation text by text: its head, then the turns with the markers between them."""
        parts = [self._head(system)]
        for number, turn in enumerate(turns, start=1):
            parts.append(self.ids(self._seen(turn)))
            if number < len(turns):
                parts.append(to_ids(self._after(turn, ends=False)))
        return parts

    def _split(self, text: str) -> list[int]:
        encoded = self._tokenizer(text, add_special_tokens=False, split_special_tokens=True)
        ids: list[int] = encoded["input_ids"]
        return ids

    def _text(self, text: str) -> Ids:
        start = self._dialect.start
        if not start and not text:
            raise ModelError(
                f"The tokenizer in {self._tokenizer.name_or_path} has no token that begins a "
                "text, so there is nothing to start from. Give texts to begin with, or name the "
                "token as bos_token_id in the model's config.json."
            )
        return np.concatenate([to_ids(start), self.ids(text)])

    def _conversation(self, system: str, turns: Sequence[Turn]) -> Ids:
        if not all(map(self.is_harmless, (system, *(turn.text for turn in turns)))):
            return np.concatenate(self.pieces(system, turns))
        prompt = template_prompt(self._tokenizer, self._dialect, system, turns, self._next_texts)
        if not turns:
            return prompt
        return self._without(prompt, self._after(turns[-1], ends=True), turns[-1].text)

    def _after(self, turn: Turn, *, ends: bool) -> Marker:
        if turn.role == "assistant":
            return self._dialect.after_assistant
        return self._dialect.ask_assistant if ends else self._dialect.after_user

    def _without(self, prompt: Ids, marker: Marker, text: str) -> Ids:
        """A prompt down to the last text; it may end with a blank that the model writes itself."""
        end = len(prompt)
        while end and not _ends_with(prompt[:end], marker):
            end = end - 1 if is_blank(self._tokenizer, tuple(prompt[end - 1 : end])) else 0
        if not end:
            raise ModelError(
                f"The chat template of {self._tokenizer.name_or_path} cannot be cut after "
                f"{_shown(text)}: the end of the text and the marker after it share a token. "
                "White space at the end of the text is the usual cause; strip it."
            )
        return prompt[: end - len(marker)]

    def _head(self, system: str) -> Ids:
        if self.is_harmless(system):
            return opening_ids(self._tokenizer, self._dialect, system)
        before, after = system_gaps(self._tokenizer, self._dialect)
        return np.concatenate([to_ids(before), self.ids(system), to_ids(after)])

    def _seen(self, turn: Turn) -> str:
        """As history has it: without reasoning."""
        end = self._dialect.reasoning_end
        if turn.role == "user" or not end or end not in turn.text:
            return turn.text
        return turn.text.rpartition(end)[2].lstrip()


def _ends_with(ids: Ids, marker: Marker) -> bool:
    return len(ids) >= len(marker) and tuple(ids[len(ids) - len(marker) :].tolist()) == marker


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:40]}...{text[-15:]}")

"""One trainee's pen: texts become its ids, and which ids say which text is known."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from pipeline.dialects.derive import require_chat
from pipeline.dialects.frames import conversation
from pipeline.dialects.rendering import alternate, gaps, made_up_texts, render, shared_gaps
from pipeline.dialects.spelling import TokenizerSpeller
from pipeline.dialects.tokenizer import decode
from pipeline.sft.rows.rendered import Renderings, Span
from pipeline.sft.trainee import Trainee
from pipeline.tree.prompt import ask
from schemas.errors import ModelError
from schemas.records import Frame, Ids, Role, to_ids


class Spelled(NamedTuple):
    """A conversation as ids."""

    ids: Ids
    spans: tuple[Span, ...]
    """By message, which ids its speaker has to write: the text, and what ends it."""


class Pen:
    """Writes for one trainee."""

    def __init__(self, trainee: Trainee) -> None:
        self._trainee, self._tokenizer = trainee, trainee.tokenizer
        self._dialect = trainee.dialect
        self._speller = TokenizerSpeller(self._tokenizer, self._dialect)
        self._renderings = Renderings(self._tokenizer, self._dialect)
        self._closing_length = lru_cache(maxsize=1024)(self._read_closing_length)
        self._last_marker: Ids | None = None

    def text(self, prompt: str, completion: str) -> tuple[Ids, int]:
        """A plain text in two parts, and the first id of the second.

        It is begun as texts are, and ended as they are if there is a second part.
        """
        start, body = to_ids(self._dialect.start), self._speller.ids(prompt + completion)
        if not completion:
            return np.concatenate([start, body]), len(start) + len(body)
        stops = self._dialect.whole_stop_ids or self._dialect.text_stop_ids
        edge = self._edge(prompt, completion) if prompt else 0
        return np.concatenate([start, body, to_ids(stops[:1])]), len(start) + edge

    def prompt(self, frame: Frame) -> Ids:
        """A conversation, and what asks for an answer to it."""
        opening = self._speller.opening(frame)
        return ask(opening.ids, opening.last, self._dialect)

    def conversation(self, frame: Frame) -> Spelled:
        """A conversation that ends with an answer."""
        require_chat(self._dialect, self._trainee.location)
        self._check(frame)
        if all(self._speller.is_harmless(message.text) for message in frame):
            return self._as_a_whole(frame)
        return self._text_by_text(frame)

    def _check(self, frame: Frame) -> None:
        conversation(frame)
        if not frame or frame[-1].role != "assistant":
            raise ModelError("found no answer at the end of the conversation; expected one.")
        empty = next((n for n, m in enumerate(frame, start=1) if not m.text.strip()), None)
        if empty is not None:
            raise ModelError(f"message {empty} is empty.")

    def _edge(self, prompt: str, completion: str) -> int:
        _, _, ends = self._encode(prompt + completion, split_special_tokens=True)
        return int(np.searchsorted(ends, len(prompt), "right"))

    def _as_a_whole(self, frame: Frame) -> Spelled:
        rendered = self._renderings.render(frame)
        ids, starts, ends = self._encode(rendered.text)
        firsts = np.searchsorted(ends, [start for start, _ in rendered.spans], "right")
        stops = np.searchsorted(starts, [end for _, end in rendered.spans], "left")
        texts = list(zip(firsts.tolist(), stops.tolist(), strict=True))
        return Spelled(ids, self._said(frame, ids, texts))

    def _text_by_text(self, frame: Frame) -> Spelled:
        system, turns = conversation(frame)
        pieces = [*self._speller.pieces(system, turns), self._last()]
        edges = [*accumulate(map(len, pieces))]
        texts = [(0, 0)] * bool(system)
        texts += zip(edges[0:-1:2], edges[1::2], strict=True)
        ids = np.concatenate(pieces)
        return Spelled(ids, self._said(frame, ids, texts))

    def _said(self, frame: Frame, ids: Ids, texts: Sequence[Span]) -> tuple[Span, ...]:
        """What speakers have to write, from where the texts stand alone."""
        spans: list[Span] = []
        nexts = [start for start, _ in texts[1:]] + [len(ids)]
        for number, (message, (start, end)) in enumerate(zip(frame, texts, strict=True)):
            before = ids[texts[number - 1][1] : end] if number else ids[:0]
            opened = self._opener_length(message.role, before)
            start = end - len(before) + opened if opened else start
            after = tuple(ids[end : nexts[number]].tolist())
            spans.append((start, end + self._closing_length(message.role, after)))
        return tuple(spans)

    def _opener_length(self, role: Role, ids: Ids) -> int:
        """How many ids after the text before are not the speaker's own to write; 0: not known.

        What a template asks for an answer with may be less than what history has before one, and
        then the rest is the model's to write.
        """
        dialect = self._dialect
        if role == "assistant":
            openers = [dialect.ask_assistant, dialect.after_user]
        else:
            openers = [dialect.after_assistant] if role == "user" else []
        fits = (len(o) for o in openers if tuple(ids[: len(o)].tolist()) == o)
        return next(fits, 0)

    def _read_closing_length(self, role: Role, after: tuple[int, ...]) -> int:
        """How many of the ids after a text end it."""
        dialect = self._dialect
        user = role == "user"
        if role == "system":
            return 0
        stop_ids = dialect.user_stop_ids if user else dialect.assistant_stop_ids
        if (end := next((n for n, i in enumerate(after, start=1) if i in stop_ids), 0)) > 0:
            return end
        stops = dialect.user_stop_strings if user else dialect.assistant_stop_strings
        for end in range(1, len(after) + 1):
            text = decode(self._tokenizer, after[:end])
            if any(stop in text for stop in stops):
                return end
        return 0

    def _last(self) -> Ids:
        """What stands after the last answer."""
        if self._last_marker is None:
            found = [
                gaps(self._tokenizer, render(self._tokenizer, alternate(texts)), texts)[-1:]
                for texts in made_up_texts(2)
            ]
            self._last_marker = to_ids(shared_gaps(self._tokenizer, found)[0])
        return self._last_marker

    def _encode(self, text: str, *, split_special_tokens: bool = False) -> tuple[Ids, Ids, Ids]:
        """Ids, and of each the characters where it starts and ends."""
        found = self._tokenizer(
            text,
            add_special_tokens=False,
            return_offsets_mapping=True,
            split_special_tokens=split_special_tokens,
        )
        offsets = to_ids(found["offset_mapping"]).reshape(-1, 2)
        return to_ids(found["input_ids"]), offsets[:, 0], offsets[:, 1]

"""A dialect: how one model's chat template opens and closes turns, as frozen token ids.

    opening(system) U1 after_user A1 after_assistant U2 after_user A2 ...

A prompt that asks for a user turn ends where the user's text would start; one that asks for an
assistant turn ends with `ask_assistant`, which differs from `after_user` only in templates that
open or hide a reasoning part. Derived by `pipeline.dialects`, stored with the run, so that a
prompt can be rebuilt from rows alone.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Ids = tuple[Annotated[int, Field(ge=0, le=2**31 - 1)], ...]
"""Token ids, as tables hold them."""


class Dialect(BaseModel):
    """The markers of one chat template. The opening of a tree lies in its root's `token_ids`.

    A model without a template has the ids that begin and end a text, and no markers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tokenizer: str
    """Digest of the tokenizer."""
    template: str
    """Digest of the chat template; empty where there is none."""
    vocab_size: Annotated[int, Field(ge=1, le=2**31)]
    """One more than the highest token id."""
    start: Ids = ()
    """The id that begins every text the model saw, or the one that plays its part; () if none."""
    text_stop_ids: Ids = ()
    """Token ids that end a text, with or without a template."""
    after_user: Ids
    """Between a user's text and the assistant's text that answers it, in history."""
    ask_assistant: Ids
    """After a user's text, to make the model write the assistant's turn."""
    after_assistant: Ids
    """Between an assistant's text and the next user's text."""
    user_stop_ids: Ids
    """Token ids that end a user turn."""
    user_stop_strings: tuple[str, ...] = ()
    """Texts that end a user turn, where the template closes it with ordinary text."""
    assistant_stop_ids: Ids
    assistant_stop_strings: tuple[str, ...] = ()
    leak_ids: Ids = ()
    """Control tokens that have no business inside a turn."""
    leak_strings: tuple[str, ...] = ()
    """Marker texts that have no business inside a turn."""
    reasoning_close: Ids = ()
    """Ends the reasoning part of an assistant turn; () where the template keeps history as is."""
    reasoning_open: str = ""
    """The tag that the model may open a reasoning part with, if it writes the tag itself."""
    reasoning_end: str = ""
    """The text of `reasoning_close`."""
    blank_ids: Ids = ()
    """Ids of white space only, skipped after `reasoning_close` as the template does."""
    system: Literal["system", "user"] = "system"
    """`system`: the template takes a system message; `user`: it opens the first user turn."""

    @property
    def chats(self) -> bool:
        """Whether there is a chat template."""
        return bool(self.template)

    @property
    def whole_stop_ids(self) -> tuple[int, ...]:
        """Those that end a text and never stand between a question and its answer."""
        between = {*self.after_user, *self.ask_assistant}
        return tuple(i for i in self.text_stop_ids if i not in between)

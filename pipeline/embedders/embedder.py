"""The protocol of an embedder."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt


class Embedder(Protocol):
    """Turns texts into vectors whose cosine says how alike they are."""

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """One row a text, of any length but zero for a text that says nothing.

        Equal lists of texts give equal bytes on one machine. Only sentence models may give a text
        other last digits beside other texts, or on another machine.
        """
        ...

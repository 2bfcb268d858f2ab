"""Any model of sentence-transformers, from its directory. On the CPU, engines have the devices."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

VERSION = "sentence-1"
"""Of how vectors are made of the model's files."""

_BATCH = 32


class SentenceEmbedder:
    """A sentence model; texts are cut where the model's own limit lies."""

    def __init__(self, location: str, *, device: str = "cpu") -> None:
        from sentence_transformers import SentenceTransformer

        self._model = SentenceTransformer(location, device=device, local_files_only=True).eval()

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Rows of unit length; zero for a text without visible characters."""
        # `encode` makes batches of texts of like length, and gives the rows in order.
        vectors: npt.NDArray[np.float32] = self._model.encode(
            list(texts),
            batch_size=_BATCH,
            show_progress_bar=False,
            convert_to_numpy=True,
            normalize_embeddings=True,
        ).astype(np.float32, copy=False)
        blank = [index for index, text in enumerate(texts) if not text.strip()]
        vectors[blank] = 0.0
        return vectors

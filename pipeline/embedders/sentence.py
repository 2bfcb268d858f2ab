"""Any model of sentence-transformers, from its directory. On the CPU, engines have the devices.

The last digits of a vector depend on the machine and on the texts that are padded beside it. So
batches are cut by one rule, here: equal texts give equal bytes, on one machine.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

VERSION = "sentence-2"
"""Of how vectors are made of the model's files."""

_BATCH = 32


class SentenceEmbedder:
    """A sentence model; texts are cut where the model's own limit lies."""

    def __init__(self, location: str, *, device: str = "cpu") -> None:
        from sentence_transformers import SentenceTransformer

        self._model = SentenceTransformer(location, device=device, local_files_only=True).eval()
        self._dimensions = self._encode(["."]).shape[1]

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Rows of unit length; zero for a text without visible characters."""
        said = [index for index, text in enumerate(texts) if text.strip()]
        # Texts of like length together; the first of equally long ones comes first.
        said.sort(key=lambda index: -len(texts[index]))
        vectors = np.zeros((len(texts), self._dimensions), dtype=np.float32)
        for start in range(0, len(said), _BATCH):
            rows = said[start : start + _BATCH]
            vectors[rows] = self._encode([texts[index] for index in rows])
        return vectors

    def _encode(self, texts: list[str]) -> npt.NDArray[np.float32]:
        found: npt.NDArray[np.float32] = self._model.encode(
            texts,
            batch_size=_BATCH,
            show_progress_bar=False,
            convert_to_numpy=True,
            normalize_embeddings=True,
        )
        return found

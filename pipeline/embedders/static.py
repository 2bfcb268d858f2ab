"""Static embedders in model2vec's form: a vector for each token, and a text is their mean.

The mean is taken here, as one sparse product: in row order, so that a text has the same vector
whatever is embedded beside it, and without a copy of a vector for each token of a batch.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

VERSION = "static-1"
"""Of how vectors are made of the model's files."""

_BATCH = 1024


class StaticEmbedder:
    """A model of model2vec, whole texts, in float32."""

    def __init__(self, location: str) -> None:
        from model2vec import StaticModel

        self._model = StaticModel.from_pretrained(location)
        self._model.tokenizer.no_truncation()
        self._vectors = np.ascontiguousarray(self._model.embedding, dtype=np.float32)
        assert self._vectors.ndim == 2

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Rows of unit length; zero for a text without known tokens."""
        starts = range(0, len(texts), _BATCH)
        rows = [self._embed(texts[start : start + _BATCH]) for start in starts]
        return np.concatenate([np.zeros((0, self._vectors.shape[1]), np.float32), *rows])

    def _embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        from scipy.sparse import csr_array

        tokens = self._model.tokenize(list(texts))
        ids = np.fromiter((token for row in tokens for token in row), dtype=np.int64)
        ends = np.cumsum([0, *map(len, tokens)], dtype=np.int64)
        model = self._model
        weights = np.ones(len(ids)) if model.weights is None else model.weights[ids]
        columns = ids if model.token_mapping is None else model.token_mapping[ids]
        shape = (len(texts), len(self._vectors))
        sums = csr_array((weights.astype(np.float32), columns, ends), shape=shape) @ self._vectors
        lengths = np.sqrt((sums.astype(np.float64) ** 2).sum(axis=1, keepdims=True))
        rows: npt.NDArray[np.float32] = (sums / np.where(lengths, lengths, 1.0)).astype(np.float32)
        return rows

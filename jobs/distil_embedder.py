"""A sentence model as a static one: for each token the vector that the model gives it alone.

As model2vec does it: principal components of those vectors, weighted by how rare a token is, which
its place in the vocabulary tells. All in float64 and rounded to a grid at the end, because
instruction sets and libraries add in other orders. That shows at about 1e-14, the grid is 6e-5
wide, so of 7.5 million numbers some 0.001 are expected to differ between two machines. In float32
it was 280,000 of them: another digest, and by it another run, on each kind of machine.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

DIMENSIONS = 256
GRID = 2.0**-14
_SIF = 1e-4
"""Tokens more frequent than this weigh less; the constant of smooth inverse frequency."""
_BATCH = 256
_KEPT = ("[PAD]", "[UNK]")
"""Of the tokens in brackets; the others stand in no text."""
_AROUND = ("[CLS]", "[SEP]")
"""Before and after every text."""

Floats = npt.NDArray[np.float64]


def distil(source: Path, folder: Path, *, name: str) -> None:
    """Write the static model of a BERT with a WordPiece vocabulary: the same bytes each time."""
    from safetensors.numpy import save_file

    tokenizer = json.loads((source / "tokenizer.json").read_bytes())
    vocabulary: dict[str, int] = tokenizer["model"]["vocab"]
    words = [word for word in sorted(vocabulary, key=vocabulary.__getitem__) if _stays(word)]
    before, after = (vocabulary[token] for token in _AROUND)
    alone = _alone(source, [[before, vocabulary[word], after] for word in words])
    vectors = _weighted(_principal(alone, DIMENSIONS))
    rounded = (np.rint(vectors / GRID) * GRID).astype(np.float32)
    save_file({"embeddings": rounded}, folder / "model.safetensors")
    _write(folder / "tokenizer.json", _reduced(tokenizer, words))
    _write(folder / "config.json", _config(name))


def _stays(word: str) -> bool:
    in_brackets = len(word) > 2 and word.startswith("[") and word.endswith("]")
    return word in _KEPT or not in_brackets


def _alone(source: Path, rows: list[list[int]]) -> Floats:
    """The mean over each row of ids, which are equally many."""
    import torch
    from transformers import AutoModel

    model = AutoModel.from_pretrained(source, local_files_only=True).double().eval()
    with torch.inference_mode():
        means = [
            model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state.mean(dim=1)
            for ids in torch.tensor(rows).split(_BATCH)
        ]
    found: Floats = torch.cat(means).numpy()
    return found


def _principal(vectors: Floats, dimensions: int) -> Floats:
    """Their first principal components; the largest number of each is positive."""
    centred = vectors - vectors.mean(axis=0)
    _, directions = np.linalg.eigh(centred.T @ centred)
    scores: Floats = centred @ directions[:, ::-1][:, :dimensions]
    largest = np.abs(scores).argmax(axis=0)
    scores *= np.sign(scores[largest, np.arange(scores.shape[1])])
    return scores


def _weighted(vectors: Floats) -> Floats:
    """By frequencies as Zipf's law has them, since vocabularies go from frequent to rare."""
    shares = 1 / np.arange(2, len(vectors) + 2)
    shares /= shares.sum()
    return vectors * (_SIF / (_SIF + shares))[:, None]


def _reduced(tokenizer: dict[str, Any], words: list[str]) -> dict[str, Any]:
    """The tokenizer with these words alone, which puts nothing around a text and never cuts it."""
    added = [entry for entry in tokenizer["added_tokens"] if entry["content"] in words]
    return tokenizer | {
        "added_tokens": [entry | {"id": words.index(entry["content"])} for entry in added],
        "model": tokenizer["model"] | {"vocab": {word: row for row, word in enumerate(words)}},
        "truncation": None,
        "padding": None,
        "post_processor": None,
    }


def _config(name: str) -> dict[str, Any]:
    """In model2vec's words."""
    return {
        "model_type": "model2vec",
        "architectures": ["StaticModel"],
        "tokenizer_name": name,
        "apply_pca": DIMENSIONS,
        "sif_coefficient": _SIF,
        "hidden_dim": DIMENSIONS,
        "seq_length": 1_000_000,
        "normalize": True,
        "pooling": "mean",
    }


def _write(file: Path, content: dict[str, Any]) -> None:
    # Spelled here, for what the libraries write changes with their versions.
    file.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")

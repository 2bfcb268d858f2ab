"""Log-probabilities of texts by transformers, which has no say in the product."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from schemas.records import Ids


def scorer(location: str) -> Callable[[Sequence[Ids]], list[npt.NDArray[np.float32]]]:
    """By text, the log-probability of each id but the first."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(location, dtype=torch.float32).eval()

    def score(texts: Sequence[Ids]) -> list[npt.NDArray[np.float32]]:
        return [alone(ids) for ids in texts]

    def alone(ids: Ids) -> npt.NDArray[np.float32]:
        row = torch.from_numpy(ids.astype(np.int64))
        with torch.inference_mode():
            logprobs = model(row[None]).logits[0, :-1].log_softmax(-1)
        found: npt.NDArray[np.float32] = logprobs.gather(1, row[1:, None])[:, 0].numpy()
        return found

    return score

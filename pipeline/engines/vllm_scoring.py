"""Log-probabilities of given texts, by the engine that is loaded anyway."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pipeline.engines.vllm import VllmEngine
from schemas.errors import EngineError
from schemas.records import Ids

if TYPE_CHECKING:
    from vllm.v1.engine.llm_engine import LLMEngine

Logprobs = npt.NDArray[np.float32]


def score(engine: VllmEngine, texts: Sequence[Ids]) -> list[Logprobs]:
    """By text, how likely each id but the first is after those before it.

    For an engine that is asked for nothing else meanwhile.
    """
    if engine.has_work():
        raise EngineError("texts cannot be scored while an engine is at work on requests")
    llm = engine.loaded()
    for number, ids in enumerate(texts):
        llm.add_request(str(number), {"prompt_token_ids": ids.tolist()}, _only_score())
    found = {int(output.request_id): output.prompt_logprobs for output in _drain(llm)}
    return [_of_ids(found[number], ids) for number, ids in enumerate(texts)]


def _only_score() -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        max_tokens=1,
        prompt_logprobs=0,
        detokenize=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def _drain(llm: "LLMEngine") -> list[Any]:
    outputs: list[Any] = []
    while llm.has_unfinished_requests():
        outputs += [output for output in llm.step() if output.finished]
    return outputs


def _of_ids(positions: Sequence[Any], ids: Ids) -> Logprobs:
    pairs = zip(positions[1:], ids[1:].tolist(), strict=True)
    return np.array([position[i].logprob for position, i in pairs], dtype=np.float32)

"""What a model says of whole texts, computed in the plainest way, one by one."""

import torch


def logprobs(reader, ids):
    """The log-probability of each id but the first."""
    block = torch.tensor([[int(i) for i in ids]])
    with torch.no_grad():
        told = reader.model(input_ids=block).logits[0].log_softmax(-1)
    return told[:-1].gather(1, block[0, 1:, None])[:, 0].numpy()

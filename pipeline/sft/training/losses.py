"""The losses, each a number for every position: whoever asks sums them up and divides.

Logits are those that predict the position's token, one row a position. All is computed in float32,
whatever the logits were computed in.
"""

import torch
from torch import Tensor
from torch.nn import functional


def next_token_loss(logits: Tensor, ids: Tensor) -> Tensor:
    """Minus the log-probability of the token that came."""
    return functional.cross_entropy(logits.float(), ids.long(), reduction="none")


def forward_kl(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(teacher || student) over the vocabulary."""
    return _kl(_log_probs(teacher), _log_probs(student))


def reverse_kl(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(student || teacher) over the vocabulary."""
    return _kl(_log_probs(student), _log_probs(teacher))


def stored_kl(student: Tensor, ids: Tensor, logprobs: Tensor, tail: Tensor) -> Tensor:
    """KL(stored || student) over the stored tokens and one more outcome: any other token.

    A negative id fills up a row that has fewer tokens than others.
    """
    there = ids >= 0
    logprobs = logprobs.float().masked_fill(~there, -torch.inf)
    said = _log_probs(student).gather(-1, ids.clamp(min=0).long()).masked_fill(~there, -torch.inf)
    rest = _rest(student.float(), ids)
    shares = logprobs.exp()
    crossed = (shares * said.masked_fill(~there, 0.0)).sum(-1) + tail * rest
    entropy = torch.xlogy(shares, shares).sum(-1) + torch.xlogy(tail, tail)
    return entropy - crossed


def _rest(logits: Tensor, ids: Tensor) -> Tensor:
    """The log-probability of all tokens but some; 0 where there are no others."""
    columns = logits.shape[-1]
    some = torch.zeros(*logits.shape[:-1], columns + 1, dtype=torch.bool, device=logits.device)
    # What only fills up a row is put beside the vocabulary.
    some = some.scatter(-1, ids.long().masked_fill(ids < 0, columns), True)[..., :columns]
    every = some.all(-1)
    # Of nothing but -inf there would be no gradient that is a number.
    others = logits.masked_fill(some & ~every[..., None], -torch.inf)
    return (others.logsumexp(-1) - logits.logsumexp(-1)).masked_fill(every, 0.0)


def _log_probs(logits: Tensor) -> Tensor:
    return functional.log_softmax(logits.float(), dim=-1)


def _kl(of: Tensor, to: Tensor) -> Tensor:
    return functional.kl_div(to, of, reduction="none", log_target=True).sum(-1)

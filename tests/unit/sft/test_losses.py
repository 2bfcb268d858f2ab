"""Losses: against sums done by hand, and against each other."""

import math

import pytest
import torch

from pipeline.sft.training.losses import forward_kl, next_token_loss, reverse_kl, stored_kl

P = torch.tensor([[0.5, 0.25, 0.125, 0.125]])
Q = torch.tensor([[0.1, 0.2, 0.3, 0.4]])


def logits(seed=0, positions=5, vocabulary=11):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(positions, vocabulary, generator=generator) * 2


def top_of(teacher, k):
    logprobs, ids = teacher.log_softmax(-1).topk(k)
    return ids, logprobs, (1 - logprobs.exp().sum(-1)).clamp(min=0)


def gradient_of(loss, of, *arguments):
    student = of.clone().requires_grad_()
    loss(student, *arguments).sum().backward()
    return student.grad


def test_next_token_loss_is_minus_the_log_of_the_token_that_came():
    assert next_token_loss(Q.log() + 3, torch.tensor([2])).item() == pytest.approx(-math.log(0.3))


def test_forward_kl_is_the_sum_done_by_hand():
    by_hand = sum(p * math.log(p / q) for p, q in zip(P[0].tolist(), Q[0].tolist(), strict=True))
    assert forward_kl(Q.log() - 1, P.log() + 2).item() == pytest.approx(by_hand, abs=1e-6)


def test_reverse_kl_is_forward_kl_the_other_way_round():
    by_hand = sum(q * math.log(q / p) for p, q in zip(P[0].tolist(), Q[0].tolist(), strict=True))
    assert reverse_kl(Q.log(), P.log()).item() == pytest.approx(by_hand, abs=1e-6)
    assert torch.allclose(reverse_kl(logits(0), logits(1)), forward_kl(logits(1), logits(0)))


def test_stored_kl_takes_all_other_tokens_for_one_outcome():
    ids, logprobs = torch.tensor([[0, 2]]), torch.tensor([[0.5, 0.125]]).log()
    by_hand = (
        0.5 * math.log(0.5 / 0.1) + 0.125 * math.log(0.125 / 0.3) + 0.375 * math.log(0.375 / 0.6)
    )
    found = stored_kl(Q.log(), ids, logprobs, torch.tensor([0.375]))
    assert found.item() == pytest.approx(by_hand, abs=1e-6)


def test_stored_kl_with_all_tokens_is_the_full_kl_with_its_gradient():
    student, teacher = logits(0), logits(1)
    ids, logprobs, _ = top_of(teacher, 11)
    tail = torch.zeros(5)
    found = stored_kl(student, ids, logprobs, tail)
    assert torch.allclose(found, forward_kl(student, teacher), atol=1e-5)
    ours = gradient_of(stored_kl, student, ids, logprobs, tail)
    assert torch.allclose(ours, gradient_of(forward_kl, student, teacher), atol=1e-5)


def test_stored_kl_is_at_most_the_full_kl():
    student, teacher = logits(2), logits(3)
    for k in (1, 3, 7):
        assert (stored_kl(student, *top_of(teacher, k)) <= forward_kl(student, teacher)).all()


def test_stored_kl_counts_no_token_that_only_fills_up_a_row():
    student = logits(4)
    ids, logprobs, tail = top_of(logits(5), 3)
    wide_ids = torch.nn.functional.pad(ids, (0, 2), value=-1)
    wide = torch.nn.functional.pad(logprobs, (0, 2), value=-torch.inf)
    arguments = wide_ids, wide, tail
    assert torch.equal(stored_kl(student, *arguments), stored_kl(student, ids, logprobs, tail))
    assert torch.equal(
        gradient_of(stored_kl, student, *arguments),
        gradient_of(stored_kl, student, ids, logprobs, tail),
    )


def test_every_kl_is_nothing_where_student_and_teacher_agree():
    same = logits(6)
    for found in (
        forward_kl(same, same),
        reverse_kl(same, same),
        stored_kl(same, *top_of(same, 4)),
    ):
        assert torch.allclose(found, torch.zeros(5), atol=1e-5)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 300.0])
def test_gradients_are_finite_however_sure_the_models_are(scale):
    student, teacher = logits(7) * scale, logits(8) * scale
    for loss, arguments in (
        (forward_kl, (teacher,)),
        (reverse_kl, (teacher,)),
        (stored_kl, top_of(teacher, 4)),
        (next_token_loss, (torch.arange(5),)),
    ):
        assert gradient_of(loss, student, *arguments).isfinite().all()


@pytest.mark.parametrize("gap", [5.0, 20.0, 60.0])
def test_stored_kl_draws_back_to_the_tail_however_sure_the_student_is(gap):
    sure = torch.zeros(1, 50)
    sure[0, 7] = gap + math.log(49)
    stored = torch.tensor([[7, -1]]), torch.tensor([[0.5, 0.0]]).log(), torch.tensor([0.5])
    gradient = gradient_of(stored_kl, sure, *stored)
    expected = sure.softmax(-1)[0, 7].item() - 0.5
    assert gradient[0, 7].item() == pytest.approx(expected, abs=1e-5)
    assert gradient[0, 0].item() == pytest.approx(-expected / 49, abs=1e-5)


def test_losses_of_half_precision_logits_are_float32():
    half = logits(9).bfloat16()
    for found in (forward_kl(half, half), next_token_loss(half, torch.arange(5))):
        assert found.dtype == torch.float32

"""NF4: levels, bounds of the error, and what stays."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.damage.nf4 import BLOCK, is_linear, levels, rounded

PUBLISHED = (
    *(-1.0, -0.6961928, -0.5250731, -0.3949175, -0.2844414, -0.1847734, -0.0910500, 0.0),
    *(0.0795803, 0.1609302, 0.2461123, 0.3379152, 0.4407098, 0.5626170, 0.7229568, 1.0),
)
"""As the paper's appendix lists them."""


@st.composite
def matrices(draw):
    shape = draw(st.tuples(st.integers(1, 9), st.integers(1, 150)))
    drawn = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    scale = 10.0 ** draw(st.integers(-6, 3))
    dtype = draw(st.sampled_from([torch.float32, torch.bfloat16]))
    return (torch.randn(shape, generator=drawn) * scale).to(dtype)


def blocks(matrix):
    flat = matrix.float().flatten()
    return torch.nn.functional.pad(flat, (0, -len(flat) % BLOCK)).view(-1, BLOCK)


def test_levels_are_the_published_ones():
    assert levels() == pytest.approx(PUBLISHED, abs=1e-6)


@given(matrices())
def test_rounding_twice_changes_nothing_more(matrix):
    once = rounded(matrix)
    assert torch.equal(rounded(once), once)


@given(matrices())
def test_rounding_errs_by_half_a_gap_of_the_blocks_scale_at_most(matrix):
    old, new = blocks(matrix), blocks(rounded(matrix))
    scales = old.abs().amax(dim=1, keepdim=True)
    half_gap = max(b - a for a, b in zip(levels(), levels()[1:], strict=False)) / 2
    # What bfloat16 rounds away comes on top.
    assert torch.all((new - old).abs() <= scales * (half_gap + 2**-8))
    assert torch.equal(new.abs().amax(dim=1, keepdim=True), scales)


@given(matrices())
def test_rounding_leaves_sixteen_values_a_block(matrix):
    rounds = rounded(matrix)
    assert rounds.shape == matrix.shape and rounds.dtype == matrix.dtype
    assert max(len(set(block.tolist())) for block in blocks(rounds)) <= len(levels())


def test_rounding_keeps_zeros():
    assert torch.equal(rounded(torch.zeros(3, 50)), torch.zeros(3, 50))


@pytest.mark.parametrize(
    ("name", "tensor", "expected"),
    [
        ("model.layers.0.mlp.up_proj.weight", torch.ones(2, 2), True),
        ("model.layers.11.self_attn.q_proj.weight", torch.ones(2, 2), True),
        ("transformer.h.3.attn.c_attn.weight", torch.ones(2, 2), True),
        ("model.layers.0.input_layernorm.weight", torch.ones(2), False),
        ("model.embed_tokens.weight", torch.ones(2, 2), False),
        ("lm_head.weight", torch.ones(2, 2), False),
        ("model.layers.0.mlp.up_proj.weight", torch.ones(2, 2, dtype=torch.int8), False),
    ],
)
def test_linear_layers_are_known_by_name_and_shape(name, tensor, expected):
    assert is_linear(name, tensor) is expected

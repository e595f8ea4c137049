"""Pooling weighs valid tokens and nothing else."""

from __future__ import annotations

import torch

from emoframe.learning.pooling.attention import Attention


def build() -> tuple[Attention, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    mask = torch.tensor([[True, True, False, True], [False, True, False, False], [False] * 4])
    return Attention(in_dim=5, hidden=3).double(), torch.randn(3, 4, 5).double(), mask


def test_attention_is_its_formula_over_the_valid_tokens() -> None:
    pooling, h, mask = build()
    z, weight = pooling(h, mask)
    valid = h[0, mask[0]]
    score = torch.stack([pooling.score.weight[0] @ pooling.hidden(token).tanh() for token in valid])
    share = score.exp() / score.exp().sum()
    torch.testing.assert_close(weight[0, mask[0]], share)
    torch.testing.assert_close(z[0], share @ valid)
    torch.testing.assert_close(z[1], h[1, 1])


def test_a_clip_without_a_token_is_the_zero_vector_with_finite_gradients() -> None:
    pooling, h, mask = build()
    h = h.masked_fill(~mask[..., None], torch.nan).requires_grad_()
    z, weight = pooling(h, mask)
    assert not z[2].any()
    assert not weight[2].any()
    z.square().sum().backward()
    assert h.grad is not None
    assert not h.grad[~mask].any()
    assert all(torch.isfinite(p.grad).all() for p in pooling.parameters() if p.grad is not None)


def test_large_scores_do_not_overflow() -> None:
    pooling, h, mask = build()
    with torch.no_grad():
        pooling.score.weight.fill_(1e6)
    z, weight = pooling(h, mask)
    assert torch.isfinite(z).all()
    torch.testing.assert_close(weight.sum(1), mask.any(1).double())

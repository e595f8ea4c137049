"""Frames become tokens in order, at their true times, and what is missing stays missing."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from emoframe.core.errors import DataError
from emoframe.learning.temporal_encoders.patch_transformer import PatchTransformer, summary
from emoframe.learning.temporal_encoders.transformer import Transformer


def build(patch: int, **given: Any) -> PatchTransformer:
    torch.manual_seed(0)
    small = {"in_dim": 6, "dim": 8, "layers": 2, "heads": 2, "dropout": 0.0} | given
    return PatchTransformer(patch=patch, **small)


def clip(frames: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    h = torch.randn(2, frames, 6, generator=torch.Generator().manual_seed(1))
    return h, torch.arange(frames).expand(2, frames) / 25.0, torch.ones(2, frames).bool()


def test_one_frame_a_patch_gives_the_tokens_of_the_transformer() -> None:
    h, time, mask = clip(9)
    mask[1, 4:] = False
    tokens, span, valid = build(1)(h, time, mask)
    other, other_span, other_valid = Transformer(in_dim=6, dim=8, heads=2)(h, time, mask)
    assert tokens.shape == other.shape
    assert torch.equal(valid, other_valid)
    torch.testing.assert_close(span[valid], other_span[valid])


@pytest.mark.parametrize(("frames", "patch", "tokens"), [(12, 4, 3), (13, 4, 4), (3, 12, 1)])
def test_a_clip_is_cut_into_patches_and_the_last_is_filled_up(
    frames: int, patch: int, tokens: int
) -> None:
    encoder = build(patch)
    h, time, mask = clip(frames)
    encoded, span, valid = encoder(h, time, mask)
    assert encoded.shape == (2, tokens, 8)
    assert valid.all()
    torch.testing.assert_close(span[0, -1, 1], time[0, -1])
    torch.testing.assert_close(span[0, :, 0], time[0, ::patch])


def test_the_time_of_a_patch_is_that_of_its_valid_frames() -> None:
    time = torch.tensor([[[1.0, 2.0, torch.nan, 6.0], [7.0, 8.0, 9.0, 10.0]]])
    mask = torch.tensor([[[True, True, False, True], [False] * 4]])
    mean, span = summary(time, mask)
    torch.testing.assert_close(mean, torch.tensor([[3.0, 0.0]]))
    torch.testing.assert_close(span, torch.tensor([[[1.0, 6.0], [0.0, 0.0]]]))


def test_masked_and_padded_frames_change_no_token_in_training_either() -> None:
    encoder = build(4).train()
    h, time, mask = clip(10)
    mask[0, 2:7] = False
    mask[1, 5:] = False
    tokens, _, valid = encoder(h, time, mask)
    broken = h.masked_fill(~mask[..., None], torch.nan)
    padded = [torch.cat([value, value[:, :7]], 1) for value in (broken, time, mask)]
    padded[2][:, 10:] = False
    other, _, other_valid = encoder(*padded)
    assert other.shape[1] == 5
    torch.testing.assert_close(other[other_valid], tokens[valid])


@pytest.mark.parametrize("patch", [1, 4, 50])
def test_one_valid_frame_gives_one_valid_token(patch: int) -> None:
    encoder = build(patch)
    h, time, mask = clip(10)
    mask[:] = False
    mask[:, 6] = True
    tokens, span, valid = encoder(h, time, mask)
    assert valid.sum(1).tolist() == [1, 1]
    assert torch.isfinite(tokens).all()
    torch.testing.assert_close(span[valid], time[:, 6, None].expand(2, 2))


def test_a_frame_that_is_missing_differs_from_one_that_is_zero() -> None:
    encoder = build(4)
    h, time, mask = clip(4)
    h[:, 2] = 0
    time = torch.full_like(time, 0.5)  # so that the mean time is not what tells them apart
    zero = encoder(h, time, mask)[0]
    mask[:, 2] = False
    assert not torch.allclose(encoder(h, time, mask)[0], zero)


def test_the_order_of_frames_inside_a_patch_matters() -> None:
    encoder = build(4)
    h, time, mask = clip(8)
    swapped = h[:, [1, 0, 2, 3, 4, 5, 6, 7]]
    assert not torch.allclose(encoder(swapped, time, mask)[0], encoder(h, time, mask)[0])


def test_a_clip_without_a_valid_frame_gives_finite_gradients() -> None:
    encoder = build(4)
    h, time, mask = clip(10)
    mask[1] = False
    h.requires_grad_()
    tokens, span, valid = encoder(h, time, mask)
    assert valid.any(1).tolist() == [True, False]
    assert torch.isfinite(span).all()
    tokens.square().sum().backward()
    assert h.grad is not None
    assert torch.isfinite(h.grad).all()
    assert not h.grad[1].any()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters() if p.grad is not None)


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(DataError, match="dim 8 is no multiple of heads 3"):
        build(4, heads=3)

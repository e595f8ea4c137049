"""The long-sequence Transformer of the paper: one token a frame (section 3.2; W2S-11, W2S-22).

Depth, width and position code are not given in the paper. Here: pre-norm layers, and sinusoidal
positions of the *true time* of each frame, so that sampling and frame rate do not change meaning.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Lt
from torch import nn

SHORTEST_S, LONGEST_S = 0.08, 1000.0
"""Periods of the position code: two frames at 25 per second, and a long video."""


class Transformer(nn.Module):
    """A Transformer encoder over frames.

    Args:
        in_dim: Width of the frame vectors.
        dim: Width of the tokens; even, and a multiple of `heads`.
        layers: Number of layers.
        heads: Attention heads.
        expansion: Width of the feed-forward layers over `dim`.
        dropout: Share of activations dropped in training.

    Shape:
        h_NTD (N, T, in_dim), time_NT (N, T) in seconds, mask_NT (N, T)
        -> h_NSD (N, T, dim), span_NS2 (N, T, 2) in seconds, mask_NS (N, T)
    """

    def __init__(
        self,
        *,
        in_dim: int,
        dim: Annotated[int, Gt(0)] = 256,
        layers: Annotated[int, Gt(0)] = 2,
        heads: Annotated[int, Gt(0)] = 4,
        expansion: Annotated[float, Gt(0)] = 4.0,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.1,
    ) -> None:
        super().__init__()
        self.out_dim = dim
        self.projection = nn.Linear(in_dim, dim)
        layer = nn.TransformerEncoderLayer(
            dim, heads, int(dim * expansion), dropout, "gelu", batch_first=True, norm_first=True
        )
        # dropping attention weights would rule out the fused kernels, whose memory does not grow
        # with the square of 4000 frames; the residual streams are still dropped out
        layer.self_attn.dropout = 0.0
        self.layers = nn.TransformerEncoder(
            layer, layers, nn.LayerNorm(dim), enable_nested_tensor=False
        )

    def forward(
        self, h_NTD: torch.Tensor, time_NT: torch.Tensor, mask_NT: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return tokens, their start and end, and their mask."""
        x = self.projection(h_NTD) + time_code(time_NT, self.out_dim).to(h_NTD)
        # attention over no key at all is NaN; a clip without a valid frame attends to its padding
        # instead, which the pooling then ignores
        keys = mask_NT | ~mask_NT.any(1, keepdim=True)
        h_NSD = self.layers(x, src_key_padding_mask=~keys)
        return h_NSD, torch.stack([time_NT, time_NT], -1), mask_NT


def time_code(time_NT: torch.Tensor, dim: int) -> torch.Tensor:
    """Return sines and cosines of the time, (N, T, dim), periods spaced from short to long."""
    half = dim // 2
    steps = torch.arange(half, device=time_NT.device, dtype=torch.float32) / max(half - 1, 1)
    period_s = SHORTEST_S * (LONGEST_S / SHORTEST_S) ** steps
    angle = 2 * math.pi * time_NT[..., None].float() / period_s
    code = torch.cat([angle.sin(), angle.cos()], -1)
    return nn.functional.pad(code, (0, dim - 2 * half))

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

from emoframe.core.errors import DataError

SHORTEST_S, LONGEST_S = 0.08, 1000.0
"""Periods of the position code: two frames at 25 per second, and a long video."""


class Transformer(nn.Module):
    """A Transformer encoder over frames.

    Args:
        in_dim: Width of the frame vectors.
        dim: Width of the tokens; a multiple of `heads`.
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
        if dim % heads:
            raise DataError(
                f"temporal encoder: dim {dim} is no multiple of heads {heads}; change one of them"
            )
        self.out_dim = dim
        self.projection = nn.Linear(in_dim, dim)
        hidden = int(dim * expansion)
        self.layers = nn.ModuleList(Layer(dim, heads, hidden, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)

    def forward(
        self, h_NTD: torch.Tensor, time_NT: torch.Tensor, mask_NT: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return tokens, their start and end, and their mask."""
        return self.encode(h_NTD, time_NT, mask_NT), torch.stack([time_NT, time_NT], -1), mask_NT

    def encode(
        self, x_NSD: torch.Tensor, time_NS: torch.Tensor, mask_NS: torch.Tensor
    ) -> torch.Tensor:
        """Return tokens h_NSD, each at its time, that have attended to the valid ones."""
        x = self.projection(x_NSD) + time_code(time_NS, self.out_dim).to(x_NSD)
        # attention over no key at all is NaN; a clip without a valid token attends to its padding
        # instead, which the pooling then ignores
        keys = mask_NS | ~mask_NS.any(1, keepdim=True)
        for layer in self.layers:
            x = layer(x, keys)
        return self.norm(x)


class Layer(nn.Module):
    """One pre-norm layer: x + attention(norm(x)), then x + feed-forward(norm(x)).

    torch's own layer keeps the whole matrix of attention weights, 4000 x 4000 per head, when it
    drops some of them out and again in evaluation; here none are dropped, and the fused kernels,
    whose memory grows with T, are used throughout.
    """

    def __init__(self, dim: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(dim)
        self.query_key_value = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.norm_feed_forward = nn.LayerNorm(dim)
        self.feed_forward = nn.Sequential(
            nn.Linear(dim, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, dim)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_NTD: torch.Tensor, keys_NT: torch.Tensor) -> torch.Tensor:
        """Return x_NTD; tokens attend to where `keys_NT` is true."""
        x_NTD = x_NTD + self.dropout(self.attend(self.norm_attention(x_NTD), keys_NT))
        return x_NTD + self.dropout(self.feed_forward(self.norm_feed_forward(x_NTD)))

    def attend(self, x_NTD: torch.Tensor, keys_NT: torch.Tensor) -> torch.Tensor:
        """Return softmax(Q K^T / sqrt(D / heads)) V over the keys, heads joined and projected."""
        split = self.query_key_value(x_NTD).unflatten(-1, (3, self.heads, -1))
        query, key, value = split.permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=keys_NT[:, None, None, :]
        )
        return self.out(mixed.transpose(1, 2).flatten(-2))


def time_code(time_NT: torch.Tensor, dim: int) -> torch.Tensor:
    """Return sines and cosines of the time, (N, T, dim), periods spaced from short to long."""
    half = dim // 2
    steps = torch.arange(half, device=time_NT.device, dtype=torch.float32) / max(half - 1, 1)
    period_s = SHORTEST_S * (LONGEST_S / SHORTEST_S) ** steps
    angle = 2 * math.pi * time_NT[..., None].float() / period_s
    code = torch.cat([angle.sin(), angle.cos()], -1)
    return nn.functional.pad(code, (0, dim - 2 * half))

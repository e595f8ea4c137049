"""Deep Sets (Zaheer et al. 2017, equation 2): joints as a set, without order and without edges."""

from __future__ import annotations

import torch
from torch import nn


class DeepSets(nn.Module):
    """Maps each joint alone and averages over those that were measured.

    Args:
        in_channels: Channels C of a joint.
        hidden: Width D of the output.

    Shape:
        x_NTVC (N, T, V, C), mask_NTV (N, T, V) -> h_NTD (N, T, hidden)
    """

    def __init__(self, *, in_channels: int, hidden: int = 128) -> None:
        super().__init__()
        self.out_dim = hidden
        self.joint = nn.Sequential(nn.Linear(in_channels, hidden), nn.GELU())
        self.set = nn.Linear(hidden, hidden)

    def forward(self, x_NTVC: torch.Tensor, mask_NTV: torch.Tensor) -> torch.Tensor:
        """Return h_NTD."""
        h_NTVD = self.joint(x_NTVC).masked_fill(~mask_NTV[..., None], 0)
        return self.set(h_NTVD.sum(-2) / mask_NTV.sum(-1, keepdim=True).clamp(min=1))

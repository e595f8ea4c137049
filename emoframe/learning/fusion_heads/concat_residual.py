"""Concatenation and a residual layer (paper section 3.2; W2S-29)."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge, Lt
from torch import nn

from emoframe.learning.fusion_heads.missing import Missing


class ConcatResidual(nn.Module):
    """Concatenates the branches: z + dropout(GELU(W norm(z))).

    A branch whose input is missing is replaced by a learned vector. Branches stand in the order of
    their names.

    Args:
        in_dims: Width of each branch by name.
        dropout: Share of activations dropped in training.

    Shape:
        z {branch: (N, D)}, present {branch: (N,)} -> z_ND (N, sum of in_dims)
    """

    def __init__(
        self, *, in_dims: dict[str, int], dropout: Annotated[float, Ge(0), Lt(1)] = 0.1
    ) -> None:
        super().__init__()
        self.out_dim = sum(in_dims.values())
        self.missing = Missing(in_dims)
        self.norm = nn.LayerNorm(self.out_dim)
        self.layer = nn.Linear(self.out_dim, self.out_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, z: dict[str, torch.Tensor], present: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the fused vector z_ND."""
        joined = torch.cat([*self.missing.fill(z, present).values()], -1)
        return joined + self.dropout(nn.functional.gelu(self.layer(self.norm(joined))))

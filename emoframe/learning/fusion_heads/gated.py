"""Gated fusion (GMU, Arevalo et al. 2017): all branches say how much of each is let through."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Lt
from torch import nn


class Gated(nn.Module):
    """Sums the projected branches, each through gates of its own: z = sum_b g_b * P_b z_b.

    Gates are vectors, g_b = softmax over branches, or sigmoid, of W_b [z_1, ..., z_B], as in GMU;
    its tanh on P_b z_b is left out. A branch whose input is missing has a gate of 0 and no say in
    those of the others; where all are missing the fused vector is 0. The order of the branches
    changes nothing.

    Args:
        in_dims: Width of each branch by name.
        dim: Width of the fused vector.
        gate: `softmax` shares 1 out among the branches that are present; `sigmoid` opens each gate
            for itself.
        dropout: Share of the projected activations dropped in training.

    Shape:
        z {branch: (N, D)}, present {branch: (N,)} -> z_ND (N, dim)
    """

    def __init__(
        self,
        *,
        in_dims: dict[str, int],
        dim: Annotated[int, Gt(0)] = 256,
        gate: Literal["softmax", "sigmoid"] = "softmax",
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.1,
    ) -> None:
        super().__init__()
        self.out_dim, self.gate = dim, gate
        width, names = sum(in_dims.values()), sorted(in_dims)
        self.projections = nn.ModuleDict({name: nn.Linear(in_dims[name], dim) for name in names})
        self.gates = nn.ModuleDict({name: nn.Linear(width, dim) for name in names})
        self.dropout = nn.Dropout(dropout)

    def forward(self, z: dict[str, torch.Tensor], present: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the fused vector z_ND."""
        # a product with a closed gate would let NaN through; missing branches are taken out first
        kept = {name: z[name].masked_fill(~present[name][:, None], 0) for name in self.projections}
        joined = torch.cat([*kept.values()], -1)
        score_NBD = torch.stack([gate(joined) for gate in self.gates.values()], 1)
        mask_NB1 = torch.stack([present[name] for name in kept], 1)[..., None]
        parts = [layer(kept[name]) for name, layer in self.projections.items()]
        open_NBD = self._open(score_NBD, mask_NB1)
        return (open_NBD * self.dropout(torch.stack(parts, 1))).sum(1)

    def _open(self, score_NBD: torch.Tensor, mask_NB1: torch.Tensor) -> torch.Tensor:
        """Return how far each gate is open, 0 where the branch is missing."""
        if self.gate == "sigmoid":
            return score_NBD.sigmoid() * mask_NB1
        # softmax over no branch at all is NaN; there all are rated, and then none counts
        rated_NB1 = mask_NB1 | ~mask_NB1.any(1, keepdim=True)
        return score_NBD.masked_fill(~rated_NB1, -torch.inf).softmax(1) * mask_NB1

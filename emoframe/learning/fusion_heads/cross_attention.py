"""Cross-attention between the branches, the paper's other fusion (section 3.2; W2S-30)."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge, Gt, Lt
from torch import nn

from emoframe.core.errors import DataError
from emoframe.learning.fusion_heads.missing import Missing


class CrossAttention(nn.Module):
    """Lets each branch attend to all: x + dropout(attention(norm(x))), then concatenates.

    The paper tried it on its three branches and reports that it overfits, is unstable, and is no
    better than `concat_residual`. It gives no sizes; here it is one pre-norm layer over one token
    per branch. A branch attends to itself, too: two branches would have nothing to choose between
    otherwise. One whose input is missing is attended to by none; its own token is a learned vector.
    Branches stand in the order of their names.

    Args:
        in_dims: Width of each branch by name.
        dim: Width of each branch's token; a multiple of `heads`.
        heads: Attention heads.
        dropout: Share of activations dropped in training.

    Shape:
        z {branch: (N, D)}, present {branch: (N,)} -> z_ND (N, dim * number of branches)
    """

    def __init__(
        self,
        *,
        in_dims: dict[str, int],
        dim: Annotated[int, Gt(0)] = 256,
        heads: Annotated[int, Gt(0)] = 4,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.1,
    ) -> None:
        super().__init__()
        if dim % heads:
            raise DataError(
                f"fusion head: dim {dim} is no multiple of heads {heads}; change one of them"
            )
        self.out_dim = dim * len(in_dims)
        self.missing = Missing(in_dims)
        self.projections = nn.ModuleDict(
            {name: nn.Linear(in_dims[name], dim) for name in self.missing}
        )
        self.norm = nn.LayerNorm(dim)
        self.attention = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.dropout = nn.Dropout(dropout)

    def forward(self, z: dict[str, torch.Tensor], present: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the fused vector z_ND."""
        kept = self.missing.fill(z, present)
        x_NBD = torch.stack([self.projections[name](one) for name, one in kept.items()], 1)
        mask_NB = torch.stack([present[name] for name in kept], 1)
        # attention over no key at all is NaN; where all are missing, their vectors are attended to
        keys_NB = mask_NB | ~mask_NB.any(1, keepdim=True)
        tokens = self.norm(x_NBD)
        mixed, _ = self.attention(
            tokens, tokens, tokens, key_padding_mask=~keys_NB, need_weights=False
        )
        return (x_NBD + self.dropout(mixed)).flatten(1)

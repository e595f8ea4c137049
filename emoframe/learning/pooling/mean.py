"""Mean pooling over valid tokens (paper section 3.2)."""

from __future__ import annotations

import torch
from torch import nn


class Mean(nn.Module):
    """Averages the valid tokens; a clip without any becomes the zero vector.

    Args:
        in_dim: Width of the tokens.

    Shape:
        h_NSD (N, S, D), mask_NS (N, S) -> z_ND (N, D), weight_NS (N, S)
    """

    def __init__(self, *, in_dim: int) -> None:
        super().__init__()
        self.out_dim = in_dim

    def forward(
        self, h_NSD: torch.Tensor, mask_NS: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the mean, and equal weights over the valid tokens."""
        weight_NS = mask_NS.to(h_NSD) / mask_NS.sum(1, keepdim=True).clamp(min=1)
        # a product with zero would let NaN through; masked tokens are taken out first
        tokens = h_NSD.masked_fill(~mask_NS[..., None], 0)
        return torch.einsum("nsd,ns->nd", tokens, weight_NS), weight_NS

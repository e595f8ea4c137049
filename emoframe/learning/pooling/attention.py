"""Attention pooling: the network says which tokens count (ABMIL, Ilse et al. 2018)."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Gt
from torch import nn


class Attention(nn.Module):
    """Averages the valid tokens with weights softmax(w . tanh(V h)), as ABMIL without its gate.

    A clip without a valid token becomes the zero vector, with weights of zero.

    Args:
        in_dim: Width of the tokens.
        hidden: Width of the layer that scores them.

    Shape:
        h_NSD (N, S, D), mask_NS (N, S) -> z_ND (N, D), weight_NS (N, S)
    """

    def __init__(self, *, in_dim: int, hidden: Annotated[int, Gt(0)] = 128) -> None:
        super().__init__()
        self.out_dim = in_dim
        self.hidden = nn.Linear(in_dim, hidden)
        # softmax is blind to a constant, so that a bias would never learn
        self.score = nn.Linear(hidden, 1, bias=False)

    def forward(
        self, h_NSD: torch.Tensor, mask_NS: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the weighted mean, and the weight of each token."""
        # a product with zero would let NaN through; masked tokens are taken out first
        tokens = h_NSD.masked_fill(~mask_NS[..., None], 0)
        score_NS = self.score(self.hidden(tokens).tanh()).squeeze(-1)
        # softmax over no token at all is NaN; such a clip weighs its padding, and then not at all
        rated_NS = mask_NS | ~mask_NS.any(1, keepdim=True)
        weight_NS = score_NS.masked_fill(~rated_NS, -torch.inf).softmax(1) * mask_NS
        return torch.einsum("nsd,ns->nd", tokens, weight_NS.to(tokens)), weight_NS

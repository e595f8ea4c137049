"""What a sample's weight means, the same for every loss.

Decided here: a weight is relative, so that scaling all of them changes nothing; a sample of weight
0 is not there, whatever it holds, NaN included; a batch without any weight costs 0 and moves
nothing. Costs are computed in single precision at least, which a logarithm needs.
"""

from __future__ import annotations

import torch


def shown(x_ND: torch.Tensor, weight_N: torch.Tensor) -> torch.Tensor:
    """Return x_ND in single precision at least, zero for samples of weight 0.

    A product with a weight of zero would let NaN through, in the loss or in its gradient.
    """
    precise = x_ND.to(torch.promote_types(x_ND.dtype, torch.float32))
    return precise.masked_fill((weight_N == 0)[:, None], 0)


def weighted_mean(loss_N: torch.Tensor, weight_N: torch.Tensor) -> torch.Tensor:
    """Return the mean of loss_N over samples, weighted; 0 where no sample has weight."""
    weight_N = weight_N.to(loss_N.dtype)
    total = weight_N.sum()
    return (loss_N * weight_N).sum() / torch.where(total > 0, total, 1)

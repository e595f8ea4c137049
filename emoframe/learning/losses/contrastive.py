"""Supervised contrastive learning (Khosla et al. 2020; W2S-36), for `model.auxiliary`.

Decided here: a sample of weight w is met w times as often, as anchor, as partner and among the
others; classes are the most probable ones of the targets. Partners are sought within one batch of
one process.
"""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Gt
from torch import nn

from emoframe.learning.losses.weights import shown, weighted_mean
from emoframe.records import Output, Target


class Contrastive(nn.Module):
    """Draws clips of one class together in the fused vector; the classifier learns nothing of it.

    The mean over samples of -log softmax(z_i . z_p / temperature) over the batch without i, z
    normalised, p each other sample of the class of i (their L_out). It is for beside another loss.
    Samples without a partner are left out; a batch in which none has one costs 0. The paper tried
    it in pre-training with a small weight, and did not adopt it (W2S-36: 68.27 against 69.23 %).

    Args:
        temperature: Divides the cosines; the smaller, the more the nearest samples count.

    Shape:
        z_ND (N, D), prob_NK (N, K), weight_N (N,) -> scalar
    """

    def __init__(self, *, temperature: Annotated[float, Gt(0)] = 0.1) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, output: Output, target: Target) -> torch.Tensor:
        """Return the weighted mean loss."""
        z_ND = nn.functional.normalize(shown(output.z_ND, target.weight_N), dim=-1, eps=1e-6)
        with torch.autocast(z_ND.device.type, enabled=False):  # it would halve the precision
            cosine_NN = z_ND @ z_ND.T
        weight_N = target.weight_N.to(z_ND.dtype)
        others_NN = (weight_N > 0) & ~torch.eye(len(z_ND), dtype=torch.bool, device=z_ND.device)
        # a finite score, since softmax over no other at all would be NaN
        score_NN = (cosine_NN / self.temperature + weight_N.log()).masked_fill(
            ~others_NN, torch.finfo(z_ND.dtype).min
        )
        class_N = target.prob_NK.argmax(-1)
        pair_NN = weight_N * ((class_N[:, None] == class_N) & others_NN)
        partners_N = pair_NN.sum(-1)
        cost_NN = -score_NN.log_softmax(-1).masked_fill(~others_NN, 0)
        loss_N = (pair_NN * cost_NN).sum(-1) / torch.where(partners_N > 0, partners_N, 1)
        return weighted_mean(loss_N, weight_N * (partners_N > 0))

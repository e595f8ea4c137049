"""Cross entropy against soft targets with a weight per sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Ge, Lt
from torch import nn

from emoframe.learning.losses.weights import shown, weighted_mean
from emoframe.records import Output, Target


class CrossEntropy(nn.Module):
    """Mean of -sum_k p_k log q_k over samples, weighted.

    Args:
        num_classes: Number of classes K.
        class_counts: Training items of each class.
        label_smoothing: Share of each target that is spread over all classes.
        balanced: Weigh each class by the inverse of its count, mean weight 1 over the training set.

    Shape:
        logits_NK (N, K), prob_NK (N, K), weight_N (N,) -> scalar
    """

    def __init__(
        self,
        *,
        num_classes: int,
        class_counts: Sequence[int],
        label_smoothing: Annotated[float, Ge(0), Lt(1)] = 0.0,
        balanced: bool = False,
    ) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing
        counts = torch.tensor([max(count, 1) for count in class_counts], dtype=torch.float32)
        weight = counts.sum() / (num_classes * counts) if balanced else torch.ones(num_classes)
        self.weight_K: torch.Tensor
        self.register_buffer("weight_K", weight, persistent=False)

    def forward(self, output: Output, target: Target) -> torch.Tensor:
        """Return the weighted mean loss."""
        prob_NK = shown(target.prob_NK, target.weight_N) * (1 - self.label_smoothing) + (
            self.label_smoothing / target.prob_NK.shape[1]
        )
        cost_NK = self.cost(shown(output.logits_NK, target.weight_N).log_softmax(-1))
        return weighted_mean((prob_NK * self.weight_K * cost_NK).sum(-1), target.weight_N)

    def cost(self, log_q_NK: torch.Tensor) -> torch.Tensor:
        """Return -log q, what a class costs that is true; `focal` and `gce` have others."""
        return -log_q_NK

"""The focal loss (Lin et al. 2017; W2S-32): what is already right counts less."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Ge, Lt

from emoframe.learning.losses.cross_entropy import CrossEntropy

LEAST = 1e-12
"""Least 1 - q: below it, a power smaller than one would have no finite slope."""


class Focal(CrossEntropy):
    """Mean of -sum_k p_k (1 - q_k)^gamma log q_k over samples, weighted.

    The paper gives neither gamma nor the class weights (W2S-32); `balanced` weighs classes by the
    inverse of their count. With gamma 0 this is `cross_entropy`.

    Args:
        num_classes: Number of classes K.
        class_counts: Training items of each class.
        gamma: How much less a class counts the more certain it is; 0 counts all alike.
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
        gamma: Annotated[float, Ge(0)] = 2.0,
        label_smoothing: Annotated[float, Ge(0), Lt(1)] = 0.0,
        balanced: bool = False,
    ) -> None:
        super().__init__(
            num_classes=num_classes,
            class_counts=class_counts,
            label_smoothing=label_smoothing,
            balanced=balanced,
        )
        self.gamma = gamma

    def cost(self, log_q_NK: torch.Tensor) -> torch.Tensor:
        """Return -(1 - q)^gamma log q."""
        # 1 - exp(log q) would round to zero for a q near one
        return (-log_q_NK.expm1()).clamp(min=LEAST) ** self.gamma * super().cost(log_q_NK)

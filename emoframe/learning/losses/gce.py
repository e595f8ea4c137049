"""Generalised cross entropy (Zhang & Sabuncu 2018): between cross entropy and absolute error.

A label that contradicts the model pulls less the surer the model is, so that wrong labels are
learned late. Decided here: a soft target is an expectation over its classes; the truncated loss
truncates from the first step on, without the paper's alternating search for samples to prune.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Gt, Le, Lt

from emoframe.learning.losses.cross_entropy import CrossEntropy


class GCE(CrossEntropy):
    """Mean of sum_k p_k (1 - f_k^q) / q over samples, weighted; f_k is the predicted probability.

    With q 1 this is half the absolute error sum_k |p_k - f_k| of a hard label; towards q 0 it
    becomes `cross_entropy`. Truncated, f_k is never taken below `k`: a class that the model thinks
    less likely costs a constant and teaches nothing. The paper truncates after 40 epochs; from the
    start, a `k` of 1/K or more keeps an untrained model from learning most of its samples.

    Args:
        num_classes: Number of classes K.
        class_counts: Training items of each class.
        q: How far from cross entropy: 1 is the absolute error, the most robust and the slowest.
        k: Least probability that is still learned from; null truncates nothing. The paper: 0.5.
        balanced: Weigh each class by the inverse of its count, mean weight 1 over the training set.

    Shape:
        logits_NK (N, K), prob_NK (N, K), weight_N (N,) -> scalar
    """

    def __init__(
        self,
        *,
        num_classes: int,
        class_counts: Sequence[int],
        q: Annotated[float, Gt(0), Le(1)] = 0.7,
        k: Annotated[float, Gt(0), Lt(1)] | None = None,
        balanced: bool = False,
    ) -> None:
        super().__init__(num_classes=num_classes, class_counts=class_counts, balanced=balanced)
        self.q = q
        self.floor = math.log(k) if k else -math.inf

    def cost(self, log_q_NK: torch.Tensor) -> torch.Tensor:
        """Return (1 - f^q) / q of the predicted probabilities f."""
        # 1 - exp(q log f) would round to zero for a small q
        return -(self.q * log_q_NK.clamp(min=self.floor)).expm1() / self.q

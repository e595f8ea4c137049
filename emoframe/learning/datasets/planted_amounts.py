"""Planted amounts: one number per video is all that an input tells of its class.

Decided here: the amount is drawn first, normal about the mean of the video's class, and whatever is
shown afterwards depends on the class through it alone. Nobody can therefore do better on that input
than who knows the amount, whatever the network; with two balanced classes that is Phi(d'/2), where
Phi is the normal distribution function.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import norm


def centres(distance: float, count: int) -> NDArray[np.float64]:
    """Return the mean amount of each class, in a row about 0, (count,).

    Args:
        distance: Of neighbouring classes, in standard deviations of an amount: d'.
        count: Classes.
    """
    return distance * (np.arange(count, dtype=np.float64) - (count - 1) / 2)


class Amounts:
    """The amounts of one input.

    Args:
        distance: Of neighbouring classes: d'; 0 tells nothing.
        count: Classes.
    """

    def __init__(self, distance: float, count: int) -> None:
        self.centres = centres(distance, count)

    def draw(self, generator: np.random.Generator, label: int) -> float:
        """Draw the amount of a video of a class."""
        return float(self.centres[label] + generator.standard_normal())

    def log_likelihood(
        self, amounts: NDArray[np.float64], drawn_for: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return how likely each class makes each amount, (videos, K).

        Args:
            amounts: Of each video, (videos,).
            drawn_for: How often an amount is drawn for each class, (K, K), a row for each true one.
        """
        each = norm.logpdf(amounts[:, None, None] - self.centres)
        return np.asarray(logsumexp(each, axis=2, b=drawn_for))

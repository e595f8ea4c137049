"""Bounds on what a student of weak labels can still get wrong (Lang et al. 2024; specs section 9).

Decided here: they are drawn beside a measurement and never asserted, since what they assume of the
data, expansion, can be estimated at best; where a condition that can be checked fails, the bound is
NaN and not a number that holds by luck. a is the noise rate of the weak labels of one class.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def correction_bound(
    rate: ArrayLike, expansion: float, disagreement: ArrayLike, not_robust: ArrayLike = 0.0
) -> NDArray[np.float64]:
    """Bound the error of a student where it has weak labels (Lang et al. 2024, Th 4.1).

    err(f, y | S_i) <= 2a / (1 - 2a) P(not R | S_i) + err(f, y~ | S_i) + a (1 - 3c/2), provided that
    P(f != y~ or not R | S_i) <= (1 - a + 3ca) / 4, for which the sum of both shares is taken here.
    It also asks for expansion with q < 3/4 (1 - 2a), which only data can show.

    Args:
        rate: Noise rate a of the weak labels of class i, below 1/2.
        expansion: c, how far the good items of the class reach into the bad ones, from 0 to 1.
        disagreement: How often the student contradicts its weak labels.
        not_robust: Share of items where it changes its mind among neighbours.

    Returns:
        The bound; NaN where the theorem is silent.
    """
    rate, apart, weak = np.broadcast_arrays(rate, disagreement, not_robust)
    silent = (rate >= 0.5) | (apart + weak > (1 - rate + 3 * expansion * rate) / 4)
    price = 2 * rate / np.where(silent, 1.0, 1 - 2 * rate)
    return np.where(silent, np.nan, price * weak + apart + rate * (1 - 1.5 * expansion))


def coverage_bound(
    rate: ArrayLike,
    expansion: float,
    disagreement: ArrayLike,
    not_robust: ArrayLike = 0.0,
    least: float = 0.0,
) -> NDArray[np.float64]:
    """Bound the error of a student where it has no weak labels (Lang et al. 2024, Th 4.2).

    err(f, y | T_i) <= (1 + a / (1 - 2a)) P(not R | T_i)
    + max(q, (err(f, y~ | S_i) - c a) / (c (1 - 2a))), provided that
    err(f, y~ | S_i) + P(not R | T_i) < c (1 - q - a).

    Args:
        rate: Noise rate a of the weak labels of class i, below 1/2.
        expansion: c, how far the covered items of the class reach into the others, above 0.
        disagreement: How often the student contradicts its weak labels, where it has them.
        not_robust: Share of the items without weak labels where it changes its mind.
        least: q, the smallest share of items from which expansion holds.

    Returns:
        The bound; NaN where the theorem is silent.
    """
    rate, apart, weak = np.broadcast_arrays(rate, disagreement, not_robust)
    silent = (rate >= 0.5) | (apart + weak >= expansion * (1 - least - rate))
    left = np.where(silent, 1.0, 1 - 2 * rate)
    corrected = np.maximum(least, (apart - expansion * rate) / (expansion * left))
    return np.where(silent, np.nan, (1 + rate / left) * weak + corrected)


def reference_bound(
    rate: ArrayLike, expansion: float, not_robust: float = 0.0
) -> NDArray[np.float64]:
    """Return `correction_bound` for a student that contradicts its labels as the truth does.

    A student is not known before it is trained; that one disagrees with a share a, the least that
    a right one can. The theorem is silent from a = 1 / (5 - 3c) on, and promises less error than
    the teacher's a only where c > 2/3.
    """
    return correction_bound(rate, expansion, rate, not_robust)

"""Intervals around an accuracy, honest about who was measured.

Videos of one person are no independent measurements. Where subjects are known the interval is
cluster-robust (sandwich variance by subject, t with subjects - 1 degrees of freedom); where they
are not, it is Wilson's, and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A share with its 95 % interval.

    Attributes:
        value: The share, in [0, 1].
        low: Lower end.
        high: Upper end.
        method: How the interval was computed, as printed.
    """

    value: float
    low: float
    high: float
    method: str

    def __str__(self) -> str:
        """As in `0.872 [0.811, 0.933]`."""
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def wilson(hits: float, count: float) -> tuple[float, float]:
    """Return Wilson's score interval for `hits` of `count`; both may be means over seeds.

    Source: Wilson 1927; scipy's version takes whole hits only.
    """
    z = float(stats.norm.ppf(0.5 + LEVEL / 2))
    share = hits / count
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * sqrt(share * (1 - share) / count + z * z / (4 * count**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def accuracy_interval(
    correct: NDArray[np.float64], subjects: Sequence[str | None] | None = None
) -> Interval:
    """Return the mean of `correct` with an interval.

    Args:
        correct: 0 or 1 per item, or the mean over seeds, shape (items,); not empty.
        subjects: Who each item shows; clusters the interval where every item has one.
    """
    value, count = float(np.mean(correct)), len(correct)
    known = [subject for subject in subjects or () if subject is not None]
    names, group = np.unique(known, return_inverse=True)
    clusters = len(names)
    if len(known) < count or clusters < 2:
        low, high = wilson(value * count, count)
        why = "all of one subject, so too narrow" if len(known) == count else "subjects are unknown"
        return Interval(value, low, high, f"Wilson over {count} items; {why}")
    residual = np.bincount(group, correct - value)
    error = sqrt(clusters / (clusters - 1) * float((residual**2).sum())) / count
    if error < 1e-9:
        # no variance was seen, which does not mean that there is none
        low, high = wilson(value * clusters, clusters)
        return Interval(value, low, high, f"Wilson over {clusters} subjects")
    half = float(stats.t.ppf(0.5 + LEVEL / 2, clusters - 1)) * error
    return Interval(
        value,
        max(0.0, value - half),
        min(1.0, value + half),
        f"cluster-robust t over {clusters} subjects, {count} items",
    )

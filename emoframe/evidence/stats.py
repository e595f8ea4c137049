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

from emoframe.core.errors import DataError

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A share, or the difference of two, with its 95 % interval.

    Attributes:
        value: The share.
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
        return f"{self.value:z.3f} [{self.low:z.3f}, {self.high:z.3f}]"


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
    group, clusters, unit = _clusters(subjects, count)
    if unit != "subjects":
        low, high = wilson(value * count, count)
        return Interval(value, low, high, f"Wilson over {count} {unit}")
    error = _cluster_error((correct - value) / count, group)
    return _bounded(value, error, clusters, f"{clusters} subjects, {count} items", "cluster-robust")


def balanced_interval(
    correct: NDArray[np.float64],
    labels: NDArray[np.int64],
    subjects: Sequence[str | None] | None = None,
) -> Interval:
    """Return the mean recall over classes with an interval; each class weighs the same.

    Args:
        correct: 0 or 1 per item, or the mean over seeds, shape (items,); not empty.
        labels: Class of each item, shape (items,).
        subjects: Who each item shows; clusters the interval where every item has one and every
            class is shown by several.
    """
    classes, index, size = np.unique(labels, return_inverse=True, return_counts=True)
    recall = np.bincount(index, correct) / size
    group, clusters, unit = _clusters(subjects, len(correct))
    if any(len(np.unique(group[index == k])) < 2 for k in range(len(classes))):
        group, clusters = np.arange(len(correct)), len(correct)
        unit = "items; a class is shown by one subject only, so too narrow"
    residual = (correct - recall[index]) / (len(classes) * size[index])
    return _bounded(
        float(recall.mean()), _cluster_error(residual, group), clusters, f"{clusters} {unit}"
    )


def paired(
    first: NDArray[np.float64],
    other: NDArray[np.float64],
    subjects: Sequence[str | None] | None = None,
) -> tuple[Interval, Interval]:
    """Return how much more often `other` is right than `first`, with two intervals.

    The one over seeds says what another training would give on these very items; the one over
    items says what these trainings would give on other items. Neither holds both. Neither is of
    width zero: an accuracy moves in steps of one item, and a difference that no item showed may
    still be there in three of `items` (the rule of three).

    Args:
        first: 0 or 1 per seed and item, shape (seeds, items); row n of both has the same seed.
        other: The same for the other network.
        subjects: Who each item shows; clusters the interval over items where every item has one.

    Raises:
        DataError: The two were not judged on the same items with the same seeds.
    """
    if first.shape != other.shape:
        raise DataError(
            f"results of {first.shape[0]} seeds on {first.shape[1]} items cannot be paired with "
            f"{other.shape[0]} seeds on {other.shape[1]}; train and test both alike"
        )
    gap = other - first
    value, (seeds, items) = float(gap.mean()), gap.shape
    spread = max(float(gap.mean(1).std(ddof=int(seeds > 1))), 0.5 / items)
    over_seeds = _half_width(spread / sqrt(seeds), seeds)
    group, clusters, unit = _clusters(subjects, items)
    error = max(_cluster_error((gap.mean(0) - value) / items, group), 1.5 / items)
    over_items = _half_width(error, clusters)
    return (
        Interval(value, value - over_seeds, value + over_seeds, f"t over {seeds} seeds"),
        Interval(value, value - over_items, value + over_items, f"t over {clusters} {unit}"),
    )


def _clusters(
    subjects: Sequence[str | None] | None, count: int
) -> tuple[NDArray[np.int64], int, str]:
    """Return the cluster of each item, how many there are, and what they are, in words."""
    known = [subject for subject in subjects or () if subject is not None]
    names, group = np.unique(known, return_inverse=True)
    if len(known) == count and len(names) > 1:
        return group, len(names), "subjects"
    why = "all of one subject, so too narrow" if len(known) == count else "subjects are unknown"
    return np.arange(count), count, f"items; {why}"


def _cluster_error(influence: NDArray[np.float64], group: NDArray[np.int64]) -> float:
    """Return the sandwich standard error of a sum of influences."""
    clusters = int(group.max()) + 1
    total = np.bincount(group, influence)
    return sqrt(clusters / max(clusters - 1, 1) * float((total**2).sum()))


def _half_width(error: float, count: int) -> float:
    """Return half the width of a t interval; infinite where one cluster or seed says nothing."""
    return float(stats.t.ppf(0.5 + LEVEL / 2, count - 1)) * error if count > 1 else float("inf")


def _bounded(value: float, error: float, clusters: int, of: str, how: str = "") -> Interval:
    """Return the t interval of a share; Wilson's where no variance was seen, since it may exist."""
    if error < 1e-9:
        low, high = wilson(value * clusters, clusters)
        return Interval(value, low, high, f"Wilson over {of.split(',')[0]}")
    half = _half_width(error, clusters)
    return Interval(
        value, max(0.0, value - half), min(1.0, value + half), f"{how} t over {of}".strip()
    )

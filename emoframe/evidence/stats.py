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
    group, clusters, known = _clusters(subjects, count)
    if not known or clusters < 2:
        low, high = wilson(value * count, count)
        why = "all of one subject, so too narrow" if known else "subjects are unknown"
        return Interval(value, low, high, f"Wilson over {count} items; {why}")
    error = _cluster_error((correct - value) / count, group)
    if error < 1e-9:
        # no variance was seen, which does not mean that there is none
        low, high = wilson(value * clusters, clusters)
        return Interval(value, low, high, f"Wilson over {clusters} subjects")
    half = _half_width(error, clusters)
    return Interval(
        value,
        max(0.0, value - half),
        min(1.0, value + half),
        f"cluster-robust t over {clusters} subjects, {count} items",
    )


def balanced_interval(
    correct: NDArray[np.float64],
    labels: NDArray[np.int64],
    subjects: Sequence[str | None] | None = None,
) -> Interval:
    """Return the mean recall over classes with an interval; each class weighs the same.

    Args:
        correct: 0 or 1 per item, shape (items,); not empty.
        labels: Class of each item, shape (items,).
        subjects: Who each item shows; clusters the interval where every item has one.
    """
    classes, index, size = np.unique(labels, return_inverse=True, return_counts=True)
    recall = np.bincount(index, correct) / size
    value = float(recall.mean())
    group, clusters, known = _clusters(subjects, len(correct))
    if not known or clusters < 2:
        group, clusters = np.arange(len(correct)), len(correct)
    residual = (correct - recall[index]) / (len(classes) * size[index])
    half = _half_width(_cluster_error(residual, group), clusters) if clusters > 1 else 1.0
    unit = "subjects" if known else "items; subjects are unknown"
    return Interval(
        value, max(0.0, value - half), min(1.0, value + half), f"t over {clusters} {unit}"
    )


def paired(
    first: NDArray[np.float64],
    other: NDArray[np.float64],
    subjects: Sequence[str | None] | None = None,
) -> tuple[Interval, Interval]:
    """Return how much more often `other` is right than `first`, with two intervals.

    The one over seeds says what another training would give on these very items; the one over
    items says what these trainings would give on other items. Neither holds both.

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
    value = float(gap.mean())
    seeds, items = gap.shape
    # an accuracy moves in steps of one item: less spread than half a step was not measured
    spread = max(float(gap.mean(1).std(ddof=int(seeds > 1))), 0.5 / items)
    over_seeds = _half_width(spread / sqrt(seeds), seeds)
    group, clusters, known = _clusters(subjects, items)
    if not known or clusters < 2:
        group, clusters = np.arange(items), items
    over_items = _half_width(_cluster_error((gap.mean(0) - value) / items, group), clusters)
    return (
        Interval(value, value - over_seeds, value + over_seeds, f"t over {seeds} seeds"),
        Interval(
            value,
            value - over_items,
            value + over_items,
            f"t over {clusters} {'subjects' if known else 'items'}",
        ),
    )


def _clusters(
    subjects: Sequence[str | None] | None, count: int
) -> tuple[NDArray[np.int64], int, bool]:
    """Return the cluster of each item, how many there are, and whether every item has one."""
    known = [subject for subject in subjects or () if subject is not None]
    names, group = np.unique(known, return_inverse=True)
    return group, len(names), len(known) == count


def _cluster_error(influence: NDArray[np.float64], group: NDArray[np.int64]) -> float:
    """Return the sandwich standard error of a sum of influences."""
    clusters = int(group.max()) + 1
    total = np.bincount(group, influence)
    return sqrt(clusters / max(clusters - 1, 1) * float((total**2).sum()))


def _half_width(error: float, count: int) -> float:
    """Return half the width of a t interval; infinite where one cluster or seed says nothing."""
    return float(stats.t.ppf(0.5 + LEVEL / 2, count - 1)) * error if count > 1 else float("inf")

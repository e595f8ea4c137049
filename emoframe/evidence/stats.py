"""Intervals around an accuracy, honest about who was measured.

Videos of one person are no independent measurements. Decided here: where subjects are known the
error is cluster-robust (sandwich variance by subject) and the interval is Wilson's score form with
the effective number of items that the error stands for, at t with effective subjects - 1 degrees of
freedom (Korn and Graubard 1998; Franco et al. 2019); where they are not, it is plain Wilson, and
says so. By `benchmarks/coverage.py` this holds the truth about as often as a bootstrap-t does,
does without random draws, and still works for six people. What is not a mean is left to the
jackknife of `grouped.py`, which takes its clusters, error and interval from here.
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
Subjects = Sequence[str | None]


class NotMeasurableError(DataError):
    """So few items or subjects that a number would say nothing; the message says which."""


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


def wilson(hits: float, count: float, quantile: float | None = None) -> tuple[float, float]:
    """Return Wilson's score interval for `hits` of `count`; both may be means over seeds.

    Source: Wilson 1927; scipy's version takes whole hits only.

    Args:
        hits: How many are right.
        count: Of how many.
        quantile: Of the distribution of the error; None takes the normal's.
    """
    z = float(stats.norm.ppf(0.5 + LEVEL / 2)) if quantile is None else quantile
    share = hits / count
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * sqrt(share * (1 - share) / count + z * z / (4 * count**2))
    # rounding must not put the share itself outside
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


def grouped(subjects: Subjects) -> tuple[NDArray[np.int64], int]:
    """Number the subject of each item, (N,), and count them; an unknown one is its own subject."""
    names = [f"item {n}" if one is None else f"of {one}" for n, one in enumerate(subjects)]
    known, group = np.unique(names, return_inverse=True)
    return group.astype(np.int64), len(known)


def cluster_error(influence: NDArray[np.float64], group: NDArray[np.int64]) -> float:
    """Return the sandwich standard error of a sum, with its small-sample factor C / (C - 1).

    Args:
        influence: What each item adds to the sum, its mean taken off, (N,).
        group: Cluster of each item, counted from 0, (N,).
    """
    total = np.bincount(group, influence)
    return sqrt(len(total) / max(len(total) - 1, 1) * float((total**2).sum()))


def effective(group: NDArray[np.int64]) -> float:
    """Return how many clusters of equal size tell as much as these (Kish 1965).

    A variance that hangs on a few large subjects is known with their few degrees of freedom.

    Args:
        group: Cluster of each item, counted from 0, (N,).
    """
    sizes = np.bincount(group)
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def freedom(count: float) -> float:
    """Return the degrees of freedom of so many effective clusters, at least 1."""
    return max(count - 1, 1.0)


def half_width(error: float, count: float) -> float:
    """Return half the width of a t interval; infinite where one cluster or seed says nothing."""
    return (
        float(stats.t.ppf(0.5 + LEVEL / 2, freedom(count))) * error if count > 1 else float("inf")
    )


def share_interval(value: float, error: float, count: float, method: str) -> Interval:
    """Return the interval of a share: Wilson's, of as many items as its error stands for, at t.

    Args:
        value: The share.
        error: Its standard error. Where that is 0, the effective clusters are the items, since a
            variance that was not seen may be there.
        count: Effective clusters; of a single one, Wilson's normal quantile is taken.
        method: How and over what, as in `cluster-robust t over 3 subjects`.
    """
    varied = error > 1e-9 and 0 < value < 1
    items = value * (1 - value) / error**2 if varied else count
    low, high = wilson(value * items, items, half_width(1.0, count) if count > 1 else None)
    return Interval(value, low, high, method if varied else f"{method}; nothing varied")


def bounded(
    value: float, error: float, count: float, method: str, within: tuple[float, float]
) -> Interval:
    """Return the t interval of what lies within bounds and is no share.

    Args:
        value: What was measured.
        error: Its standard error; where that is 0, the interval is that of a share on this scale.
        count: Effective clusters, more than 1.
        method: How and over what, as in `jackknife over 3 subjects`.
        within: What the value cannot leave.
    """
    low, high = within
    if error < 1e-9:
        size = high - low
        share = min(max((value - low) / size, 0.0), 1.0)
        found = share_interval(share, 0.0, count, method)
        return Interval(value, low + found.low * size, low + found.high * size, found.method)
    half = half_width(error, count)
    return Interval(value, max(low, value - half), min(high, value + half), method)


def accuracy_interval(correct: NDArray[np.float64], subjects: Subjects | None = None) -> Interval:
    """Return the mean of `correct` with an interval.

    Args:
        correct: 0 or 1 per item, or the mean over seeds, shape (items,).
        subjects: Who each item shows; clusters the interval where every item has one.

    Raises:
        NotMeasurableError: There is no item.
    """
    _refuse_none(correct)
    value, count = float(np.mean(correct)), len(correct)
    group, clusters, unit = _clusters(subjects, count)
    if unit != "subjects":
        low, high = wilson(value * count, count)
        return Interval(value, low, high, f"Wilson over {count} {unit}")
    error = cluster_error((correct - value) / count, group)
    of = f"{clusters} subjects ({count} items)"
    return share_interval(value, error, effective(group), f"cluster-robust t over {of}")


def balanced_interval(
    correct: NDArray[np.float64], labels: NDArray[np.int64], subjects: Subjects | None = None
) -> Interval:
    """Return the mean recall over classes with an interval; each class weighs the same.

    Args:
        correct: 0 or 1 per item, or the mean over seeds, shape (items,).
        labels: Class of each item, shape (items,).
        subjects: Who each item shows; clusters the interval where every item has one and every
            class is shown by several.

    Raises:
        NotMeasurableError: There is no item.
    """
    _refuse_none(correct)
    classes, index, size = np.unique(labels, return_inverse=True, return_counts=True)
    recall = np.bincount(index, correct) / size
    group, clusters, unit = _clusters(subjects, len(correct))
    if any(len(np.unique(group[index == k])) < 2 for k in range(len(classes))):
        group, clusters = np.arange(len(correct)), len(correct)
        unit = "items; a class is shown by one subject only, so too narrow"
    if len(classes) == 1:
        unit += "; of one class only, so it is that one's recall"
    residual = (correct - recall[index]) / (len(classes) * size[index])
    error, value = cluster_error(residual, group), float(recall.mean())
    return share_interval(value, error, effective(group), f"t over {clusters} {unit}")


def paired(
    first: NDArray[np.float64], other: NDArray[np.float64], subjects: Subjects | None = None
) -> tuple[Interval, Interval]:
    """Return how much more often `other` is right than `first`, with two intervals.

    The one over seeds says what another training would give on these very items; the one over
    items says what these trainings would give on other items. Neither holds both. Neither is of
    width zero: an accuracy moves in steps of one item.

    Args:
        first: 0 or 1 per seed and item, shape (seeds, items); row n of both has the same seed.
        other: The same for the other network.
        subjects: Who each item shows; clusters the interval over items where every item has one.

    Raises:
        DataError: The two were not judged on the same items with the same seeds.
        NotMeasurableError: There is no item.
    """
    if first.shape != other.shape:
        raise DataError(
            f"results of {first.shape[0]} seeds on {first.shape[1]} items cannot be paired with "
            f"{other.shape[0]} seeds on {other.shape[1]}; train and test both alike"
        )
    gap = other - first
    _refuse_none(gap.ravel())
    value, (seeds, items) = float(gap.mean()), gap.shape
    spread = max(float(gap.mean(1).std(ddof=int(seeds > 1))), 0.5 / items)
    over_seeds = half_width(spread / sqrt(seeds), seeds)
    error, clusters, of = paired_error(gap.mean(0), subjects)
    over_items = half_width(error, clusters)
    return (
        Interval(value, value - over_seeds, value + over_seeds, f"t over {seeds} seeds"),
        Interval(value, value - over_items, value + over_items, f"t over {of}"),
    )


def paired_error(
    gap: NDArray[np.float64], subjects: Subjects | None = None
) -> tuple[float, float, str]:
    """Return the standard error of a mean paired difference, its effective clusters, and of what.

    It is never 0: a difference that no item showed may still be there in three of `items` (the
    rule of three).

    Args:
        gap: Difference by item, or its mean over seeds, (items,).
        subjects: Who each item shows; clusters the error where every item has one.
    """
    group, clusters, unit = _clusters(subjects, len(gap))
    error = cluster_error((gap - gap.mean()) / len(gap), group)
    return max(error, 1.5 / len(gap)), effective(group), f"{clusters} {unit}"


def _clusters(subjects: Subjects | None, count: int) -> tuple[NDArray[np.int64], int, str]:
    """Return the cluster of each item, how many there are, and what they are, in words."""
    given = [None] * count if subjects is None else subjects
    group, clusters = grouped(given)
    if None in given or clusters < 2:
        why = "subjects are unknown" if None in given else "all of one subject, so too narrow"
        return np.arange(count), count, f"items; {why}"
    return group, clusters, "subjects"


def _refuse_none(values: NDArray[np.float64]) -> None:
    if not len(values):
        raise NotMeasurableError("there is no item to measure")

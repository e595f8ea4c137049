"""Intervals and fits that keep the videos of one person together.

Decided here: any statistic gets its interval by leaving out one subject after the other (delete-one
jackknife, Efron and Stein 1981), and whatever is fitted is judged on subjects that it was not
fitted on. An item without a subject is a subject of its own. What so few items cannot tell is a
sentence, never NaN. Clusters, errors and the interval itself are those of `stats.py`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from emoframe.evidence.stats import (
    Interval,
    NotMeasurableError,
    Subjects,
    accuracy_interval,
    bounded,
    cluster_error,
    effective,
    grouped,
)

FOLDS, MOST = 5, 200
Fold = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Items to fit on, items to judge."""
Told: TypeAlias = "Interval | str"
"""A number with its interval, or why there is none."""
T = TypeVar("T")


def told(measure: Callable[[], T]) -> T | str:
    """Measure, or say why that is not possible."""
    try:
        return measure()
    except NotMeasurableError as error:
        return f"not measurable: {error}"


def jackknife(
    statistic: Callable[[NDArray[np.int64]], float],
    subjects: Subjects,
    within: tuple[float, float] = (0.0, 1.0),
) -> Interval:
    """Return a statistic of some items with an interval.

    Args:
        statistic: Takes the numbers of the items that count.
        subjects: Who each item shows. More than 200 are left out in 200 random groups
            (delete-a-group jackknife, Kott 2001).
        within: What the statistic cannot leave. Where leaving a subject out changes nothing, the
            interval is as wide as Wilson's on this scale, since a variance may be there unseen.

    Raises:
        NotMeasurableError: There are fewer than two subjects, or it hangs on a single one.
    """
    group, count = grouped(subjects)
    if count < 2:
        raise NotMeasurableError(f"{_counted(len(subjects), 'item')} of {_counted(count)}")
    who = f"{count} subjects" if any(one is not None for one in subjects) else f"{count} items"
    if count > MOST:
        group, who = np.random.default_rng(0).permutation(count)[group] % MOST, f"{who}, in groups"
    left_out = range(min(count, MOST))
    value = statistic(np.arange(len(group)))
    left = np.array([statistic(np.flatnonzero(group != one)) for one in left_out])
    if not isfinite(value) or not np.isfinite(left).all():
        raise NotMeasurableError("it hangs on the items of a single subject")
    influence = (left.mean() - left) * (1 - 1 / len(left))
    error = cluster_error(influence, np.array(left_out))
    return bounded(value, error, effective(group), f"jackknife over {who}", within)


def share_of(hits: NDArray[np.float64], subjects: Subjects) -> Told:
    """Return a share with its interval, or that there is too little for one."""
    if len(hits) < 2:
        return f"not measurable: {len(hits)} item{'' if len(hits) == 1 else 's'}"
    return accuracy_interval(hits, subjects)


def difference(right: NDArray[np.float64], one: NDArray[np.bool_], subjects: Subjects) -> Interval:
    """Return the mean of `right` over the items of `one` less that over the others.

    Raises:
        NotMeasurableError: Either has fewer than two items, or hangs on a single subject.
    """
    if min(int(one.sum()), int((~one).sum())) < 2:
        raise NotMeasurableError(f"{int(one.sum())} against {int((~one).sum())} items")

    def gap(items: NDArray[np.int64]) -> float:
        first, other = right[items][one[items]], right[items][~one[items]]
        return float(first.mean() - other.mean()) if len(first) and len(other) else float("nan")

    return jackknife(gap, subjects, (-1.0, 1.0))


def folds(labels: NDArray[np.int64], subjects: Subjects, most: int = FOLDS) -> list[Fold]:
    """Cut items into folds by subject, classes spread evenly; the same cut every time.

    Args:
        labels: Class of each item, (N,).
        subjects: Who each item shows.
        most: Folds at most; as many as the rarest class has items, or as there are subjects.

    Raises:
        NotMeasurableError: There are too few items of a class, or too few subjects.
    """
    group, count = grouped(subjects)
    sizes = np.unique(labels, return_counts=True)[1]
    if len(sizes) < 2 or sizes.min() < 2:
        raise NotMeasurableError(
            f"cross-fitting needs two items of each of two classes, and there are "
            f"{', '.join(map(str, sizes)) or 'none'}"
        )
    if count < 2:
        raise NotMeasurableError("cross-fitting needs two subjects, and there is one")
    number = min(most, count, int(sizes.min()))
    splitter = StratifiedGroupKFold(number, shuffle=True, random_state=0)
    with warnings.catch_warnings():  # of a class that is rarer than folds, which is looked at below
        warnings.simplefilter("ignore", UserWarning)
        found = [*splitter.split(np.zeros(len(labels)), labels, group)]
    if any(len(np.unique(labels[train])) < len(sizes) for train, _ in found):
        raise NotMeasurableError("a class is shown by too few subjects to be fitted on others")
    return [(train, held) for train, held in found if len(held)]


def cross_fitted(
    fit: Callable[[NDArray[np.int64]], Callable[[NDArray[np.int64]], NDArray[Any]]],
    cut: Sequence[Fold],
) -> NDArray[Any]:
    """Return what is said of each item by a fit on other subjects, (N, ...).

    Args:
        fit: Takes the items to fit on, and returns what judges items.
        cut: What `folds` returned.
    """
    parts = [(held, fit(train)(held)) for train, held in cut]
    shape = (sum(len(held) for held, _ in parts), *parts[0][1].shape[1:])
    whole = np.zeros(shape, parts[0][1].dtype)
    for held, part in parts:
        whole[held] = part
    return whole


def _counted(count: int, what: str = "subject") -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"

"""Whether stated confidences are true, and what makes them so.

Decided here: what is judged is the share of what was stated (confidences need not sum to 1); the
calibration error (ECE) has 15 bins of equal mass, because a model that speaks its confidences says
the same few numbers again and again, which leaves most bins of equal width empty; who states the
same is in one bin. An ECE of few items is above 0 for whoever is perfectly calibrated, so it stands
beside what such a one would show on these very confidences. Calibrators are fitted on other
subjects than they are judged on; of two classes on P(the second), of more on each against the
rest, and then made to sum to 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from emoframe.evidence.grouped import (
    NotMeasurableError,
    Subjects,
    Told,
    cross_fitted,
    folds,
    jackknife,
    told,
)
from emoframe.evidence.labels.labelled import Material
from emoframe.evidence.stats import Interval, accuracy_interval

Method = Literal["isotonic", "platt"]
METHODS: tuple[Method, ...] = ("isotonic", "platt")
BINS, DRAWS, EDGE = 15, 1000, 1e-3
DRAWN = 10
"""Least items of a bin that is drawn: an interval of fewer spans nearly everything."""
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Stated:
    """Confidences of items, and what is true.

    Attributes:
        items: Id of each item.
        share_NK: What was stated of each class, as shares that sum to 1.
        gold_N: True class.
        subjects: Who each item shows.
    """

    items: list[str]
    share_NK: Array
    gold_N: NDArray[np.int64]
    subjects: Subjects

    @property
    def sure(self) -> Array:
        """Confidence of the class that is held most likely, (N,)."""
        return self.share_NK.max(1)

    @property
    def right(self) -> Array:
        """1 where that class is the true one, (N,)."""
        return (self.share_NK.argmax(1) == self.gold_N).astype(float)


@dataclass(frozen=True)
class Bin:
    """Items that are stated about equally sure.

    Attributes:
        sure: Mean confidence.
        right: How often they are right, with its interval.
        count: Number of items.
    """

    sure: float
    right: Interval
    count: int


@dataclass(frozen=True)
class Calibration:
    """How true confidences are.

    Attributes:
        name: `as stated`, or what they were mended by.
        count: Number of items.
        ece: Expected calibration error of the most likely class.
        perfect: ECE of who is perfectly calibrated, on these confidences: mean and 95 % quantile.
        brier: Squared distance from the truth, summed over classes, mean over items; in [0, 2].
        accuracy: How often the most likely class is right.
        bins: The reliability diagram.
        share: Confidence of each class by item, (K,); held out where it was fitted.
    """

    name: str
    count: int
    ece: Told
    perfect: tuple[float, float]
    brier: Told
    accuracy: Told
    bins: tuple[Bin, ...]
    share: dict[str, list[float]]


def stated(material: Material) -> Stated:
    """Return the confidences of those items that have some, abstentions with some included.

    Raises:
        NotMeasurableError: There are fewer than two such items.
    """
    found = [
        (row, np.array(row.label.confidence))
        for row in material.rows
        if row.label is not None and row.label.confidence and sum(row.label.confidence) > 0
    ]
    if len(found) < 2:
        raise NotMeasurableError(f"{len(found)} items state confidences")
    return Stated(
        [row.item for row, _ in found],
        np.array([one / one.sum() for _, one in found]),
        np.array([row.gold for row, _ in found], np.int64),
        [row.subject for row, _ in found],
    )


def edges(sure_N: Array, bins: int = BINS) -> NDArray[np.int64]:
    """Return the bin of each item, (N,): of equal mass, equal confidences in the same one."""
    inner = np.unique(np.quantile(sure_N, np.linspace(0, 1, bins + 1)[1:-1]))
    return np.unique(np.searchsorted(inner, sure_N, "right"), return_inverse=True)[1]


def widths(sure_N: Array, bins: int = BINS) -> NDArray[np.int64]:
    """Return the bin of each item, (N,): of equal width from 0 to 1, its upper end in it."""
    return np.clip(np.ceil(sure_N * bins) - 1, 0, bins - 1).astype(np.int64)


def ece(
    sure_N: Array, right_N: Array, bins: int = BINS, cut: Literal["mass", "width"] = "mass"
) -> float:
    """Return the mean distance between how sure and how often right, over bins weighted by size.

    Args:
        sure_N: Confidence in what was named.
        right_N: 1 where that is right.
        bins: How many.
        cut: Bins of equal mass, or of equal width, as papers have them for networks (Guo et al.
            2017).
    """
    group = edges(sure_N, bins) if cut == "mass" else widths(sure_N, bins)
    return float(np.abs(np.bincount(group, sure_N - right_N)).sum() / len(sure_N))


def perfect_ece(sure_N: Array, bins: int = BINS) -> tuple[float, float]:
    """Return mean and 95 % quantile of the ECE of somebody who is right as often as stated."""
    group = edges(sure_N, bins)
    drawn = np.random.default_rng(0).random((DRAWS, len(sure_N))) < sure_N
    off = np.stack([np.bincount(group, sure_N - one) for one in drawn])
    found = np.abs(off).sum(1) / len(sure_N)
    return float(found.mean()), float(np.quantile(found, 0.95))


def brier(share_NK: Array, gold_N: NDArray[np.int64]) -> float:
    """Return the Brier score over all classes, in [0, 2] (Brier 1950)."""
    truth = np.eye(share_NK.shape[1])[gold_N]
    return float(((share_NK - truth) ** 2).sum(1).mean())


def judge(name: str, given: Stated) -> Calibration:
    """Say how true confidences are; what is drawn has fewer bins where items are few."""
    group = edges(given.sure, min(BINS, max(1, len(given.sure) // DRAWN)))
    bins = [
        Bin(float(given.sure[of].mean()), _right(given, of), int(of.sum()))
        for of in (group == n for n in range(group.max() + 1))
    ]
    sure, right = given.sure, given.right
    error = told(lambda: jackknife(lambda of: ece(sure[of], right[of]), given.subjects))
    score = told(
        lambda: jackknife(
            lambda of: brier(given.share_NK[of], given.gold_N[of]), given.subjects, (0.0, 2.0)
        )
    )
    return Calibration(
        name, len(sure), error, perfect_ece(sure), score,
        accuracy_interval(right, given.subjects), tuple(bins),
        {item: row.tolist() for item, row in zip(given.items, given.share_NK, strict=True)},
    )  # fmt: skip


def calibrator(
    method: Method, score_N: Array, true_N: NDArray[np.bool_]
) -> Callable[[Array], Array]:
    """Fit what turns the score of a class into its probability.

    Args:
        method: `isotonic` rises in steps; `platt` is a logistic curve over log odds, fitted to
            Platt's softened targets (Platt 1999), so that it is defined where all are right.
        score_N: Scores in [0, 1].
        true_N: Whether the class is the true one.
    """
    if method == "isotonic":
        rising = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(score_N, true_N)
        return rising.predict
    hits, misses = int(true_N.sum()), int((~true_N).sum())
    target = np.where(true_N, (hits + 1) / (hits + 2), 1 / (misses + 2))
    odds, twice = _odds(score_N), np.repeat([1, 0], len(score_N))
    curve = LogisticRegression(C=np.inf, max_iter=1000)
    curve.fit(np.vstack([odds, odds]), twice, sample_weight=np.concatenate([target, 1 - target]))
    return lambda scores: curve.predict_proba(_odds(scores))[:, 1]


def calibrated(given: Stated, method: Method) -> Stated:
    """Return held-out probabilities: each item's is fitted on other subjects.

    Raises:
        NotMeasurableError: A class or the subjects are too few to fit on some and judge others.
    """
    classes = given.share_NK.shape[1]
    first = int(classes == 2)  # of two classes one says all
    columns = [_class(given, k, method) for k in range(first, classes)]
    share = np.stack([1 - columns[0], columns[0]] if first else columns, axis=1)
    total = share.sum(1, keepdims=True)
    share = np.where(total > 0, share / np.where(total > 0, total, 1), 1 / classes)
    return Stated(given.items, share, given.gold_N, given.subjects)


def shifted(share_NK: Array, before: Array, after: Array) -> Array:
    """Return probabilities for another prior of the classes (Saerens, Latinne, Decaestecker 2002).

    Args:
        share_NK: Probabilities under the prior `before`.
        before: Shares of the classes, (K,), none 0.
        after: The prior that counts.
    """
    moved = share_NK * (after / before)
    total = moved.sum(1, keepdims=True)
    return np.where(total > 0, moved / np.where(total > 0, total, 1), after)


def _class(given: Stated, k: int, method: Method) -> Array:
    true, score = given.gold_N == k, given.share_NK[:, k]

    def fit(train: NDArray[np.int64]) -> Callable[[NDArray[np.int64]], NDArray[Any]]:
        mend = calibrator(method, score[train], true[train])
        return lambda held: mend(score[held])

    return cross_fitted(fit, folds(true.astype(np.int64), given.subjects))


def _right(given: Stated, of: NDArray[np.bool_]) -> Interval:
    subjects = [one for one, inside in zip(given.subjects, of, strict=True) if inside]
    return accuracy_interval(given.right[of], subjects)


def _odds(score_N: Array) -> Array:
    clipped = np.clip(score_N, EDGE, 1 - EDGE)
    return np.log(clipped / (1 - clipped))[:, None]

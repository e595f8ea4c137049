"""Where probability becomes a decision, chosen on items that the decision is not judged on.

Decided here: whatever is fitted to predictions (a threshold, a share of the classes, a temperature)
is a rule that is fitted on some labelled predictions and applied to others, so that all of them are
nested in the same way: labels of the subjects of the other folds alone decide on this one. A
decision at another threshold is written as probabilities that were moved there, so that every
table, test and figure reads it like any other. Thresholds and quantiles are of two classes. The
quantile of the paper (W2S-38), whose share was found by submissions, here takes its share from
labelled items; it stands beside what corrects the prior instead (`prior_shift.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from emoframe.core.errors import DataError, suggest
from emoframe.evidence.grouped import FOLDS, Told, folds, told
from emoframe.evidence.labels.calibrate import shifted
from emoframe.evidence.prior_shift import Method, corrector
from emoframe.evidence.stats import Interval, accuracy_interval, balanced_interval
from emoframe.evidence.tables.judged import Judged
from emoframe.records import Prediction

Metric = Literal["accuracy", "balanced_accuracy"]
Judge: TypeAlias = Callable[[Sequence[Prediction]], list[Prediction]]
"""Turns predictions into others of the same items."""
Rule: TypeAlias = Callable[[Sequence[Prediction]], Judge]
"""Is fitted on labelled predictions of who did not learn from these items."""
Array = NDArray[np.float64]
EDGE, LEAST = 1e-6, 1e-12
"""Least distance of a threshold from 0 and 1; least probability whose logarithm is taken."""
COLDEST, HOTTEST = 0.05, 20.0


@dataclass(frozen=True)
class Threshold:
    """The probability of the second class from which on it is named.

    Attributes:
        value: The threshold.
        metric: What it makes largest.
        apparent: That on the very items that it was chosen on.
        nested: The same where it is chosen on the other subjects, or why that cannot be done.
        optimism: How much choosing flatters, `apparent` less `nested`; None where not measurable.
    """

    value: float
    metric: Metric
    apparent: float
    nested: Told
    optimism: float | None


def best_threshold(predictions: Sequence[Prediction], metric: Metric = "accuracy") -> Threshold:
    """Choose a threshold, and say what it is worth on other subjects.

    Args:
        predictions: Of two classes, labelled, by who did not learn from these items.
        metric: What is made largest; of equally good thresholds the one next to .5 is taken.

    Raises:
        DataError: There is none with a label, they are of one class, or not of two classes.
    """
    labelled = _labelled(predictions)
    value = _best(labelled, metric)
    apparent = _measured(at_threshold(labelled, value), metric).value
    nested = told(lambda: _measured(_nested(labelled, threshold(metric)), metric))
    optimism = apparent - nested.value if isinstance(nested, Interval) else None
    return Threshold(value, metric, apparent, nested, optimism)


def quantile_threshold(predictions: Sequence[Prediction], share: float) -> float:
    """Return the threshold at which a share of these items is taken for the second class (W2S-38).

    Args:
        predictions: Of two classes; no label is looked at.
        share: In [0, 1].

    Raises:
        DataError: There is no item, it is no share, or they are not of two classes.
    """
    if not predictions or not 0 <= share <= 1:
        raise DataError(f"a share of {share:g} of {len(predictions)} items cannot be named")
    score = np.sort(_second(predictions))
    count = len(score) - round(share * len(score))
    around = np.concatenate([[0.0], score, [1.0]])[count : count + 2]
    return float(np.clip(around.mean(), EDGE, 1 - EDGE))


def at_threshold(predictions: Sequence[Prediction], threshold: float) -> list[Prediction]:
    """Return predictions moved so that the second class is named above a threshold.

    The odds are those for a share of one half where the threshold was the share before.

    Args:
        predictions: Of two classes.
        threshold: In (0, 1); .5 changes nothing.
    """
    _second(predictions)
    return _moved(
        predictions,
        lambda p: shifted(p, np.array([1 - threshold, threshold]), np.full(2, 0.5)),
    )


def temperature_of(predictions: Sequence[Prediction]) -> float:
    """Return the temperature by which log probabilities are divided (Guo et al. 2017).

    It makes the negative log-likelihood of the labels smallest, between 0.05 and 20: above 1 for
    who is too sure. No decision changes by it.

    Args:
        predictions: Labelled, of validation or out of fold.

    Raises:
        DataError: There is none with a label.
    """
    labelled = _labelled(predictions)
    logs = np.log(np.clip([one.probability for one in labelled], LEAST, None))
    labels = [one.label for one in labelled]

    def loss(log_temperature: float) -> float:
        found = log_softmax(logs / np.exp(log_temperature), axis=1)
        return -float(found[np.arange(len(labels)), labels].mean())

    bounds = (np.log(COLDEST), np.log(HOTTEST))
    found: Any = minimize_scalar(loss, bounds=bounds, method="bounded")
    return float(np.exp(found.x))


def scaled(predictions: Sequence[Prediction], temperature: float) -> list[Prediction]:
    """Return predictions at a temperature, see `temperature_of`."""
    return _moved(
        predictions, lambda p: softmax(np.log(np.clip(p, LEAST, None)) / temperature, axis=1)
    )


def threshold(metric: Metric) -> Rule:
    """Return the rule of the best threshold."""
    return lambda known: partial(at_threshold, threshold=_best(known, metric))


def quantile(share: float | None = None) -> Rule:
    """Return the rule of the quantile; None takes the share of the labelled items."""

    def rule(known: Sequence[Prediction]) -> Judge:
        of = float(np.mean([one.label == 1 for one in known])) if share is None else share
        return lambda others: at_threshold(others, quantile_threshold(others, of))

    return rule


def prior(method: Method) -> Rule:
    """Return the rule that finds the classes' shares among the items and corrects for them."""

    def rule(known: Sequence[Prediction]) -> Judge:
        correct = corrector(
            np.array([one.probability for one in known], float),
            np.array([one.label for one in known], np.int64),
            [one.subject for one in known],
            method,
        )
        return lambda others: _moved(others, lambda p: correct(p).probability)

    return rule


def temperature() -> Rule:
    """Return the rule of the temperature."""
    return lambda known: partial(scaled, temperature=temperature_of(known))


RULES: dict[str, Callable[[], Rule]] = {
    "threshold": lambda: threshold("accuracy"),
    "balanced threshold": lambda: threshold("balanced_accuracy"),
    "quantile": quantile,
    "prior by EM": lambda: prior("em"),
    "prior by BBSE": lambda: prior("bbse"),
    "temperature": temperature,
}
"""What can be fitted to predictions, by name."""


def decided(judged: Judged, rule: str) -> Judged:
    """Return predictions after a rule that was fitted on other subjects, seed by seed.

    Args:
        judged: Labelled predictions, each by who did not learn from the item.
        rule: One of `RULES`.

    Raises:
        DataError: There is no such rule, or the predictions cannot be cut, or it does not apply.
    """
    if rule not in RULES:
        known = ", ".join(RULES)
        raise DataError(f"there is no rule {rule!r}{suggest(rule, [*RULES])} (there are {known})")
    told = [_nested(_labelled(seed), RULES[rule]()) for seed in judged.predictions]
    return replace(judged, name=f"{judged.name}, {rule}", predictions=told)


def _nested(predictions: Sequence[Prediction], rule: Rule) -> list[Prediction]:
    """Fit on the subjects of the other folds, and apply on those of this one.

    What looks at many items without a label, such as a quantile, is shown all of them: a share
    that is found in a fifth of the items would be five times as uncertain.
    """
    labels = np.array([one.label for one in predictions], np.int64)
    found: dict[int, Prediction] = {}
    for train, held in folds(labels, [one.subject for one in predictions], FOLDS):
        judged = rule([predictions[n] for n in train])(predictions)
        found |= {n: judged[n] for n in held.tolist()}
    return [found[n] for n in sorted(found)]


def _best(known: Sequence[Prediction], metric: Metric) -> float:
    """Return the threshold with the largest metric; of several the one next to .5."""
    score, second = _second(known), np.array([one.label == 1 for one in known])
    if second.all() or not second.any():
        raise DataError(f"all {len(known)} items are of one class; no threshold can be chosen")
    values, index = np.unique(score, return_inverse=True)
    above = np.concatenate([[0], np.cumsum(np.bincount(index, second))])  # named the first
    below = np.concatenate([[0], np.cumsum(np.bincount(index, ~second))])
    hits, rejected = second.sum() - above, below
    if metric == "accuracy":
        worth = (hits + rejected) / len(known)
    else:
        worth = (hits / second.sum() + rejected / (~second).sum()) / 2
    low, high = np.concatenate([[0.0], values]), np.concatenate([values, [1.0]])
    between = np.where((low < 0.5) & (high > 0.5), 0.5, (low + high) / 2)
    best = between[worth >= worth.max() - LEAST]
    nearest = best[np.argmin(np.abs(best - 0.5))]
    return float(np.clip(nearest, EDGE, 1 - EDGE))


def _measured(predictions: Sequence[Prediction], metric: Metric) -> Interval:
    right = np.array([one.predicted == one.label for one in predictions], float)
    subjects = [one.subject for one in predictions]
    if metric == "accuracy":
        return accuracy_interval(right, subjects)
    return balanced_interval(right, np.array([one.label for one in predictions]), subjects)


def _moved(predictions: Sequence[Prediction], move: Callable[[Array], Array]) -> list[Prediction]:
    """Return predictions with other probabilities; the votes of their views are void."""
    moved = move(np.array([one.probability for one in predictions], float))
    return [
        replace(one, probability=p, votes=()) for one, p in zip(predictions, moved, strict=True)
    ]


def _labelled(predictions: Sequence[Prediction]) -> list[Prediction]:
    found = [one for one in predictions if one.label is not None]
    if not found:
        raise DataError("there is no labelled prediction to fit anything on")
    return found


def _second(predictions: Sequence[Prediction]) -> Array:
    """Return the probability of the second of two classes, (N,)."""
    wrong = [one for one in predictions if len(one.probability) != 2]
    if wrong:
        raise DataError(
            f"{wrong[0].id}: a threshold is of two classes, and it has "
            f"{len(wrong[0].probability)}; correct the prior instead"
        )
    return np.array([one.probability[1] for one in predictions], float)

"""How frequent each class is where nobody knows it, and probabilities that fit there.

Classes that are more frequent in training than where one predicts shift every probability: what
"quantile thresholding" repairs by trial (W2S-38). Decided here: what is seen of a class is taken to
stay, and only how frequent it is to change (label shift). Two ways to find the new shares without a
label stand side by side: maximum likelihood (EM) needs probabilities that are true, counting (BBSE)
only decisions of a known confusion. Where that confusion hardly differs from chance, the shares
cannot be found, and that is a sentence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from emoframe.core.errors import DataError
from emoframe.evidence.grouped import cross_fitted, folds
from emoframe.evidence.labels.calibrate import shifted
from emoframe.evidence.stats import NotMeasurableError, Subjects

Array = NDArray[np.float64]
Method = Literal["em", "bbse"]
MOST, TOLERANCE = 10_000, 1e-9
"""Steps of EM, and the change of a share below which it ends."""
EDGE = 1e-3
"""Least share whose logarithm is taken."""


class Adapted(NamedTuple):
    """Probabilities for the classes' shares where they are used.

    Attributes:
        probability: Of each class, (N, K).
        prior: The shares that were found, (K,).
        converged: Whether EM ended; whether no share that counting found was below 0.
    """

    probability: Array
    prior: Array
    converged: bool


def adapt(
    probability: Array, train_prior: Array, method: Method = "em", counts: Array | None = None
) -> Adapted:
    """Find the shares of the classes among items, and the probabilities that fit them.

    Args:
        probability: Of each class as learned, of the items that are judged, (N, K).
        train_prior: Shares of the classes that it was learned with, (K,), none 0.
        method: `em` (Saerens, Latinne, Decaestecker 2002) or `bbse` (Lipton, Wang, Smola 2018).
        counts: For `bbse`: how many items of each class (columns) were taken for which (rows), out
            of fold, see `confusion` and `taken_for`, (K, K).

    Raises:
        DataError: There is no item, a probability is none, or what `bbse` needs is lacking.
        NotMeasurableError: The confusion hardly differs from chance.
    """
    probability, prior = np.asarray(probability, float), np.asarray(train_prior, float)
    if probability.ndim != 2 or not len(probability) or probability.shape[1] != len(prior):
        raise DataError(
            f"probabilities of shape {probability.shape} cannot be adapted from the shares of "
            f"{len(prior)} classes; give one row per item and one column per class"
        )
    if not (np.isfinite(probability).all() and (probability >= 0).all()):
        raise DataError("a probability is below 0 or no number; a run that gives NaN has diverged")
    if not (prior > 0).all():
        raise DataError(
            f"the shares {prior.tolist()} that were learned with hold none of a class, whose share "
            "elsewhere cannot be found; leave that class out"
        )
    prior = prior / prior.sum()
    if method == "em":
        return _em(probability, prior)
    if counts is None:
        raise DataError("bbse counts decisions and needs their confusion out of fold; give counts")
    return _bbse(probability, prior, np.asarray(counts, float))


def taken_for(probability: Array, train_prior: Array) -> NDArray[np.int64]:
    """Return the class that each item is taken for where decisions are counted, (N,).

    All classes count as equally frequent: who names the class that is most frequent in training
    nearly always has a confusion that cannot be inverted.
    """
    return (probability / train_prior).argmax(1)


def confusion(predicted: NDArray[np.int64], labels: NDArray[np.int64], classes: int) -> Array:
    """Count how many items of each class (columns) were taken for which (rows), (K, K).

    Args:
        predicted: Class that each item was taken for, by who did not learn from it.
        labels: Its class.
        classes: Number of classes K.
    """
    counts = np.zeros((classes, classes))
    np.add.at(counts, (predicted, labels), 1)
    return counts


def corrector(
    share_NK: Array, labels_N: NDArray[np.int64], subjects: Subjects, method: Method
) -> Callable[[Array], Adapted]:
    """Fit what turns stated shares of classes into probabilities for other items' own prior.

    Args:
        share_NK: What was stated of labelled items, by who did not learn from them.
        labels_N: Class of each.
        subjects: Who each shows; the confusion that `bbse` needs is counted on subjects that the
            regression was not fitted on.
        method: As in `adapt`.

    Returns:
        Takes what was stated of other items, (M, K).

    Raises:
        NotMeasurableError: The items are of one class, or too few.
    """
    if len(np.unique(labels_N)) < 2:
        raise NotMeasurableError(
            f"{len(labels_N)} labelled items that are not of two classes say nothing of how "
            "classes are told apart; label more training items"
        )
    count = share_NK.shape[1]
    x = np.log(np.clip(share_NK, EDGE, 1))

    def fitted(train: NDArray[np.int64]) -> Callable[[NDArray[np.int64]], Array]:
        judge = _regression(x[train], labels_N[train], count)
        return lambda held: judge(x[held])

    prior, counts = np.bincount(labels_N, minlength=count) / len(labels_N), None
    if method == "bbse":
        out_of_fold = cross_fitted(fitted, folds(labels_N, subjects))
        counts = confusion(taken_for(out_of_fold, prior), labels_N, count)
    judge = _regression(x, labels_N, count)
    return lambda others: adapt(judge(np.log(np.clip(others, EDGE, 1))), prior, method, counts)


def whole(model: Any, x: Array, classes: int) -> Array:
    """Return the probabilities of all K classes, (N, K): 0 of those that a model never saw.

    Args:
        model: A fitted classifier of scikit-learn, or a pipeline that ends in one.
        x: Its input, (N, columns).
        classes: Number of classes K.
    """
    found = np.zeros((len(x), classes))
    found[:, model.classes_] = model.predict_proba(x)
    return found


def _regression(x: Array, labels: NDArray[np.int64], classes: int) -> Callable[[Array], Array]:
    model = LogisticRegression(max_iter=5000).fit(x, labels)
    return lambda others: whole(model, others, classes)


def _em(probability: Array, train_prior: Array) -> Adapted:
    prior = train_prior
    for _ in range(MOST):
        found = shifted(probability, train_prior, prior).mean(0)
        moved, prior = float(np.abs(found - prior).max()), found
        if moved < TOLERANCE:
            return Adapted(shifted(probability, train_prior, prior), prior, True)
    return Adapted(shifted(probability, train_prior, prior), prior, False)


def _bbse(probability: Array, train_prior: Array, counts: Array) -> Adapted:
    rarest = counts.sum(0).min()
    if not rarest:
        raise NotMeasurableError("no item of a class was judged out of fold; nothing is counted")
    given = counts / counts.sum(0)  # P(taken for | class)
    # the smallest singular value of two classes is about the difference of the two rates, whose
    # standard error is at most .7 / sqrt(rarest)
    if np.linalg.svd(given, compute_uv=False)[-1] < 1 / np.sqrt(rarest):
        raise NotMeasurableError(
            "decisions out of fold hardly differ between the classes (the confusion is singular, "
            "or within two standard errors of it), so that counting them tells of no share"
        )
    taken = np.bincount(taken_for(probability, train_prior), minlength=len(counts))
    solved = np.linalg.solve(given, taken / len(probability))
    prior = np.clip(solved, 0, None)
    prior = prior / prior.sum()
    return Adapted(
        shifted(probability, train_prior, prior), prior, bool((solved >= -TOLERANCE).all())
    )

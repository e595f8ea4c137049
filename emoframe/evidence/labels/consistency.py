"""Whether a labeler's arguments carry its verdict: a light verifier of rationales, after ERV.

A verdict that its own rationale does not tell is suspect. Decided here: the text is the rationale
without its verdict, and the classifier a small one (words and word pairs, tf-idf, logistic
regression), which never judges a subject that it was fitted on. `Consistency.probability` is kept
for each item, to weight labels by.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from emoframe.evidence.grouped import (
    NotMeasurableError,
    Told,
    cross_fitted,
    difference,
    folds,
    share_of,
    told,
)
from emoframe.evidence.labels.labelled import Material
from emoframe.evidence.stats import Interval, accuracy_interval


@dataclass(frozen=True)
class Consistency:
    """Whether the rationale, its verdict left out, tells the verdict (after ERV).

    Attributes:
        count: Number of items with a verdict.
        share: Share of them in which the text tells the verdict that was stated.
        majority: The same for who always names the most frequent verdict.
        probability: P(stated verdict | text) by item, by a classifier fitted on other subjects.
        consistent: Accuracy where text and verdict agree.
        inconsistent: Accuracy where they do not.
        gap: The first less the second.
        split: Number of items of each.
    """

    count: int
    share: Interval
    majority: float
    probability: dict[str, float]
    consistent: Told
    inconsistent: Told
    gap: Told
    split: tuple[int, int]


def consistency(named: Material) -> Consistency:
    """See whether a text classifier finds the stated verdict in the rationale without verdict.

    Args:
        named: Items in which a class was named.

    Raises:
        NotMeasurableError: There are too few verdicts of a kind or too few subjects, or no words.
    """
    texts = [row.label.rationale_no_verdict for row in named.rows if row.label]
    verdict = np.array([row.weak for row in named.rows], np.int64)
    code = np.unique(verdict, return_inverse=True)[1]

    def fit(train: NDArray[np.int64]) -> Callable[[NDArray[np.int64]], NDArray[Any]]:
        model = make_pipeline(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
            LogisticRegression(C=10.0, max_iter=1000),
        )
        model.fit([texts[n] for n in train], code[train])
        return lambda held: model.predict_proba([texts[n] for n in held])

    cut = folds(code, named.subjects)
    try:
        probability = cross_fitted(fit, cut)
    except ValueError as error:  # what scikit-learn says of texts without a word
        if "vocabulary" not in str(error):
            raise
        raise NotMeasurableError("rationales without their verdict hold no word") from error
    holds = probability.argmax(1) == code
    return Consistency(
        len(texts),
        accuracy_interval(holds.astype(float), named.subjects),
        float(np.bincount(code).max() / len(code)),
        {row.item: float(probability[n, code[n]]) for n, row in enumerate(named.rows)},
        _accuracy(named, holds),
        _accuracy(named, ~holds),
        told(lambda: difference(named.right, holds, named.subjects)),
        (int(holds.sum()), int((~holds).sum())),
    )


def _accuracy(material: Material, of: NDArray[np.bool_]) -> Told:
    subjects = [one for one, inside in zip(material.subjects, of, strict=True) if inside]
    return share_of(material.right[of], subjects)

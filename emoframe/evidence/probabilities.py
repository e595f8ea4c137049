"""How good probabilities are: how well they order, how true they are, how near the truth.

Decided here: of several seeds each is measured, and the mean is given; an interval comes from
leaving out one subject after the other. Of the predicted class the calibration error has 15 bins of
equal width, as papers have it for networks; an error of few items is above 0 for whoever is
perfectly calibrated (`calibrate.perfect_ece`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from emoframe.core.errors import DataError
from emoframe.evidence.grouped import Told, jackknife, told
from emoframe.evidence.labels.calibrate import brier, ece
from emoframe.evidence.stats import Interval, NotMeasurableError, Subjects
from emoframe.records import Prediction


def check_prediction(prediction: Prediction, classes: Sequence[str]) -> None:
    """Refuse a prediction that is not one of these classes.

    Raises:
        DataError: Its probabilities are not one number in [0, 1] for each class, or its label is
            none of them.
    """
    given = np.asarray(prediction.probability)
    if given.shape != (len(classes),):
        raise DataError(
            f"{prediction.id}: a prediction of {given.size} classes cannot be scored in the "
            f"{len(classes)} classes {', '.join(classes)}"
        )
    if not (np.isfinite(given).all() and given.min() >= 0 and given.max() <= 1 + 1e-6):
        raise DataError(
            f"{prediction.id}: probabilities must be in [0, 1], got {given.tolist()}; a run that "
            "gives NaN has diverged"
        )
    if prediction.label is not None and not 0 <= prediction.label < len(classes):
        raise DataError(
            f"{prediction.id}: label {prediction.label} is outside the classes {list(classes)}"
        )


def auc(probability_NK: NDArray[np.float64], labels_N: NDArray[np.int64]) -> float:
    """Return the area under the ROC curve; NaN where all items are of one class.

    Args:
        probability_NK: Of each class.
        labels_N: Class of each item. Of more than two classes each that some item has is held
            against the rest, and the mean is over these (macro, one versus rest).
    """
    seen = np.unique(labels_N)
    if len(seen) < 2:
        return float("nan")
    of = [1] if probability_NK.shape[1] == 2 else seen.tolist()
    return float(np.mean([roc_auc_score(labels_N == k, probability_NK[:, k]) for k in of]))


def of_probabilities(
    probability_SNK: NDArray[np.float64], labels_N: NDArray[np.int64], subjects: Subjects
) -> dict[str, Told]:
    """Measure what hangs on probabilities, the mean over seeds, with an interval by subject.

    Args:
        probability_SNK: Of each class, by seed and item.
        labels_N: Class of each item.
        subjects: Who each item shows.

    Returns:
        `auc`, `ece` and `brier`, or why one cannot be measured.
    """
    sure, right = probability_SNK.max(2), probability_SNK.argmax(2) == labels_N

    def area() -> Interval:
        if len(np.unique(labels_N)) < 2:
            raise NotMeasurableError("all items are of one class")
        return jackknife(
            lambda of: float(np.mean([auc(one[of], labels_N[of]) for one in probability_SNK])),
            subjects,
        )

    def error(of: NDArray[np.int64]) -> float:
        pairs = zip(sure[:, of], right[:, of], strict=True)
        return float(np.mean([ece(one, hit, cut="width") for one, hit in pairs]))

    def distance(of: NDArray[np.int64]) -> float:
        return float(np.mean([brier(one[of], labels_N[of]) for one in probability_SNK]))

    return {
        "auc": told(area),
        "ece": told(lambda: jackknife(error, subjects)),
        "brier": told(lambda: jackknife(distance, subjects, (0.0, 2.0))),
    }

"""Scores of a run, and the one door through which test labels come.

The seal stops accidents and temptation, not an adversary: whoever wants to can read the label file.
But nothing in emoframe hands a test label to anything but `open_test`, and that writes down when
and why before it does.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from emoframe.core.errors import DataError, RunError
from emoframe.evidence.grouped import Told
from emoframe.evidence.probabilities import check_prediction, of_probabilities
from emoframe.evidence.stats import Interval, accuracy_interval, balanced_interval
from emoframe.interfaces import Dataset
from emoframe.records import Prediction

OPENINGS = "openings.jsonl"


@dataclass(frozen=True)
class Scores:
    """How good predictions are, never without interval, baseline and size.

    Attributes:
        accuracy: Share of items that are right, with its interval (WAR); the soft vote of the
            views where there are several.
        majority: Accuracy of always naming the most frequent class of these items.
        balanced_accuracy: Mean recall over classes (UAR), with its interval.
        macro_f1: Mean F1 over those classes that some item has.
        recall: Recall by class, of those that some item has.
        confusion: Items by true (rows) and predicted (columns) class, (K, K).
        count: Number of items.
        subjects: Number of subjects; 0 where they are unknown.
        auc: Area under the ROC curve, of more than two classes each against the rest, their mean;
            or why it cannot be measured.
        ece: Expected calibration error of the predicted class, 15 bins of equal width.
        brier: Squared distance from the truth, summed over classes, mean over items; in [0, 2].
        views: Views of each item.
        hard_vote: Accuracy of the class that most views name; None where there is one view.
        disagreement: Mean share of the views that differ from the hard vote.
    """

    accuracy: Interval
    majority: float
    balanced_accuracy: Interval
    macro_f1: float
    recall: dict[str, float]
    confusion: NDArray[np.int64]
    count: int
    subjects: int
    auc: Told
    ece: Told
    brier: Told
    views: int = 1
    hard_vote: Interval | None = None
    disagreement: float = 0.0

    def table(self) -> pd.DataFrame:
        """Return one row that can be printed or put beside others."""
        row: dict[str, Any] = {
            "accuracy": str(self.accuracy),
            "interval": self.accuracy.method,
            "balanced_accuracy": str(self.balanced_accuracy),
            "majority": round(self.majority, 3),
            "macro_f1": round(self.macro_f1, 3),
            "auc": str(self.auc),
            "ece": str(self.ece),
            "brier": str(self.brier),
            "items": self.count,
            "subjects": self.subjects or "unknown",
        }
        if self.hard_vote:
            row |= {
                "views": self.views,
                "hard_vote": str(self.hard_vote),
                "disagreement": round(self.disagreement, 3),
            }
        return pd.DataFrame([row])


def check_reason(reason: str) -> None:
    """Refuse to open test without a reason; asked before hours of training, and at the door.

    Raises:
        RunError: There is none, or it is blank.
    """
    if not reason.strip():
        raise RunError("opening the test labels needs a reason in words, as in 'final result'")


def open_test(run: Path, dataset: Dataset, reason: str) -> Mapping[str, int]:
    """Hand out the labels of the test split, after writing down that this was done.

    Args:
        run: Run folder; `openings.jsonl` in it gets one more line.
        dataset: Whose labels.
        reason: Why, in the user's words.

    Raises:
        RunError: No reason was given, or the record cannot be written.
    """
    check_reason(reason)
    line = {
        "time": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "reason": reason,
        "protocol": dataset.protocol,
    }
    try:
        with (run / OPENINGS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise RunError(f"the opening of test cannot be recorded in {run}: {error}") from error
    labels = dataset.test_labels()
    wrong = [item for item, label in labels.items() if not 0 <= label < len(dataset.classes)]
    if wrong:
        raise DataError(
            f"{wrong[0]}: label {labels[wrong[0]]} is outside the classes {list(dataset.classes)}"
        )
    return labels


def openings(run: Path) -> list[dict[str, Any]]:
    """Return every recorded opening of test by this run."""
    path = run / OPENINGS
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def score(predictions: Sequence[Prediction], classes: Sequence[str]) -> Scores:
    """Score labelled predictions.

    Raises:
        DataError: There is none with a label, or one is not of these classes.
    """
    labelled = [(p, p.label) for p in predictions if p.label is not None]
    if not labelled:
        raise DataError("there is no labelled item to score")
    for prediction, _ in labelled:
        check_prediction(prediction, classes)
    truth = np.array([label for _, label in labelled])
    guess = np.array([prediction.predicted for prediction, _ in labelled])
    subjects = [prediction.subject for prediction, _ in labelled]
    probability_NK = np.stack([prediction.probability for prediction, _ in labelled])
    every = list(range(len(classes)))
    # scikit-learn's annotations know the string only
    measure: Any = precision_recall_fscore_support
    measured = measure(truth, guess, labels=every, zero_division=0.0)
    _, recall, f1, support = measured
    seen = support > 0
    right = (truth == guess).astype(float)
    views = len(labelled[0][0].votes)
    voted = np.array([prediction.voted == label for prediction, label in labelled]).astype(float)
    return Scores(
        accuracy=accuracy_interval(right, subjects),
        majority=max(Counter(truth.tolist()).values()) / len(truth),
        balanced_accuracy=balanced_interval(right, truth, subjects),
        macro_f1=float(f1[seen].mean()),
        recall={classes[int(k)]: float(recall[k]) for k in np.flatnonzero(seen)},
        confusion=confusion_matrix(truth, guess, labels=every),
        count=len(truth),
        subjects=len({s for s in subjects if s is not None}),
        **of_probabilities(probability_NK[None], truth, subjects),
        views=max(views, 1),
        hard_vote=accuracy_interval(voted, subjects) if views else None,
        disagreement=float(np.mean([prediction.disagreement for prediction, _ in labelled])),
    )


@dataclass(frozen=True)
class Correctness:
    """Who was right about what, over several seeds.

    Attributes:
        right: 0 or 1 per seed and item, shape (seeds, items).
        hard: The same for the hard vote of the views.
        probability: Of each class, shape (seeds, items, K).
        labels: Class of each item, shape (items,).
        subjects: Subject of each item, None where unknown.
    """

    right: NDArray[np.float64]
    hard: NDArray[np.float64]
    probability: NDArray[np.float64]
    labels: NDArray[np.int64]
    subjects: list[str | None]


def correctness(runs: Sequence[Sequence[Prediction]]) -> Correctness:
    """Put the labelled predictions of several seeds side by side, item by item.

    Raises:
        DataError: The runs were judged on different items, or on none.
    """
    by_id = [{p.id: p for p in run if p.label is not None} for run in runs]
    ids = sorted(by_id[0]) if by_id else []
    if not ids:
        raise DataError("there is no labelled item to score")
    if any(sorted(run) != ids for run in by_id):
        raise DataError("the runs were judged on different items and cannot be averaged")
    first = [by_id[0][item] for item in ids]
    return Correctness(
        np.array([[run[i].predicted == run[i].label for i in ids] for run in by_id], float),
        np.array([[run[i].voted == run[i].label for i in ids] for run in by_id], float),
        np.array([[run[i].probability for i in ids] for run in by_id]),
        np.array([p.label for p in first]),
        [p.subject for p in first],
    )


def pooled(found: Correctness) -> dict[str, Told]:
    """Return scores over several seeds: averaged per item first, then over items.

    Seeds are no new items, so an interval is as wide as one seed's. What is no mean over items
    (`auc`, `ece`) is measured for each seed and averaged.
    """
    right, subjects = found.right.mean(0), found.subjects
    return {
        "accuracy": accuracy_interval(right, subjects),
        "balanced_accuracy": balanced_interval(right, found.labels, subjects),
        "hard_vote": accuracy_interval(found.hard.mean(0), subjects),
        **of_probabilities(found.probability, found.labels, subjects),
    }

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
        macro_f1: Mean F1 over classes.
        recall: Recall by class; NaN where no item has it.
        confusion: Items by true (rows) and predicted (columns) class, (K, K).
        count: Number of items.
        subjects: Number of subjects; 0 where they are unknown.
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
    views: int = 1
    hard_vote: Interval | None = None
    disagreement: float = 0.0

    def table(self) -> pd.DataFrame:
        """Return one row that can be printed or put beside others."""
        row: dict[str, Any] = {
            "accuracy": str(self.accuracy),
            "interval": self.accuracy.method,
            "majority": round(self.majority, 3),
            "balanced_accuracy": str(self.balanced_accuracy),
            "macro_f1": round(self.macro_f1, 3),
            "items": self.count,
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
        DataError: There is none with a label.
    """
    told = [(p, p.label) for p in predictions if p.label is not None]
    if not told:
        raise DataError("there is no labelled item to score")
    truth = np.array([label for _, label in told])
    guess = np.array([prediction.predicted for prediction, _ in told])
    subjects = [prediction.subject for prediction, _ in told]
    every = list(range(len(classes)))
    # scikit-learn's annotations know the string only
    measure: Any = precision_recall_fscore_support
    measured = measure(truth, guess, labels=every, zero_division=0.0)
    _, recall, f1, support = measured
    seen = support > 0
    right = (truth == guess).astype(float)
    views = len(told[0][0].votes)
    voted = np.array([prediction.voted == label for prediction, label in told]).astype(float)
    return Scores(
        accuracy_interval(right, subjects),
        max(Counter(truth.tolist()).values()) / len(truth),
        balanced_interval(right, truth, subjects),
        float(f1[seen].mean()),
        dict(zip(classes, np.where(seen, recall, np.nan).tolist(), strict=True)),
        confusion_matrix(truth, guess, labels=every),
        len(truth),
        len({s for s in subjects if s is not None}),
        max(views, 1),
        accuracy_interval(voted, subjects) if views else None,
        float(np.mean([prediction.disagreement for prediction, _ in told])),
    )


@dataclass(frozen=True)
class Correctness:
    """Who was right about what, over several seeds.

    Attributes:
        right: 0 or 1 per seed and item, shape (seeds, items).
        hard: The same for the hard vote of the views.
        labels: Class of each item, shape (items,).
        subjects: Subject of each item, None where unknown.
    """

    right: NDArray[np.float64]
    hard: NDArray[np.float64]
    labels: NDArray[np.int64]
    subjects: list[str | None]


def correctness(runs: Sequence[Sequence[Prediction]]) -> Correctness:
    """Put the labelled predictions of several seeds side by side, item by item.

    Raises:
        DataError: The runs were judged on different items.
    """
    by_id = [{p.id: p for p in run if p.label is not None} for run in runs]
    ids = sorted(by_id[0])
    if any(sorted(run) != ids for run in by_id):
        raise DataError("the runs were judged on different items and cannot be averaged")
    first = [by_id[0][item] for item in ids]
    return Correctness(
        np.array([[run[i].predicted == run[i].label for i in ids] for run in by_id], float),
        np.array([[run[i].voted == run[i].label for i in ids] for run in by_id], float),
        np.array([p.label for p in first]),
        [p.subject for p in first],
    )


def pooled(found: Correctness) -> dict[str, Interval]:
    """Return scores over several seeds: averaged per item first, then over items.

    Seeds are no new items, so an interval is as wide as one seed's.
    """
    right, subjects = found.right.mean(0), found.subjects
    return {
        "accuracy": accuracy_interval(right, subjects),
        "balanced_accuracy": balanced_interval(right, found.labels, subjects),
        "hard_vote": accuracy_interval(found.hard.mean(0), subjects),
    }

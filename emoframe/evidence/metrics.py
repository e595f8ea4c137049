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
from emoframe.evidence.stats import Interval, accuracy_interval
from emoframe.interfaces import Dataset
from emoframe.records import Prediction

OPENINGS = "openings.jsonl"


@dataclass(frozen=True)
class Scores:
    """How good predictions are, never without interval, baseline and size.

    Attributes:
        accuracy: Share of items that are right, with its interval (WAR).
        majority: Accuracy of always naming the most frequent class of these items.
        balanced_accuracy: Mean recall over classes (UAR).
        macro_f1: Mean F1 over classes.
        recall: Recall by class; NaN where no item has it.
        confusion: Items by true (rows) and predicted (columns) class, (K, K).
        count: Number of items.
        subjects: Number of subjects; 0 where they are unknown.
    """

    accuracy: Interval
    majority: float
    balanced_accuracy: float
    macro_f1: float
    recall: dict[str, float]
    confusion: NDArray[np.int64]
    count: int
    subjects: int

    def table(self) -> pd.DataFrame:
        """Return one row that can be printed or put beside others."""
        return pd.DataFrame(
            [
                {
                    "accuracy": str(self.accuracy),
                    "interval": self.accuracy.method,
                    "majority": round(self.majority, 3),
                    "balanced_accuracy": round(self.balanced_accuracy, 3),
                    "macro_f1": round(self.macro_f1, 3),
                    "items": self.count,
                }
            ]
        )


def open_test(run: Path, dataset: Dataset, reason: str) -> Mapping[str, int]:
    """Hand out the labels of the test split, after writing down that this was done.

    Args:
        run: Run folder; `openings.jsonl` in it gets one more line.
        dataset: Whose labels.
        reason: Why, in the user's words.

    Raises:
        RunError: No reason was given, or the record cannot be written.
    """
    if not reason.strip():
        raise RunError("opening the test labels needs a reason, as in --reason 'final result'")
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
    return Scores(
        accuracy_interval((truth == guess).astype(float), subjects),
        max(Counter(truth.tolist()).values()) / len(truth),
        float(recall[seen].mean()),
        float(f1[seen].mean()),
        dict(zip(classes, np.where(seen, recall, np.nan).tolist(), strict=True)),
        confusion_matrix(truth, guess, labels=every),
        len(truth),
        len({s for s in subjects if s is not None}),
    )


def pooled(runs: Sequence[Sequence[Prediction]]) -> Interval:
    """Return the accuracy over several seeds: averaged per item first, then over items.

    Seeds are no new items, so the interval is as wide as one seed's.

    Raises:
        DataError: The runs were judged on different items.
    """
    by_id = [{p.id: p for p in run if p.label is not None} for run in runs]
    ids = sorted(by_id[0])
    if any(sorted(run) != ids for run in by_id):
        raise DataError("the runs were judged on different items and cannot be averaged")
    correct = np.mean([[run[i].predicted == run[i].label for i in ids] for run in by_id], axis=0)
    return accuracy_interval(correct, [by_id[0][i].subject for i in ids])

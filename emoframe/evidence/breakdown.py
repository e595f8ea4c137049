"""Whom and what a run gets wrong: by subject, by item, and by whatever else is known of the items.

Decided here: the table by subject goes from the worst to the best, since a mean hides that a
network may be right about half of the people and blind to the rest. A breakdown gives each value
its number of items, its interval and its baseline; a number is cut into thirds. Many breakdowns of
one result find a difference by chance, so what is found here is a question for other data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

import numpy as np
import pandas as pd

from emoframe.core.errors import DataError
from emoframe.evidence.grouped import share_of
from emoframe.evidence.probabilities import check_prediction
from emoframe.records import Prediction

UNKNOWN, MOST = "unknown", 6
"""What is not given; how many different numbers are still taken for values."""


def per_subject(predictions: Sequence[Prediction], classes: Sequence[str]) -> pd.DataFrame:
    """Return how often each subject's items are right, the worst subject first.

    Args:
        predictions: Of a run; those without a label are left out.
        classes: Names of the classes.

    Returns:
        `subject`, `items`, `right`, `accuracy` and `probability`, the mean one of the true class.

    Raises:
        DataError: There is none with a label, or one is not of these classes.
    """
    table: Any = _labelled(predictions, classes)
    table["subject"] = table["subject"].fillna(UNKNOWN)
    found = table.groupby("subject", as_index=False).agg(
        items=("right", "size"),
        right=("right", "sum"),
        accuracy=("right", "mean"),
        probability=("probability", "mean"),
    )
    return found.sort_values(["accuracy", "probability"], kind="stable", ignore_index=True)


def worst(predictions: Sequence[Prediction], classes: Sequence[str], n: int = 10) -> pd.DataFrame:
    """Return the items that a run is most wrong about, the worst first.

    Args:
        predictions: Of a run; those without a label are left out.
        classes: Names of the classes.
        n: How many.

    Returns:
        `id`, `subject`, `label`, `predicted` and `probability`, that of the true class.

    Raises:
        DataError: There is none with a label, or one is not of these classes.
    """
    table: Any = _labelled(predictions, classes).drop(columns="right")
    return table.sort_values("probability", kind="stable", ignore_index=True).head(n)


def breakdown(predictions: Sequence[Prediction], of: Mapping[str, Any]) -> pd.DataFrame:
    """Return how often items are right by something that is known of them.

    Args:
        predictions: Of a run; those without a label are left out.
        of: A value by item id, as gender or duration; items that are not in it are `unknown`, and
            more than six different numbers are cut into thirds.

    Returns:
        `value`, `items`, `subjects` (None where unknown), `accuracy` (an `Interval`, or why there
        is none) and `majority`, what always naming the most frequent class of these items gives.

    Raises:
        DataError: There is no prediction with a label.
    """
    labelled = [one for one in predictions if one.label is not None]
    if not labelled:
        raise DataError("there is no labelled item to break down")
    values = _values([of.get(one.id) for one in labelled])
    return pd.DataFrame(
        [
            _row(value, [one for one, own in zip(labelled, values, strict=True) if own == value])
            for value in sorted(set(values), key=lambda one: (one == UNKNOWN, one))
        ],
        dtype=object,
    )


def _labelled(predictions: Sequence[Prediction], classes: Sequence[str]) -> pd.DataFrame:
    rows: list[dict[str, object]] = []
    for one in predictions:
        if one.label is None:
            continue
        check_prediction(one, classes)
        rows.append(
            {
                "id": one.id,
                "subject": one.subject,
                "label": classes[one.label],
                "predicted": classes[one.predicted],
                "right": int(one.predicted == one.label),
                "probability": float(one.probability[one.label]),
            }
        )
    if not rows:
        raise DataError("there is no labelled item to look at")
    return pd.DataFrame(rows)


def _row(value: str, items: Sequence[Prediction]) -> dict[str, object]:
    subjects = [one.subject for one in items]
    right = np.array([one.predicted == one.label for one in items], float)
    most = max(Counter(one.label for one in items).values())
    return {
        "value": value,
        "items": len(items),
        "subjects": None if None in subjects else len(set(subjects)),
        "accuracy": share_of(right, subjects),
        "majority": round(most / len(items), 3),
    }


def _values(given: Sequence[Any]) -> list[str]:
    """Return what to print of each value: numbers in thirds where they are many."""
    known = [one for one in given if not _absent(one)]
    numbers = [float(one) for one in known if _is_number(one)]
    if len(numbers) < len(known) or len(set(numbers)) <= MOST:
        return [UNKNOWN if _absent(one) else str(one) for one in given]
    first, second = np.quantile(numbers, [1 / 3, 2 / 3])
    names = (f"1: up to {first:.4g}", f"2: up to {second:.4g}", f"3: above {second:.4g}")
    cuts = (first, second)
    return [
        UNKNOWN if _absent(one) else names[int(np.searchsorted(cuts, float(one)))] for one in given
    ]


def _absent(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and isnan(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)

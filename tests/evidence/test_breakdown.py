"""Whom a run gets wrong is told, with the number of items behind each share."""

from __future__ import annotations

import numpy as np
import pytest

from emoframe.core.errors import DataError
from emoframe.evidence.breakdown import breakdown, per_subject, worst
from emoframe.evidence.stats import Interval
from emoframe.records import Prediction

CLASSES = ["lose", "win"]


def made(*rows: tuple[str, str | None, int | None, float]) -> list[Prediction]:
    """Rows of id, subject, label and probability of `win`."""
    return [Prediction(i, np.array([1 - p, p]), label, who) for i, who, label, p in rows]


FOUND = made(
    ("a1", "anna", 1, 0.9), ("a2", "anna", 0, 0.4), ("b1", "ben", 1, 0.2), ("b2", "ben", 0, 0.9),
    ("c1", "carl", 1, 0.45), ("c2", "carl", 0, 0.1), ("d1", None, 1, 0.8), ("e1", "eve", None, 0.5),
)  # fmt: skip


def test_the_worst_subject_comes_first_and_unlabelled_items_are_left_out() -> None:
    table = per_subject(FOUND, CLASSES)
    assert table["subject"].tolist() == ["ben", "carl", "anna", "unknown"]
    assert table["items"].tolist() == [2, 2, 2, 1]
    assert table["right"].tolist() == [0, 1, 2, 1]
    assert table["accuracy"].tolist() == [0, 0.5, 1, 1]
    assert table["probability"].tolist() == pytest.approx([0.15, 0.675, 0.75, 0.8])


def test_the_worst_items_are_those_whose_class_was_thought_least_likely() -> None:
    table = worst(FOUND, CLASSES, 3)
    assert table["id"].tolist() == ["b2", "b1", "c1"]
    assert table.iloc[0].to_dict() == {
        "id": "b2", "subject": "ben", "label": "lose", "predicted": "win",
        "probability": pytest.approx(0.1),
    }  # fmt: skip


def test_a_breakdown_has_number_interval_and_baseline_of_each_value() -> None:
    of = {"a1": "f", "a2": "f", "b1": "m", "b2": "m", "c1": "m", "c2": "m"}
    table = breakdown(FOUND, of).set_index("value")
    assert table.index.tolist() == ["f", "m", "unknown"]
    assert table["items"].tolist() == [2, 4, 1]
    assert table["majority"].tolist() == [0.5, 0.5, 1.0]
    assert isinstance(table.loc["m", "accuracy"], Interval)
    assert table.loc["m", "accuracy"].value == 0.25
    assert "2 subjects" in table.loc["m", "accuracy"].method
    assert table.loc["unknown", "accuracy"] == "not measurable: 1 item"
    assert table.loc["unknown", "subjects"] is None


def test_many_numbers_are_cut_into_thirds() -> None:
    items = made(*((f"i{n}", f"s{n}", n % 2, 0.6) for n in range(12)))
    table = breakdown(items, {f"i{n}": float(n) for n in range(11)})
    assert table["value"].tolist()[-1] == "unknown"
    assert [value[0] for value in table["value"]][:3] == ["1", "2", "3"]
    assert table["items"].tolist() == [4, 3, 4, 1]
    few = breakdown(items, {f"i{n}": n % 3 for n in range(12)})
    assert few["value"].tolist() == ["0", "1", "2"]
    missing = breakdown(items, {f"i{n}": float("nan") for n in range(12)})
    assert missing["value"].tolist() == ["unknown"]


def test_nothing_labelled_is_a_sentence() -> None:
    for table in (
        lambda: per_subject(FOUND[-1:], CLASSES),
        lambda: worst([], CLASSES),
        lambda: breakdown([], {}),
    ):
        with pytest.raises(DataError, match="no labelled item"):
            table()
    with pytest.raises(DataError, match="cannot be scored"):
        per_subject(FOUND, [*CLASSES, "draw"])

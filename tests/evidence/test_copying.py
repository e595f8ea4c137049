"""What the comparison with a teacher promises: a copy is called one, a better one is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from emoframe.core.errors import DataError
from emoframe.evidence.beside.copying import against_teacher
from emoframe.evidence.stats import Interval
from emoframe.evidence.tables.judged import Judged
from emoframe.records import Prediction

COUNT = 400
GENERATOR = np.random.default_rng(5)
LABELS = GENERATOR.integers(0, 2, COUNT)


def judge(name: str, classes: list[np.ndarray]) -> Judged:
    told = [
        [
            Prediction(f"item-{n:03d}", np.eye(2)[k], int(LABELS[n]), f"s{n // 5}")
            for n, k in enumerate(seed)
        ]
        for seed in classes
    ]
    return Judged(name, told, tuple(range(len(classes))))


def right_in(share: float, seed: int) -> np.ndarray:
    return np.where(np.random.default_rng(seed).random(COUNT) < share, LABELS, 1 - LABELS)


TEACHER = right_in(0.65, 1)


def value(table: Any, measure: str) -> float:
    found = table.set_index("measure").loc[measure, "value"]
    assert isinstance(found, Interval), found
    return found.value


def test_a_student_that_copies_is_told_so() -> None:
    own = np.where(np.random.default_rng(2).random(COUNT) < 0.02, 1 - TEACHER, TEACHER)
    found = against_teacher(judge("net", [own, TEACHER]), judge("teacher", [TEACHER]))
    assert value(found, "names its teacher's class") > 0.97
    assert "just copies its teacher" in found.attrs["caption"]
    assert "It errs where its teacher errs" in found.attrs["caption"]


def test_a_student_that_knows_more_is_right_where_they_disagree() -> None:
    found = against_teacher(judge("net", [right_in(0.85, 3)]), judge("teacher", [TEACHER]))
    assert "learned something that the teacher does not know" in found.attrs["caption"]
    assert "not shown to err where its teacher errs" in found.attrs["caption"]
    disagree = "accuracy where they disagree"
    assert value(found, f"student's {disagree}") + value(found, f"teacher's {disagree}") == 1


def test_a_student_that_follows_with_noise_of_its_own_is_no_better_than_its_teacher() -> None:
    own = np.where(np.random.default_rng(4).random(COUNT) < 0.25, 1 - TEACHER, TEACHER)
    found = against_teacher(judge("net", [own]), judge("teacher", [TEACHER]))
    assert "the teacher alone is the better choice" in found.attrs["caption"]
    assert "It errs where its teacher errs" in found.attrs["caption"]


def test_as_good_a_student_with_errors_of_its_own_shows_no_evidence_of_more() -> None:
    found = against_teacher(judge("net", [right_in(0.65, 6)]), judge("teacher", [TEACHER]))
    assert "no evidence that the student knows more" in found.attrs["caption"]


def test_numbers_are_those_that_a_hand_counts_over_seeds() -> None:
    seeds = [right_in(0.7, 7), right_in(0.8, 8)]
    found = against_teacher(judge("net", seeds), judge("teacher", [TEACHER]))
    both = np.array(seeds)
    apart = both != TEACHER
    rows = found.set_index("measure")
    assert rows.loc["student's accuracy where they disagree", "n"] == apart.sum()
    assert value(found, "student's accuracy where they disagree") == pytest.approx(
        (both == LABELS)[apart].mean()
    )
    assert value(found, "names its teacher's class") == pytest.approx((~apart).mean())
    wrong = np.broadcast_to(TEACHER != LABELS, both.shape)
    assert value(found, "student's accuracy where the teacher is wrong") == pytest.approx(
        (both == LABELS)[wrong].mean()
    )


def test_items_without_a_weak_label_are_left_out() -> None:
    taught = judge("teacher", [TEACHER])
    few = Judged("teacher", [list(taught.predictions[0])[:100]])
    found = against_teacher(judge("net", [right_in(0.85, 3)]), few)
    assert found["n"].iloc[0] == 100


def test_a_student_that_never_disagrees_has_no_number_there() -> None:
    found = against_teacher(judge("net", [TEACHER]), judge("teacher", [TEACHER]))
    told = found.set_index("measure").loc["student's accuracy where they disagree", "value"]
    assert str(told).startswith("not measurable")
    assert "just copies" in found.attrs["caption"]


def test_two_that_judged_nothing_in_common_are_refused() -> None:
    other = Judged("teacher", [[Prediction("elsewhere", np.array([0.5, 0.5]), 0, None)]])
    with pytest.raises(DataError, match="no item in common"):
        against_teacher(judge("net", [TEACHER]), other)

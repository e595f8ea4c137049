"""Whether a student knows anything that its teacher does not.

Decided here: what tells the two apart are the items in which they disagree. Where a teacher errs, a
student that has learned from the videos is not bound to err, and one that copies is: so its
accuracy where the teacher is right stands beside that where it is wrong. What so few items cannot
tell is said, and is no evidence of either.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emoframe.core.errors import DataError
from emoframe.evidence.grouped import Subjects, Told, jackknife, told
from emoframe.evidence.stats import Interval
from emoframe.evidence.tables.judged import Judged

Array = NDArray[np.float64]
AGREES, COPIES = "names its teacher's class", 0.95
"""Share of items with the teacher's class from which on a student is said to repeat it."""


@dataclass(frozen=True)
class _Pairs:
    """What both say of the items that both judged, seeds by items; NaN where a seed did not.

    Attributes:
        same: 1 where they name the same class, (S, N).
        student: 1 where the student is right, (S, N).
        teacher: 1 where the teacher is right, (N,).
        subjects: Who each item shows.
    """

    same: Array
    student: Array
    teacher: Array
    subjects: Subjects

    def share(self, of: Array, where: Array) -> Told:
        """Return a mean over the judgements of some kind, with its interval by subject."""
        judged = where * np.isfinite(of)
        hits, weight = np.nansum(of * judged, 0), judged.sum(0)

        def mean(items: NDArray[np.int64]) -> float:
            total = weight[items].sum()
            return float(hits[items].sum() / total) if total else float("nan")

        return told(lambda: jackknife(mean, self.subjects))

    def gap(self, of: Callable[[NDArray[np.int64]], float]) -> Told:
        """Return a difference of shares, with its interval by subject."""
        return told(lambda: jackknife(of, self.subjects, (-1.0, 1.0)))


def against_teacher(student: Judged, teacher: Judged) -> pd.DataFrame:
    """Compare a student with its teacher on the items that both judged.

    Args:
        student: Predictions of a run, over seeds.
        teacher: What the weak labels say, best of those items alone in which they name a class, see
            `emoframe.evidence.beside.teacher.teacher`.

    Returns:
        `measure`, `value` (an `Interval`, or why there is none) and `n`, judgements over all seeds;
        `attrs["caption"]` says in words whether the student just copies its teacher.

    Raises:
        DataError: No item was judged by both, or they disagree about a label.
    """
    pairs = _pairs(student, teacher)
    there = np.isfinite(pairs.same).astype(float)
    same, right = np.nan_to_num(pairs.same), there * pairs.teacher
    other, wrong = there - same, there - right
    rows = [
        (AGREES, pairs.share(pairs.same, there), there),
        ("student's accuracy", pairs.share(pairs.student, there), there),
        ("teacher's accuracy", pairs.share(right, there), there),
        ("student's accuracy where they agree", pairs.share(pairs.student, same), same),
        ("student's accuracy where they disagree", pairs.share(pairs.student, other), other),
        ("teacher's accuracy where they disagree", pairs.share(right, other), other),
        ("student's accuracy where the teacher is right", pairs.share(pairs.student, right), right),
        ("student's accuracy where the teacher is wrong", pairs.share(pairs.student, wrong), wrong),
    ]
    table = pd.DataFrame(
        [{"measure": name, "value": value, "n": int(of.sum())} for name, value, of in rows],
        dtype=object,
    )
    agreement, bias = rows[0][1], _bias(pairs, right, wrong)
    lead = _lead(pairs, right, other)
    table.attrs["caption"] = " ".join([_verdict(agreement, lead, int(other.sum())), _errs(bias)])
    return table


def untold(error: DataError) -> pd.DataFrame:
    """Return the table of a student whose teacher says nothing of its items, with the reason."""
    table = pd.DataFrame([{"measure": AGREES, "value": str(error), "n": 0}])
    table.attrs["caption"] = "Whether the student copies its teacher cannot be told."
    return table


def _pairs(student: Judged, teacher: Judged) -> _Pairs:
    said = {one.id: one for one in teacher.items}
    items = [one for one in student.items if one.id in said]
    if not items:
        raise DataError(
            f"{student.name} and {teacher.name} judged no item in common; judge both on the same "
            "items"
        )
    if wrong := [one for one in items if one.label != said[one.id].label]:
        raise DataError(f"{wrong[0].id}: its label differs between student and teacher")
    by_seed = [{one.id: one.predicted for one in seed} for seed in student.predictions]
    named = np.array([[seed.get(one.id, np.nan) for one in items] for seed in by_seed], float)
    taught = np.array([said[one.id].predicted for one in items])
    labels = np.array([one.label for one in items])
    judged = np.isfinite(named)
    return _Pairs(
        np.where(judged, named == taught, np.nan),
        np.where(judged, named == labels, np.nan),
        (taught == labels).astype(float),
        [one.subject for one in items],
    )


def _lead(pairs: _Pairs, right: Array, other: Array) -> Told:
    """Return how much more often the student is right where they disagree."""
    gain = ((np.nan_to_num(pairs.student) - right) * other).sum(0)
    weight = other.sum(0)

    def mean(items: NDArray[np.int64]) -> float:
        total = weight[items].sum()
        return float(gain[items].sum() / total) if total else float("nan")

    return pairs.gap(mean)


def _bias(pairs: _Pairs, right: Array, wrong: Array) -> Told:
    """Return how much more often the student is right where the teacher is, than where not."""
    hits = np.nan_to_num(pairs.student)
    parts = [((hits * of).sum(0), of.sum(0)) for of in (right, wrong)]

    def difference(items: NDArray[np.int64]) -> float:
        shares = [
            hit[items].sum() / of[items].sum() if of[items].sum() else np.nan for hit, of in parts
        ]
        return float(shares[0] - shares[1])

    return pairs.gap(difference)


def _verdict(agreement: Told, lead: Told, apart: int) -> str:
    """Say what the items tell in which they disagree."""
    if isinstance(agreement, Interval) and agreement.value >= COPIES:
        return (
            f"The student just copies its teacher: it names the teacher's class in "
            f"{agreement.value:.0%} of the items, so that its score is the teacher's score."
        )
    if not isinstance(lead, Interval):
        return (
            f"Whether the student knows more than its teacher cannot be told from the {apart} "
            f"judgements in which they disagree ({lead})."
        )
    how = f"({lead} of {apart} judgements)"
    if lead.low > 0:
        return (
            f"Where they disagree the student is right more often than its teacher {how}: it has "
            "learned something that the teacher does not know."
        )
    if lead.high < 0:
        return (
            f"Where they disagree its teacher is right more often {how}: the teacher alone is the "
            "better choice."
        )
    return (
        f"Where they disagree neither is shown to be right more often {how}: there is no evidence "
        "that the student knows more than its teacher."
    )


def _errs(bias: Told) -> str:
    """Say whether the student errs where the teacher does."""
    if not isinstance(bias, Interval):
        return f"Whether it errs where its teacher errs cannot be told ({bias})."
    if bias.low > 0:
        return (
            f"It errs where its teacher errs: it is right that much less often there ({bias}). "
            "Hard items alone can do that, too; a student that reads no text of the teacher tells."
        )
    return f"It is not shown to err where its teacher errs ({bias})."

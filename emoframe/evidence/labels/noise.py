"""Measures how often a labeler says what, given what is true, with intervals.

The record itself, what follows from it for another prior, and its place in the label store are in
`emoframe.weak_labels.noise`, where training can read them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoframe.evidence.grouped import Told, jackknife, told
from emoframe.evidence.labels.labelled import Material
from emoframe.evidence.stats import Interval, accuracy_interval
from emoframe.weak_labels.noise import NoiseMatrix
from emoframe.weak_labels.store import now

ABSTAINED = "(abstains)"


def measured(material: Material) -> NoiseMatrix:
    """Measure P(weak | true) on the training items that were answered, abstentions included.

    Intervals are cluster-robust by subject, see `emoframe.evidence.stats.accuracy_interval`; those
    of a class with fewer than two items are None.
    """
    rows = material.answered.rows
    classes = len(material.classes)
    counts = np.zeros((classes, classes + 1), int)
    for row in rows:
        counts[row.gold, classes if row.weak is None else row.weak] += 1
    cells = [_intervals(material.answered, true, classes) for true in range(classes)]
    known = {row.subject for row in rows if row.subject is not None}
    methods = dict.fromkeys(one.method for row in cells for one in row if one)
    return NoiseMatrix(
        material.dataset, material.prompt.hash, material.labeler.key, material.classes,
        tuple(tuple(map(int, row)) for row in counts),
        tuple(tuple(one.low if one else None for one in row) for row in cells),
        tuple(tuple(one.high if one else None for one in row) for row in cells),
        "; ".join(methods), len(known), now(), material.simulated, material.stamped,
    )  # fmt: skip


def accuracy_at(material: Material, matrix: NoiseMatrix, prior: NDArray[np.float64]) -> Told:
    """Return the accuracy of the labels that are given, where classes have another prior, (K,)."""

    def accuracy(items: NDArray[np.int64]) -> float:
        return _of(material, matrix, items).accuracy(prior)

    return _at(material, matrix, accuracy)


def posterior_at(
    material: Material, matrix: NoiseMatrix, prior: NDArray[np.float64]
) -> list[list[Told]]:
    """Return P(true | weak) for another prior: a row per weak label and for abstentions."""

    def cell(weak: int, true: int) -> Told:
        def share(items: NDArray[np.int64]) -> float:
            return float(_of(material, matrix, items).posterior(prior)[weak, true])

        return _at(material, matrix, share)

    named = np.array(matrix.counts).sum(0)
    return [
        [cell(weak, true) if named[weak] else "never said" for true in range(len(matrix.classes))]
        for weak in range(len(matrix.classes) + 1)
    ]


def shares_table(matrix: NoiseMatrix) -> list[dict[str, Any]]:
    """Return the matrix as rows: one per true class, shares with their intervals, and n."""
    columns = (*matrix.classes, ABSTAINED)
    return [
        {
            "true": name,
            "n": sum(row),
            **{f"says {columns[k]}": _cell(matrix, true, k) for k in range(len(columns))},
        }
        for true, (name, row) in enumerate(zip(matrix.classes, matrix.counts, strict=True))
    ]


def _cell(matrix: NoiseMatrix, true: int, weak: int) -> Told:
    low, high, count = matrix.low[true][weak], matrix.high[true][weak], sum(matrix.counts[true])
    if low is None or high is None:
        return f"{matrix.counts[true][weak]} of {count}"
    return Interval(matrix.counts[true][weak] / count, low, high, matrix.method)


def _intervals(material: Material, true: int, classes: int) -> Sequence[Interval | None]:
    """Return the interval of each share of a class; None where it has too few items."""
    rows = [row for row in material.rows if row.gold == true]
    if len(rows) < 2:
        return [None] * (classes + 1)
    said = np.array([classes if row.weak is None else row.weak for row in rows])
    subjects = [row.subject for row in rows]
    return [accuracy_interval((said == k).astype(float), subjects) for k in range(classes + 1)]


def _of(material: Material, matrix: NoiseMatrix, items: NDArray[np.int64]) -> NoiseMatrix:
    """Count again, on some of the items."""
    classes = len(matrix.classes)
    rows = [material.rows[n] for n in items]
    counts = np.zeros((classes, classes + 1), int)
    for row in rows:
        counts[row.gold, classes if row.weak is None else row.weak] += 1
    return replace(matrix, counts=tuple(tuple(map(int, row)) for row in counts))


def _at(material: Material, matrix: NoiseMatrix, statistic: Any) -> Told:
    lacking = [name for name, count in matrix.n.items() if count < 2]
    if lacking:
        return f"not measurable: fewer than 2 items are {lacking[0]}"

    def whole(items: NDArray[np.int64]) -> float:
        """Leave out no class: that would hang the number on one subject."""
        golds = {material.rows[n].gold for n in items}
        return statistic(items) if len(golds) == len(matrix.classes) else float("nan")

    return told(lambda: jackknife(whole, material.subjects))

"""What somebody said of items, beside what is true of them: runs, baselines and tables alike.

Decided here: everything that is compared is first turned into this one record, so that a run, a
baseline and a CSV file of another tool get the same checks, the same intervals and the same tests.
Folds of one seed are pooled: each item is judged once per seed, by who did not learn from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emoframe.records import Prediction


@dataclass(frozen=True)
class Judged:
    """The labelled predictions of one row of a table.

    Attributes:
        name: What the row is called.
        predictions: One sequence per seed, folds pooled; every prediction has its label.
        seeds: The seed of each; 0 for what has none.
        protocol: Which items of which data set; empty where that is not known.
        mode: Which items had weak labels in training: `inductive`, `transductive`, or empty.
        synthetic: Whether data or weak labels are made up.
    """

    name: str
    predictions: Sequence[Sequence[Prediction]]
    seeds: tuple[int, ...] = (0,)
    protocol: str = ""
    mode: str = ""
    synthetic: bool = False

    @property
    def items(self) -> list[Prediction]:
        """Every item that any seed judged, by id: for its label and its subject."""
        found = {one.id: one for seed in self.predictions for one in seed}
        return [found[item] for item in sorted(found)]

    @property
    def subjects(self) -> list[str | None]:
        """Who each item shows."""
        return [item.subject for item in self.items]

    @property
    def labels(self) -> NDArray[np.int64]:
        """True class of each item, shape (items,)."""
        return np.array([item.label for item in self.items], np.int64)

    @property
    def right(self) -> NDArray[np.float64]:
        """1 where a seed is right about an item, NaN where it did not judge it, (seeds, items)."""
        ids = [item.id for item in self.items]
        told = [{one.id: float(one.predicted == one.label) for one in s} for s in self.predictions]
        return np.array([[one.get(item, np.nan) for item in ids] for one in told])

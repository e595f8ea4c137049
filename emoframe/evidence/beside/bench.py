"""The items that runs are judged on, cut as runs cut them, for what is fitted without a network.

Decided here: a baseline learns from every labelled item that it is not judged on, those of
validation included, since it selects nothing: it never gets less than the run that it stands
beside. What fits it sees the items to judge without their labels. Test items are judged with labels
that were opened for a run before; nothing here opens any.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from emoframe.core.errors import DataError
from emoframe.core.registry import create
from emoframe.evidence.prior_shift import whole
from emoframe.evidence.tables.judged import Judged
from emoframe.interfaces import Dataset
from emoframe.learning.data import check_refs
from emoframe.learning.experiment import Experiment
from emoframe.learning.split import cut_fold, cut_validation
from emoframe.records import Prediction, SampleRef

Array = NDArray[np.float64]
LOG_ODDS_VARIANCE = 10.0
"""Of the log odds of an item, before anything is learned: about 3 either way, however many columns
a table has. It sets how much a regression is held back."""


@dataclass(frozen=True)
class Cut:
    """What is learned from and what is judged, once.

    Attributes:
        learn: Labelled items.
        judge: Other items, without labels.
        seed: Of the cut.
    """

    learn: Sequence[SampleRef]
    judge: Sequence[SampleRef]
    seed: int

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class of each item that is learned from, (N,)."""
        return np.array([ref.label for ref in self.learn], np.int64)

    def shares(self, classes: int) -> Array:
        """Return the shares of the classes among the items that are learned from, (K,)."""
        return np.bincount(self.labels, minlength=classes) / len(self.learn)


Fit: TypeAlias = Callable[[Cut], Array]
"""Returns probabilities of the items to judge, (N, K)."""
Measure: TypeAlias = Callable[[Experiment, Sequence[SampleRef]], pd.DataFrame]
"""Returns one row per item, by its id."""


class Bench:
    """The items of an experiment, cut once per seed and fold.

    Args:
        experiment: The experiment.
        seeds: The seeds of the runs; the experiment's own where none is given.
        folds: Parts into which the training items are cut by subject, each judged by what the
            others teach; 0 judges the items of validation. None takes what the experiment says.
        opened: Class of each test item, as opened for a run: these are judged then, and all
            labelled training items are learned from.

    Raises:
        EmoframeError: The data set cannot be made, or cannot be cut so.
    """

    def __init__(
        self,
        experiment: Experiment,
        seeds: Sequence[int] = (),
        folds: int | None = None,
        opened: Mapping[str, int] | None = None,
    ) -> None:
        self.experiment, self.seeds = experiment, tuple(seeds) or (experiment.seed,)
        self.folds = experiment.folds if folds is None else folds
        if self.folds == 1 or self.folds < 0:
            raise DataError(f"{self.folds} folds cannot be judged on; take 0 or at least 2")
        self.opened = opened
        self.dataset: Dataset = create("dataset", experiment.dataset)
        self.classes = tuple(self.dataset.classes)
        refs, test = self.dataset.samples("train"), self.dataset.samples("test")
        disjoint = getattr(self.dataset, "subject_disjoint", True)
        check_refs(refs, test, self.classes, disjoint=disjoint)
        self._labelled = [ref for ref in refs if ref.label is not None]
        self._test = [ref for ref in test if ref.id in (opened or {})]
        self._labels = {ref.id: ref.label for ref in self._labelled} | dict(opened or {})
        self._tables: dict[Measure, pd.DataFrame] = {}

    @cached_property
    def cuts(self) -> list[list[Cut]]:
        """Every cut of each seed."""
        return [[self._cut(*pair, seed) for pair in self._pairs(seed)] for seed in self.seeds]

    @cached_property
    def refs(self) -> list[SampleRef]:
        """Every item that is learned from or judged, each once."""
        every = (ref for seed in self.cuts for cut in seed for ref in (*cut.learn, *cut.judge))
        return list({ref.id: ref for ref in every}.values())

    def table(self, measure: Measure) -> pd.DataFrame:
        """Return what is measured of every item, which is done once."""
        if measure not in self._tables:
            self._tables[measure] = measure(self.experiment, self.refs)
        return self._tables[measure]

    def judged(self, name: str, fit: Fit, *, synthetic: bool = False) -> Judged:
        """Fit on what each cut learns from, and judge the rest of it.

        Args:
            name: What the row is called.
            fit: Fits and judges.
            synthetic: Whether it learns from what is made up, beside the data set.
        """
        return self.pooled(name, lambda cuts: [fit(cut) for cut in cuts], synthetic=synthetic)

    def pooled(
        self, name: str, fit: Callable[[Sequence[Cut]], Sequence[Array]], *, synthetic: bool = False
    ) -> Judged:
        """Fit on all cuts of a seed together.

        Args:
            name: What the row is called.
            fit: Returns probabilities of the items that each cut judges, (N, K).
            synthetic: As in `judged`.
        """
        told: list[list[Prediction]] = []
        for cuts in self.cuts:
            refs = [ref for cut in cuts for ref in cut.judge]
            found = zip(refs, np.concatenate(fit(cuts)), strict=True)
            told.append(
                [Prediction(ref.id, p, self._labels[ref.id], ref.subject) for ref, p in found]
            )
        made_up, protocol = self.dataset.synthetic or synthetic, self.dataset.protocol
        return Judged(name, told, self.seeds, protocol, synthetic=made_up, classes=self.classes)

    def _pairs(self, seed: int) -> list[tuple[list[SampleRef], list[SampleRef]]]:
        if self.opened is not None:
            if not self._test:
                raise DataError("not one of the labels that were opened is of a test item")
            return [(self._labelled, self._test)]
        if self.folds:
            return [cut_fold(self._labelled, self.folds, n, seed) for n in range(self.folds)]
        return [cut_validation(self._labelled, self.experiment.train.val_fraction, seed)]

    @staticmethod
    def _cut(learn: Sequence[SampleRef], judge: Sequence[SampleRef], seed: int) -> Cut:
        return Cut(learn, [replace(ref, label=None) for ref in judge], seed)


def regression(table: pd.DataFrame, classes: int) -> Fit:
    """Return the fit of a logistic regression on a table.

    What is not known is imputed and every column scaled inside the cut; columns that do not vary
    there are left out.

    Args:
        table: One row per item, by its id; NaN where a number is not known.
        classes: Number of classes K.
    """

    def fit(cut: Cut) -> Array:
        learn, judge = (
            table.loc[[ref.id for ref in refs]].to_numpy(float) for refs in (cut.learn, cut.judge)
        )
        varies = np.array([len(np.unique(one[np.isfinite(one)])) > 1 for one in learn.T], bool)
        if not varies.any():
            return np.tile(cut.shares(classes), (len(judge), 1))
        model = make_pipeline(
            SimpleImputer(strategy="median"),
            StandardScaler(),
            LogisticRegression(C=LOG_ODDS_VARIANCE / int(varies.sum()), max_iter=5000),
        )
        model.fit(learn[:, varies], cut.labels)
        return whole(model, judge[:, varies], classes)

    return fit

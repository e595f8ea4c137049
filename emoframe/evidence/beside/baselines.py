"""The baselines that stand beside every result, on the same items, with the same cuts.

Decided here: a result is only as good as what it is better than. A baseline that cannot be had says
why in its row and stops no other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from emoframe.core.errors import EmoframeError
from emoframe.evidence.beside.bench import Array, Bench, Cut
from emoframe.evidence.beside.nuisance import (
    MASKS,
    NUISANCE,
    SHUFFLED,
    masks_only,
    nuisance,
    shuffled,
)
from emoframe.evidence.beside.teacher import SHIFTED, TEACHER, teacher, teacher_shifted
from emoframe.evidence.tables.judged import Judged
from emoframe.learning.experiment import Experiment

MAJORITY = "majority"


def majority(bench: Bench) -> Judged:
    """Judge by the class that is most frequent among the items that are learned from.

    Its probabilities are the shares of the classes there.
    """

    def fit(cut: Cut) -> Array:
        return np.tile(cut.shares(len(bench.classes)), (len(cut.judge), 1))

    return bench.judged(MAJORITY, fit)


ALWAYS: dict[str, Callable[[Bench], Judged]] = {
    MAJORITY: majority,
    SHUFFLED: shuffled,
    NUISANCE: nuisance,
    MASKS: masks_only,
}
"""Baselines of every result, by name."""
WEAK: dict[str, Callable[[Bench], Judged]] = {
    TEACHER: teacher,
    **{name: partial(teacher_shifted, method=method) for method, name in SHIFTED.items()},
}
"""Baselines of results with weak labels, or with texts by who made them."""


def baselines(
    experiment: Experiment,
    seeds: Sequence[int] = (),
    folds: int | None = None,
    opened: Mapping[str, int] | None = None,
    on_row: Callable[[str], None] = lambda name: None,
) -> dict[str, Judged | str]:
    """Judge by all baselines that apply to an experiment.

    Args:
        experiment: The experiment.
        seeds: The seeds of the runs; the experiment's own where none is given.
        folds: Parts into which the training items are cut by subject, each judged by what the
            others teach; 0 judges the items of validation. None takes what the experiment says.
        opened: Class of each test item, as opened for a run: these are judged then.
        on_row: Called with the name of each that is done.

    Returns:
        Each baseline by its name; or why it cannot be had.

    Raises:
        EmoframeError: The data set cannot be made, or cannot be cut so.
    """
    bench = Bench(experiment, seeds, folds, opened)
    _ = bench.cuts  # what cannot be cut is no matter of one baseline
    found: dict[str, Judged | str] = {}
    for name, judge in (ALWAYS | (WEAK if experiment.weak_labels else {})).items():
        try:
            found[name] = judge(bench)
        except EmoframeError as error:
            found[name] = str(error)
        on_row(name)
    return found

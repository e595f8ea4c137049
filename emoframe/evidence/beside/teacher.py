"""What the weak labels are worth alone, and whether their student knows more than they do.

A student that learned from weak labels, or that reads what their maker wrote, may do no more than
repeat it. Decided here: its teacher therefore stands beside it as it is, and corrected for how
frequent the classes are, both judged on the same items; and it is told apart from the teacher where
the two disagree, since where they agree both are right or both are wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from emoframe.core.errors import DataError
from emoframe.evidence.beside.bench import Array, Bench, Cut
from emoframe.evidence.prior_shift import Method, corrector
from emoframe.evidence.tables.judged import Judged
from emoframe.labelling import WeakLabel
from emoframe.learning.sources import answers, name_of
from emoframe.weak_labels.read import in_order

TEACHER = "teacher"
SHIFTED: dict[Method, str] = {"em": "teacher, prior by EM", "bbse": "teacher, prior by BBSE"}


def teacher(bench: Bench, *, named_only: bool = False) -> Judged:
    """Judge by the weak label alone.

    Where it abstained, or was not asked, the shares of the classes among the items that are learned
    from stand in, so that the most frequent class is named.

    Args:
        bench: The items; their experiment says whose weak labels.
        named_only: Leave those items out instead.

    Raises:
        DataError: There are no weak labels, or none of these items.
    """
    said, made_up = _said(bench)
    count = len(bench.classes)

    def fit(cut: Cut) -> Array:
        shares = cut.shares(count)
        return np.array([said.get(ref.id, shares) for ref in cut.judge])

    found = bench.judged(TEACHER, fit, synthetic=made_up)
    if not named_only:
        return found
    told = [[one for one in seed if one.id in said] for seed in found.predictions]
    if not any(told):
        raise DataError("the teacher names a class in not one of the items that are judged")
    return replace(found, predictions=told)


def teacher_shifted(bench: Bench, method: Method = "em") -> Judged:
    """Judge by a regression on the teacher's confidences, for the shares of the judged items.

    It is fitted on what the teacher says of the items that are learned from; the shares of the
    classes among the judged items, of all folds together, are then estimated from what it says of
    those, without a label. Items without a weak label get these shares. Shares that are found in
    few items, or by a weak teacher, are far off, and cost more than they bring.

    Args:
        bench: The items; their experiment says whose weak labels.
        method: How the shares are found, see `prior_shift.adapt`; the confusion that `bbse` needs
            is counted on subjects that the regression was not fitted on.

    Raises:
        DataError: There are no weak labels, or too few.
    """
    said, made_up = _said(bench)
    fit = partial(_shifted, said=said, count=len(bench.classes), method=method)
    return bench.pooled(
        SHIFTED[method], lambda cuts: [fit(cut, cuts) for cut in cuts], synthetic=made_up
    )


def _said(bench: Bench) -> tuple[dict[str, Array], bool]:
    """Return shares of the classes for each item in which one was named, and if they are made up.

    As in training, the first of several labels of an item speaks.
    """
    experiment = bench.experiment
    if experiment.weak_labels is None:
        raise DataError("the config has no section `weak_labels`, so there is no teacher")
    found = answers(experiment, name_of(experiment, bench.dataset), bench.classes)
    items = {ref.id for ref in bench.refs}
    told = {
        item: in_order(labels[0], bench.classes)
        for item, labels in found.labels.items()
        if labels and item in items
    }
    said = {item: _shares(one) for item, one in told.items() if one.label is not None}
    if not said:
        raise DataError(
            f"the label store {str(experiment.weak_labels.store)!r} names a class in none of the "
            f"{len(items)} items that are learned from or judged; run emoframe label for the split"
        )
    return said, found.simulated


def _shares(label: WeakLabel) -> Array:
    """Return what was stated as shares; all of it for a class that was named without any."""
    named = np.eye(len(label.classes))[label.label or 0]
    stated = np.array(label.confidence or named, float)
    if not stated.sum() or stated.argmax() != label.label:
        return named
    return stated / stated.sum()


def _shifted(
    cut: Cut, cuts: Sequence[Cut], said: dict[str, Array], count: int, method: Method
) -> Array:
    """Judge one cut, for the shares of the classes among what all cuts of its seed judge."""
    learn = [ref for ref in cut.learn if ref.id in said]
    known = [ref.id for one in cuts for ref in one.judge if ref.id in said]
    if not known or not learn:
        return np.tile(cut.shares(count), (len(cut.judge), 1))
    correct = corrector(
        np.array([said[ref.id] for ref in learn]),
        np.array([ref.label for ref in learn], np.int64),
        [ref.subject for ref in learn],
        method,
    )
    adapted = correct(np.array([said[item] for item in known]))
    found = dict(zip(known, adapted.probability, strict=True))
    return np.array([found.get(ref.id, adapted.prior) for ref in cut.judge])

"""Cutting training items by subject: folds to judge on, and validation to select by.

So neither selection nor a result ever sees a person twice.

The folds come from scikit-learn; a fixed seed gives a fixed cut, whatever the training seed is
made of, because it is part of the experiment.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from itertools import islice

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from emoframe.core.errors import DataError
from emoframe.records import SampleRef

NO_SUBJECTS = (
    "the data set names no subject: validation was cut by item, and people of training may be in it"
)
"""What every number on such a validation has to say of itself."""
log = logging.getLogger(__name__)


def cut_validation(
    refs: Sequence[SampleRef], fraction: float, seed: int
) -> tuple[list[SampleRef], list[SampleRef]]:
    """Cut the training items into training and validation.

    By subject where any item has one, else stratified by class, which is told.

    Args:
        refs: Labelled items of the split `train`.
        fraction: Share of subjects (or items) that validation takes, in (0, 1).
        seed: Decides the cut.

    Raises:
        DataError: An item has no label, or a class has too few items or subjects to cut.
    """
    labels = [ref.label for ref in refs]
    counts = Counter(labels)
    if None in counts:
        raise DataError(f"{counts[None]} of {len(refs)} training items have no label")
    if len(counts) < 2:
        raise DataError(f"the training split holds {len(refs)} items of one class; two are needed")
    folds = max(2, round(1 / fraction))
    if min(counts.values()) < folds:
        raise DataError(
            f"the rarest class has {min(counts.values())} training items, too few for a validation "
            f"share of {fraction:g}; {folds} are needed, or raise train.val_fraction"
        )
    train, val = _cut(refs, folds, seed)
    lacking = set(counts) - {ref.label for ref in train}
    if lacking or len({ref.label for ref in val}) < 2:
        raise DataError(
            f"cut by subject, {'training' if lacking else 'validation'} holds too few classes: too "
            "few subjects show each class; raise train.val_fraction or take another seed"
        )
    return train, val


def cut_fold(
    refs: Sequence[SampleRef], folds: int, fold: int, seed: int, by: str = "subject"
) -> tuple[list[SampleRef], list[SampleRef]]:
    """Cut the training items into those to learn from and those of one fold, to judge on.

    The cut is a pure function of the items, the number of folds and the seed, so that the folds of
    a seed hold every item once.

    Args:
        refs: Labelled items of the split `train`.
        folds: Number of folds, at least 2.
        fold: Which of them is held out.
        seed: Decides the cut.
        by: `subject`; or `item`, which puts people on both sides.

    Raises:
        DataError: What is left to learn from lacks a class, or too few subjects are there.
    """
    counts = Counter(ref.label for ref in refs)
    if len(counts) < 2 or min(counts.values()) < folds:
        raise DataError(
            f"{folds} folds need {folds} items of each of two classes; the rarest class has "
            f"{min(counts.values(), default=0)}; take fewer folds"
        )
    kept, held = _cut(refs, folds, seed, fold, by)
    if not held or len({ref.label for ref in kept}) < len(counts):
        raise DataError(
            f"fold {fold} of {folds} with seed {seed}: "
            + ("nobody is held out" if not held else "what is left to learn from lacks a class")
            + ": too few subjects show each; take fewer folds or another seed"
        )
    return kept, held


def _cut(
    refs: Sequence[SampleRef], folds: int, seed: int, fold: int = 0, by: str = "subject"
) -> tuple[list[SampleRef], list[SampleRef]]:
    """Take one fold out; an item without a subject is a subject of its own."""
    labels = [ref.label for ref in refs]
    if by == "subject" and any(ref.subject is not None for ref in refs):
        groups = [ref.subject if ref.subject is not None else f"item {ref.id}" for ref in refs]
        if len(set(groups)) < folds:
            raise DataError(
                f"there are {len(set(groups))} training subjects, too few to cut them into "
                f"{folds} parts; take fewer folds, or raise train.val_fraction"
            )
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        cuts = splitter.split(np.zeros(len(refs)), labels, groups)
    else:
        if by == "subject":
            log.warning(NO_SUBJECTS)
        splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
        cuts = splitter.split(np.zeros(len(refs)), labels)
    rest, out = next(islice(cuts, fold, None))
    return [refs[i] for i in rest], [refs[i] for i in out]

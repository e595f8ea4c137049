"""Cutting validation from train, by subject, so that selection never sees a person twice.

The folds come from scikit-learn; a fixed seed gives a fixed cut, whatever the training seed is
made of, because it is part of the experiment.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

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


def _cut(
    refs: Sequence[SampleRef], folds: int, seed: int
) -> tuple[list[SampleRef], list[SampleRef]]:
    """Take the first fold for validation; an item without a subject is a subject of its own."""
    labels = [ref.label for ref in refs]
    if any(ref.subject is not None for ref in refs):
        groups = [ref.subject if ref.subject is not None else f"item {ref.id}" for ref in refs]
        if len(set(groups)) < folds:
            raise DataError(
                f"there are {len(set(groups))} training subjects, too few to cut one validation "
                f"share in {folds}; raise train.val_fraction"
            )
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        train, val = next(splitter.split(np.zeros(len(refs)), labels, groups))
    else:
        log.warning(NO_SUBJECTS)
        splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
        train, val = next(splitter.split(np.zeros(len(refs)), labels))
    return [refs[i] for i in train], [refs[i] for i in val]

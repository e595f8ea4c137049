"""Two records of the same items, side by side: what is compared is paired, or refused.

Decided here: items are the same if their ids and their labels are. Validation is cut anew by each
seed, so that one item may have been judged more often than another; pairs are made of judgements,
and a mean over items weighs each by how often it was judged.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emoframe.core.errors import DataError
from emoframe.evidence.tables.judged import Judged, some


def by_item(right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return one number per item, (items,), whose mean and spread are those of all judgements.

    Where every seed judged every item it is the mean over seeds; elsewhere its distance from the
    overall mean is weighted by how many seeds judged the item (the linearised ratio).

    Args:
        right: 0 or 1 per seed and item, NaN where a seed did not judge it, (seeds, items).
    """
    count = np.isfinite(right).sum(0)
    value = np.nanmean(right)
    return value + count / count.mean() * (np.nanmean(right, 0) - value)


def aligned(first: Judged, other: Judged) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return who of two was right, (seeds, items) of each, on the very same judgements.

    What has one seed, as a CSV file has, says the same in each seed of the other.

    Raises:
        DataError: They were judged on other items, or their seeds on other parts of them.
    """
    _check_same(first, other)
    one, two = first.right, other.right
    if len(one) == 1 or len(two) == 1:
        shape = max(one.shape, two.shape)
        one, two = np.broadcast_to(one, shape), np.broadcast_to(two, shape)
        unseen = np.isnan(one) | np.isnan(two)
        one, two = np.where(unseen, np.nan, one), np.where(unseen, np.nan, two)
        if np.isnan(one).all(0).any():
            raise DataError(f"{first.name} and {other.name} were judged on other items")
    whole = np.isfinite(one).all() and np.isfinite(two).all()
    if not whole and not (one.shape == two.shape and np.array_equal(np.isnan(one), np.isnan(two))):
        raise DataError(
            f"{first.name} and {other.name} have other seeds, each of which cuts a validation of "
            "its own; compare them on held or test, or train both with the same seeds"
        )
    return one, two


def _check_same(first: Judged, other: Judged) -> None:
    """Refuse two that were judged on other items."""
    one, two = ({item.id: item.label for item in row.items} for row in (first, other))
    told = [
        f"{some(lacking)} of {mine.name} not in {its.name}"
        for mine, its, lacking in (
            (first, other, [item for item in one if item not in two]),
            (other, first, [item for item in two if item not in one]),
        )
        if lacking
    ]
    wrong = [item for item in one if item in two and one[item] != two[item]]
    told += [f"{some(wrong)} with another label"] if wrong else []
    if told:
        raise DataError(
            f"{first.name} and {other.name} were judged on other items: {'; '.join(told)}; only "
            "what was judged on the same items can be compared"
        )

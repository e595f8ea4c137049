"""Whether a difference between two networks is more than chance, asked by subject.

Decided here: the test of a difference is a permutation by subject, since videos of one person are
no independent measurements: if the two are alike, each subject's difference might as well have had
the other sign. Folds are no measurements and are never tested over. McNemar's exact test stands
beside it as what papers print; it takes items for independent. The libraries are scipy and
statsmodels. What cannot be tested is a sentence, never p = 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import permutation_test

from emoframe.core.errors import DataError
from emoframe.evidence.stats import NotMeasurableError, Subjects, grouped

EXACT, DRAWS, BATCH = 2**14, 100_000, 2000
"""Most patterns of signs that are all counted; how many are drawn where there are more."""


@dataclass(frozen=True)
class Test:
    """What a test of no difference found.

    Attributes:
        p: How often chance alone gives a difference at least as large, two-sided.
        method: Test, and over what.
        note: What limits it, as a sentence; empty where nothing does.
    """

    __test__ = False  # pytest collects classes of this name

    p: float
    method: str
    note: str = ""

    def __str__(self) -> str:
        """As in `p = 0.031`, or `p < 0.001`."""
        return f"p = {self.p:.3f}" if self.p >= 0.001 else "p < 0.001"


def sign_flip(gap_by_item: NDArray[np.float64], subjects: Subjects | None = None) -> Test:
    """Test whether a paired difference is 0 by flipping its sign subject by subject.

    Args:
        gap_by_item: How much more often the other is right, by item; -1, 0 or 1, or the mean over
            seeds, (items,).
        subjects: Who each item shows; an item without one is its own subject.

    Raises:
        DataError: There is not one subject per item, or a difference is no number.
        NotMeasurableError: There is one subject, or no difference.
    """
    gap = np.asarray(gap_by_item, float)
    given = [None] * len(gap) if subjects is None else list(subjects)
    if len(given) != len(gap):
        raise DataError(f"{len(gap)} differences are of {len(given)} subjects; name one for each")
    if not np.isfinite(gap).all():
        raise DataError("a difference by item is no number; leave out what was not judged by both")
    group, count = grouped(given)
    if count < 2:
        raise NotMeasurableError(
            f"{len(gap)} items of {count} subject{'' if count == 1 else 's'} say nothing of others"
        )
    sums = np.bincount(group, gap).astype(float)
    moved = sums[np.abs(sums) > 1e-9]  # who shows no difference shows none with the other sign
    if not np.any(np.abs(gap) > 1e-9):
        raise NotMeasurableError(f"no item of {len(gap)} was judged differently")
    if not len(moved):
        raise NotMeasurableError(f"no subject of {count} was judged better or worse on the whole")
    unit = "subjects" if any(one is not None for one in given) else "items; subjects are unknown"
    return _flipped(moved, f"{count} {unit}")


def mcnemar(first: NDArray[np.float64], other: NDArray[np.float64]) -> Test:
    """Test by items whether two networks are right equally often (McNemar 1947, exact binomial).

    Args:
        first: 0 or 1 by item, (items,); of one seed.
        other: The same for the other network.

    Raises:
        DataError: The two were not judged on the same items, or hold means over seeds.
        NotMeasurableError: There is no item, or none in which they differ.
    """
    from statsmodels.stats.contingency_tables import mcnemar as exact  # two seconds

    one, two = np.asarray(first, float), np.asarray(other, float)
    if one.shape != two.shape or one.ndim != 1:
        raise DataError(f"McNemar's test pairs items: shapes {one.shape} and {two.shape} do not")
    if not np.isin([one, two], (0, 1)).all():
        raise DataError("McNemar's test takes 0 or 1 by item, not means over seeds; give one seed")
    table = [[int(((one == a) & (two == b)).sum()) for b in (1, 0)] for a in (1, 0)]
    lost, won = table[0][1], table[1][0]
    if not lost + won:
        raise NotMeasurableError(f"no item of {len(one)} was judged differently")
    found: Any = exact(table, exact=True)
    note = f"{won} items won and {lost} lost, taken for independent whoever they show"
    return Test(float(found.pvalue), f"exact McNemar over {len(one)} items", note)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values for having asked them all (Holm 1979), in the given order.

    Args:
        p_values: Of one family, as the rows of a table against its first; those that could not be
            measured left out.

    Raises:
        DataError: One is not in [0, 1].
    """
    from statsmodels.stats.multitest import multipletests  # two seconds

    wrong = [p for p in p_values if not 0 <= p <= 1]
    if wrong:
        raise DataError(f"{wrong[0]} is no p-value; leave out what could not be tested")
    if not p_values:
        return []
    corrected: Any = multipletests(list(p_values), method="holm")[1]
    return [float(p) for p in corrected]


def _flipped(sums: NDArray[np.float64], of: str) -> Test:
    """Compare a sum to those under all signs, or under many drawn ones with the +1 correction."""
    if len(sums) == 1:  # scipy wants two
        return Test(1.0, f"sign-flip, all 2 patterns, over {of}", "a single one of them differs")
    patterns = 2.0 ** len(sums)
    exact = patterns <= EXACT
    found = permutation_test(
        (sums,),
        # rounded, so that sums that are equal but for the order of adding are ties
        lambda x, axis: np.round(x.sum(axis=axis), 9),
        permutation_type="samples",
        vectorized=True,
        n_resamples=EXACT if exact else DRAWS,
        batch=BATCH,
        rng=np.random.default_rng(0),
    )
    how = f"all {patterns:.0f} patterns" if exact else f"{DRAWS} random patterns"
    note = ""
    if 2 / patterns > 0.05:
        note = f"{len(sums)} of them differ, so that no p below {2 / patterns:.3f} is possible"
    return Test(float(found.pvalue), f"sign-flip, {how}, over {of}", note)

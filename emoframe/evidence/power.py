"""The smallest difference between two networks that a protocol could show, before anything is run.

Decided here: the question is about the paired difference by item, which is -1, 0 or 1. It varies
with the share of items that only one of the two gets right (the discordance) and with how alike the
items of one subject are (the intraclass correlation of the difference); both are assumed, printed,
and replaced by what was measured where predictions are there. A difference is detectable if the
test by subject finds it in four of five such studies (Cohen 1988).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from emoframe.core.errors import DataError
from emoframe.evidence.sizes import Cohort
from emoframe.evidence.stats import (
    NotMeasurableError,
    Subjects,
    effective,
    freedom,
    paired_error,
    share_interval,
)

ALPHA, POWER, DISCORDANCES, ICC, REPEATED = 0.05, 0.8, (0.1, 0.2, 0.3), 0.1, 0.5
"""Of tables: level, power, shares of discordant items, correlation within a subject; and the share
of an item's variance that another seed repeats."""


def detectable(
    sizes: Sequence[int],
    accuracy: float,
    discordance: float = 0.2,
    icc: float = ICC,
    seeds: int = 1,
    power: float = POWER,
    alpha: float = ALPHA,
    repeated: float = REPEATED,
) -> float:
    """Return the smallest difference in accuracy that the test by subject would find.

    The variance of the mean difference d is (discordance - d^2) / items, times the design effect
    1 + icc (sum of squared sizes / items - 1) of items that come by subject (Kish 1965); of several
    seeds, the part of it that is of the training alone is divided by their number. d is found where
    it is (t_{1 - alpha/2} + t_{power}) standard errors, with effective subjects - 1 degrees of
    freedom. The sign-flip test, whose p-values come in steps, finds it a little less often: in
    about three of four such studies where the formula says four of five.

    Args:
        sizes: Items of each subject.
        accuracy: Of the worse network, in [0, 1]; limits how much better another can be.
        discordance: Share of items that only one of the two gets right, in one seed.
        icc: Correlation of the differences of two items of one subject, in [0, 1].
        seeds: Over how many the difference by item is averaged.
        power: Share of studies that find it.
        alpha: Level of the two-sided test.
        repeated: Share of an item's variance that is the item's own and comes back in every seed.

    Returns:
        The difference, as a share of items.

    Raises:
        DataError: A share is outside [0, 1].
        NotMeasurableError: There are fewer than two subjects, or no difference that such
            discordance and accuracy allow would be found.
    """
    _check_shares(accuracy=accuracy, discordance=discordance, icc=icc, repeated=repeated)
    if seeds < 1 or not 0 < alpha < power < 1:
        raise DataError("power needs at least one seed and 0 < alpha < power < 1")
    _refuse_few(sizes)
    spread = _quantiles(_effective(sizes), power, alpha) ** 2 * _shrunk(sizes, icc, seeds, repeated)
    found, most = sqrt(spread * discordance / (1 + spread)), 2 * (1 - accuracy) - discordance
    if most < 0:
        raise NotMeasurableError(
            f"a network that is no worse than {accuracy:.0%} differs in at most "
            f"{200 * (1 - accuracy):.0f}% of the items"
        )
    if found > min(most, discordance):
        raise NotMeasurableError(
            f"it would have to be {100 * found:.1f} points, and is at most "
            f"{100 * min(most, discordance):.1f}"
        )
    return found


def detectable_from(
    gap_by_item: NDArray[np.float64],
    subjects: Subjects | None = None,
    power: float = POWER,
    alpha: float = ALPHA,
) -> float:
    """Return the smallest difference that would be found, by the variance that was measured.

    Args:
        gap_by_item: How much more often the other is right, by item, or its mean over seeds.
        subjects: Who each item shows; items count as independent where one is unknown.
        power: Share of studies that find it.
        alpha: Level of the two-sided test.

    Raises:
        NotMeasurableError: There are fewer than two items, or all are of one subject.
    """
    gap = np.asarray(gap_by_item, float)
    known = [] if subjects is None else [one for one in subjects if one is not None]
    if len(gap) < 2 or (len(known) == len(gap) and len(set(known)) < 2):
        raise NotMeasurableError(f"{len(gap)} items of one subject say nothing of others")
    error, clusters, _ = paired_error(gap, subjects)
    return _quantiles(clusters, power, alpha) * error


def power_table(
    judged: Sequence[Cohort], accuracy: float = 0.7, icc: float = ICC, seeds: int = 1
) -> pd.DataFrame:
    """Put what could be detected in one table, a row for each assumed discordance.

    Args:
        judged: Items of a result.
        accuracy: Assumed accuracy.
        icc: Assumed correlation within a subject, of the difference and of being right.
        seeds: Over how many a result is averaged.

    Returns:
        Points and videos that can be detected, or why none can; `attrs["caption"]` says by what
        assumptions.

    Raises:
        DataError: Nothing is judged, or a share is outside [0, 1].
    """
    if not judged:
        raise DataError("there are no items to look at")
    _check_shares(accuracy=accuracy, icc=icc)
    rows = [
        _row(one, accuracy, discordance, icc, seeds)
        for one in judged
        for discordance in DISCORDANCES
    ]
    table = pd.DataFrame(rows, dtype=object)
    sizes = "; ".join(dict.fromkeys(f"{one.name}: {one.source}" for one in judged))
    table.attrs["caption"] = (
        f"two networks, the worse right in {accuracy:.0%} of the items, judged on the same ones in "
        f"{seeds} seed{'s' * (seeds > 1)}; correlation within a subject {icc:g}; a test by subject "
        f"at {ALPHA:g} finds the difference with power {POWER:g}; what is smaller is not to be "
        f"called one\nsizes: {sizes}"
    )
    few = [one.name for one in judged if len(one.sizes) < 6]
    if few:
        table.attrs["caption"] += (
            f"\n{', '.join(few)}: with fewer than six subjects the sign-flip test has no p below "
            "0.05, whatever the difference"
        )
    return table


def _row(
    judged: Cohort, accuracy: float, discordance: float, icc: float, seeds: int
) -> dict[str, object]:
    row: dict[str, object] = {
        "judged on": judged.name,
        "items": judged.items,
        "subjects": len(judged.sizes),
        "interval": None,
        "discordant (assumed)": discordance,
        "detectable": None,
        "videos": None,
    }
    try:
        row["interval"] = f"± {100 * interval_half(judged.sizes, accuracy, icc):.1f} points"
        found = detectable(judged.sizes, accuracy, discordance, icc, seeds)
    except NotMeasurableError as error:
        return row | {"detectable": f"none: {error}"}
    videos = int(np.ceil(found * judged.items - 1e-9))
    return row | {"detectable": f"{100 * found:.1f} points", "videos": videos}


def interval_half(sizes: Sequence[int], accuracy: float, icc: float) -> float:
    """Return half the expected width of the default interval around an accuracy.

    Args:
        sizes: Items of each subject.
        accuracy: In [0, 1].
        icc: Correlation of being right about two items of one subject.

    Raises:
        DataError: A share is outside [0, 1].
        NotMeasurableError: There are fewer than two subjects.
    """
    _check_shares(accuracy=accuracy, icc=icc)
    _refuse_few(sizes)
    error = sqrt(accuracy * (1 - accuracy) * _shrunk(sizes, icc, 1, 1.0))
    found = share_interval(accuracy, error, _effective(sizes), "")
    return (found.high - found.low) / 2


def _check_shares(**shares: float) -> None:
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise DataError(f"{name}: must be in [0, 1], got {share}")


def _refuse_few(sizes: Sequence[int]) -> None:
    if len(sizes) < 2:
        raise NotMeasurableError(f"it takes two subjects at least, not {len(sizes)}")


def _effective(sizes: Sequence[int]) -> float:
    return effective(np.repeat(np.arange(len(sizes)), sizes))


def _shrunk(sizes: Sequence[int], icc: float, seeds: int, repeated: float) -> float:
    """Return by how much the variance of a mean over items and seeds is less than that of one."""
    items, squares = sum(sizes), sum(size**2 for size in sizes)
    design = 1 + icc * (squares / items - 1)
    return (repeated + (1 - repeated) / seeds) * design / items


def _quantiles(clusters: float, power: float, alpha: float) -> float:
    return float(sum(stats.t.ppf([1 - alpha / 2, power], freedom(clusters))))

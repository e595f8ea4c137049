"""Figures of weak labels: how true their confidences are, and how often they say what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from emoframe.evidence.pictures.figures import INK, PAIR

ROOM = 0.06
"""Least distance on the axis of confidences between two bins whose numbers are both written."""

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from emoframe.evidence.labels.calibrate import Calibration


def reliability(found: Sequence[Calibration]) -> Figure:
    """Draw how often items are right over how sure they are, and how many are in each bin.

    Args:
        found: One panel each.
    """
    figure = _figure(2.7 * len(found) + 0.5, 3.9)
    all_axes = figure.subplots(
        2, len(found), squeeze=False, sharex=True, height_ratios=(3, 1), sharey="row"
    )
    for (top, below), one in zip(all_axes.T, found, strict=True):
        sure = [each.sure for each in one.bins]
        value = [each.right.value for each in one.bins]
        error = [
            [each.right.value - each.right.low for each in one.bins],
            [each.right.high - each.right.value for each in one.bins],
        ]
        top.plot((0, 1), (0, 1), color="0.6", linestyle=":")
        top.errorbar(sure, value, yerr=error, fmt="o", color=PAIR[0], capsize=2, markersize=4)
        top.set_title(one.name, fontsize="medium")
        top.set_xlim(-0.05, 1.05)
        top.set_ylim(-0.03, 1.03)
        _counts(below, sure, [each.count for each in one.bins])
        below.set_xlabel("confidence")
    all_axes[0, 0].set_ylabel("share that is right")
    all_axes[1, 0].set_ylabel("items")
    return figure


def _counts(axes: Axes, sure: Sequence[float], counts: Sequence[int]) -> None:
    """Draw the items of each bin, with their number where bins do not stand too close."""
    axes.bar(sure, counts, width=0.03, color=PAIR[1])
    axes.set_ylim(0, 1.5 * max(counts))
    axes.set_yticks([])
    steps = np.diff(sorted(sure))
    if not len(steps) or steps.min() > ROOM:
        for place, count in zip(sure, counts, strict=True):
            axes.annotate(
                str(count), (place, count), (0, 2), textcoords="offset points", ha="center",
                fontsize="x-small",
            )  # fmt: skip
    else:
        axes.set_yticks([0, max(counts)])


def noise(counts: NDArray[np.int64], classes: Sequence[str], abstained: str) -> Figure:
    """Draw P(weak | true) with the number of items in each cell.

    Args:
        counts: Items by true class and weak label, the last column abstentions, (K, K + 1).
        classes: Names of the classes.
        abstained: Name of the last column.
    """
    figure = _figure(1.6 + 0.9 * len(classes), 1.4 + 0.6 * len(classes))
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        text = f"{shares[row, column]:.0%}\n{count}" if counts[row].sum() else "no item"
        colour = "w" if shares[row, column] > 0.5 else INK
        axes.text(column, row, text, ha="center", va="center", color=colour)
    names = [*classes, abstained]
    axes.set_xticks(range(len(names)), names, rotation=90 if len(names) > 5 else 0)
    axes.set_yticks(range(len(classes)), list(classes))
    axes.set_xlabel("weak label")
    axes.set_ylabel("true class")
    return figure


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure  # without pyplot no window system is asked for

    return Figure(figsize=(width, height), layout="constrained")

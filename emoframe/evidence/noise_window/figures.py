"""Figures of the noise study: curves of theory as lines, what was measured as points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from emoframe.evidence.noise_window.bounds import reference_bound
from emoframe.evidence.noise_window.window import break_even, curves, effective_size
from emoframe.evidence.pictures.figures import INK, PAIR
from emoframe.evidence.stats import Interval
from emoframe.perception.draw import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from emoframe.evidence.noise_window.gain import Curve
    from emoframe.evidence.noise_window.study import Best

LINES = tuple(COLOURS[number] for number in (4, 5, 2, 6, 1))
"""Without the yellow, which a thin line on white does not show."""
FINE = np.linspace(0, 0.5, 201)
RATE = "noise rate e of the weak labels"
GAIN = "gain, percentage points"


def window(
    unit: Curve, best: Curve, teacher: float, expected: Sequence[NDArray[np.float64]]
) -> Figure:
    """Draw the gain at two weights over the rate, with break-even predicted and measured.

    Args:
        unit: Gains at weight 1.
        best: Gains at weight 1 - 2e.
        teacher: The paper's rate.
        expected: What theory says of both at the rates `FINE`, as shares.
    """
    figure = _figure(8.0, 4.2)
    axes = figure.subplots()
    _zero(axes)
    for curve, line, colour, marker in zip((unit, best), expected, PAIR, "os", strict=True):
        axes.plot(FINE, 100 * line, color=colour, label=f"weight {curve.weight}: theory")
        _points(axes, curve, colour, marker, f"weight {curve.weight}: measured")
    found = unit.break_even
    if isinstance(found, Interval):
        axes.axvspan(found.low, found.high, color=PAIR[0], alpha=0.15, linewidth=0)
        axes.axvline(
            found.value, color=PAIR[0], linestyle=":", label=f"break-even measured {found}"
        )
    edge = break_even(unit.world.n, unit.world.m)
    axes.axvline(
        edge, color=INK, linestyle="--", linewidth=1, label=f"break-even theory {edge:.3f}"
    )
    _mark(axes, teacher)
    axes.set_xlabel(RATE)
    axes.set_ylabel(GAIN)
    axes.legend(frameon=False, fontsize="small", loc="lower left")
    return figure


def sizes(n: int, m: int, teacher: float) -> Figure:
    """Draw n_eff over the rate, and beside it the bound of Lang et al. for a reference student."""
    figure = _figure(8.0, 3.9)
    left, right = figure.subplots(1, 2)
    told = curves(n, m, FINE)
    left.plot(FINE, told.size_E, color=PAIR[0], label="weight 1")
    left.plot(FINE, effective_size(n, m, FINE, 0.5), color=COLOURS[2], label="weight 0.5")
    left.plot(FINE, told.best_size_E, color=PAIR[1], label="weight 1 - 2e")
    left.axhline(n, color="0.6", linewidth=1)
    left.annotate(f"n = {n} gold labels alone", (0.005, n), va="top", fontsize="small", color="0.4")
    point = float(effective_size(n, m, teacher))
    left.plot(teacher, point, "o", color=INK)
    left.annotate(
        f"the paper's point: {point:.0f}", (teacher, point), (-8, -4), ha="right", va="top",
        textcoords="offset points", fontsize="small",
    )  # fmt: skip
    left.set_xlabel(RATE)
    left.set_ylabel("n_eff, gold labels")
    left.legend(frameon=False, fontsize="small")
    right.plot(FINE, FINE, color="0.6", linewidth=1, label="the teacher itself")
    for (c, bound), style in zip(told.lang_E.items(), (":", "--", "-"), strict=True):
        right.plot(FINE, bound, color=COLOURS[4], linestyle=style, label=f"bound, c = {c:g}")
    weak = reference_bound(FINE, 1.0, 0.05)
    right.plot(FINE, weak, color=PAIR[1], label="bound, c = 1, 5 % not robust")
    _mark(right, teacher)
    right.set_xlabel("noise rate a of a class")
    right.set_ylabel("error of a student")
    right.legend(frameon=False, fontsize="small", loc="upper left")
    return figure


def amounts(found: Sequence[Curve], n: int) -> Figure:
    """Draw break-even at weight 1 over the number of weak labels per gold label."""
    figure = _figure(8.0, 3.2)
    axes = figure.subplots()
    fine = np.geomspace(0.08, 2.5, 100)
    line = [break_even(n, max(1, round(n * one))) for one in fine]
    axes.plot(fine, line, color=PAIR[0], label="theory")
    for number, curve in enumerate(found):
        edge = curve.break_even
        if isinstance(edge, Interval):
            _whisker(axes, curve.world.m / n, edge, PAIR[1], "" if number else "measured")
    axes.set_xscale("log")
    axes.set_xticks([curve.world.m / n for curve in found], [str(c.world.m) for c in found])
    axes.minorticks_off()
    axes.set_xlabel(f"weak labels m beside n = {n} gold ones (logarithmic)")
    axes.set_ylabel("break-even rate")
    axes.legend(frameon=False, fontsize="small")
    return figure


def weights(found: Sequence[Best]) -> Figure:
    """Draw which weight is best over the rate."""
    figure = _figure(8.0, 3.2)
    axes = figure.subplots()
    _zero(axes)
    axes.plot(FINE, 1 - 2 * FINE, color=PAIR[0], label="theory, 1 - 2e")
    for number, one in enumerate(found):
        _whisker(axes, one.rate, one.weight, PAIR[1], "" if number else "measured")
    axes.set_xlabel(RATE)
    axes.set_ylabel("best weight")
    axes.legend(frameon=False, fontsize="small")
    return figure


def edges(found: Sequence[tuple[str, float | str, Interval | str]], plain: float) -> Figure:
    """Draw break-even of several heads, a row each.

    Args:
        found: Name, break-even of theory and what was measured.
        plain: Break-even of the mean difference.
    """
    figure = _figure(8.0, 0.9 + 0.32 * len(found))
    axes = figure.subplots()
    axes.axvline(plain, color="0.6", linestyle="--", linewidth=1)
    for row, (_, theory, edge) in enumerate(found):
        if isinstance(theory, float):
            axes.plot(theory, row, "D", color=PAIR[0], label="" if row else "theory")
        else:
            axes.text(0.5, row, "none", color=PAIR[0], ha="right", va="center", fontsize="small")
        if isinstance(edge, Interval):
            error = [[edge.value - edge.low], [edge.high - edge.value]]
            axes.errorbar(
                edge.value, row + 0.22, xerr=error, fmt="o", color=PAIR[1], capsize=3, markersize=4,
                label="" if row else "measured",
            )  # fmt: skip
    axes.set_yticks(range(len(found)), [name for name, *_ in found])
    axes.set_ylim(len(found) - 0.4, -0.6)
    axes.set_xlim(0, 0.52)
    axes.set_xlabel("break-even rate")
    axes.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def panels(found: Mapping[str, Mapping[str, Curve]], teacher: float) -> Figure:
    """Draw gains over the rate, a panel per title and a line per name."""
    figure = _figure(8.0, 4.0)
    all_axes = figure.subplots(1, len(found), squeeze=False, sharey=True)[0]
    names = [*dict.fromkeys(name for lines in found.values() for name in lines)]
    for axes, (title, lines) in zip(all_axes, found.items(), strict=True):
        _zero(axes)
        for name, curve in lines.items():
            style = names.index(name) % len(LINES)
            _points(axes, curve, LINES[style], "osD^v"[style], name, "-")
        _mark(axes, teacher, "paper's e" if axes is all_axes[0] else "")
        axes.set_title(title, fontsize="medium")
        axes.set_xlabel(RATE)
        axes.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(0, -0.18))
    all_axes[0].set_ylabel(GAIN)
    return figure


def _points(
    axes: Axes, curve: Curve, colour: str, marker: str, label: str, line: str = "none"
) -> None:
    value = 100 * np.array([one.value for one in curve.gains])
    low = 100 * np.array([one.low for one in curve.gains])
    axes.errorbar(
        curve.rates_E, value, yerr=value - low, color=colour, marker=marker, linestyle=line,
        linewidth=1, markersize=4, capsize=2, label=label,
    )  # fmt: skip


def _whisker(axes: Axes, place: float, one: Interval, colour: str, label: str) -> None:
    error = [[one.value - one.low], [one.high - one.value]]
    axes.errorbar(place, one.value, yerr=error, fmt="o", color=colour, capsize=3, label=label)


def _mark(axes: Axes, teacher: float, name: str = "paper's e") -> None:
    """Say where the paper's teacher is."""
    axes.axvline(teacher, color="0.5", linestyle=(0, (1, 1)), linewidth=1)
    axes.text(
        teacher, 0.02, name, rotation=90, ha="right", va="bottom", color="0.4",
        fontsize="small", transform=axes.get_xaxis_transform(),
    )  # fmt: skip


def _zero(axes: Axes) -> None:
    axes.axhline(0, color="0.6", linewidth=1)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure  # without pyplot no window system is asked for

    return Figure(figsize=(width, height), layout="constrained")

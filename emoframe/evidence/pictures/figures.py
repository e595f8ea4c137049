"""Figures that a page and a paper share: readable in print, by the colour-blind, at any number.

Each takes plain arrays and returns a matplotlib figure on white. Decided here: up to `NAMED` videos
a row says its name, above that it is only its place in the order; a bar is never drawn for what was
not measured.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emoframe.core.files import replacing
from emoframe.perception.draw import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from emoframe.evidence.stats import Interval

Panels = Mapping[tuple[str, str], Mapping[str, "tuple[Interval | None, ...]"]]
NAMED, LONGEST = 40, 28
"""Most videos whose names are written, and most letters of a name."""
ANNOTATED = 20
PAIR = ("#0072b2", "#d55e00")
"""Colours of two sources that are compared: blue and vermilion of Okabe and Ito."""
INK = "#222222"
WIDTH = 8.0
"""Inches of every figure."""


def lengths(frames: NDArray[np.float64], marks: Mapping[str, int]) -> Figure:
    """Draw how many frames videos have, on a logarithmic axis (W2S-05).

    Args:
        frames: Frames of each video, (N,).
        marks: Frames that a view takes, by what the view is called.
    """
    from matplotlib.ticker import NullFormatter, ScalarFormatter

    figure, (axes,) = _figure(WIDTH, 3.2)
    ends = [*frames, *marks.values()]
    low, high = 0.8 * min(ends), 1.25 * max(ends)
    axes.hist(frames, np.geomspace(low, high, 41).tolist(), color="#56b4e9", edgecolor="white")
    styles = ((0, (4, 2)), (0, (1, 1)), "-.", "-")
    for (name, mark), style in zip(marks.items(), styles, strict=False):
        shorter = float((frames < mark).mean())
        label = f"{mark} frames: {name} ({shorter:.0%} of videos are shorter)"
        axes.axvline(mark, color=INK, linestyle=style, label=label)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    _whole(axes)
    axes.set_xlabel("frames of a video (logarithmic)")
    axes.set_ylabel("videos")
    figure.legend(loc="outside upper left", frameon=False)
    return figure


def heat(names: Sequence[str], panels: Mapping[str, Mapping[str, NDArray[np.float64]]]) -> Figure:
    """Draw shares from 0 to 1, a row per video and a column per part.

    Args:
        names: The N videos, from top to bottom.
        panels: By the title of the panel and the part, the share of each video, (N,).
    """
    figure, all_axes = _figure(WIDTH, _height(len(names), 0.28) + 0.9, 1, len(panels), sharey=True)
    image = None
    for axes, (title, parts) in zip(all_axes, panels.items(), strict=True):
        shares = np.stack([*parts.values()], axis=1)
        image = axes.imshow(
            shares, cmap="cividis", vmin=0, vmax=1, aspect="auto", interpolation="nearest"
        )
        if len(names) <= ANNOTATED:
            for (row, column), share in np.ndenumerate(shares):
                colour = "k" if share > 0.6 else "w"
                axes.text(column, row, f"{share:.0%}", ha="center", va="center", color=colour)
        axes.set_xticks(range(len(parts)), list(parts))
        axes.set_title(title, fontsize="medium")
    _name_rows(all_axes[0], names)
    if image is not None:
        figure.colorbar(image, ax=all_axes.tolist(), label="share", fraction=0.04)
    return figure


def distributions(counts: Mapping[str, NDArray[np.int64]]) -> Figure:
    """Draw how confident an estimator is of the points that it has measured, part by part.

    Args:
        counts: By part the number of points in each of equal steps of confidence from 0 to 1, (B,).
    """
    figure, all_axes = _figure(WIDTH, 2.6, 1, len(counts), sharey=True)
    for axes, (part, count), colour in zip(
        all_axes, counts.items(), _cycled(len(counts)), strict=True
    ):
        edges = np.linspace(0, 1, len(count) + 1)
        total = count.sum()
        axes.stairs(count / max(total, 1), edges, fill=True, color=colour)
        axes.set_title(f"{part}: {total:,} points", fontsize="medium")
        axes.set_xlim(0, 1)
        axes.set_xlabel("confidence")
        if not total:
            axes.text(0.5, 0.5, "nothing measured", ha="center", va="center")
    all_axes[0].set_ylabel("share of points")
    return figure


def dots(names: Sequence[str], panels: Mapping[str, Mapping[str, NDArray[np.float64]]]) -> Figure:
    """Draw numbers per video, side by side panels with the same rows.

    Args:
        names: The N videos, from top to bottom.
        panels: By the label of the axis and of the marker, the number of each video, (N,).
    """
    figure, all_axes = _figure(WIDTH, _height(len(names), 0.26) + 0.8, 1, len(panels), sharey=True)
    rows, size = np.arange(len(names)), 5 if len(names) <= NAMED else 3
    for axes, (label, series) in zip(all_axes, panels.items(), strict=True):
        for (name, values), marker, colour in zip(
            series.items(), "osD", (*PAIR, INK), strict=False
        ):
            axes.plot(values, rows, marker, color=colour, label=name, markersize=size, alpha=0.8)
        most = max(
            (float(np.nanmax(v)) for v in series.values() if np.isfinite(v).any()), default=0
        )
        axes.set_xlim(-0.04 * (most or 1), 1.08 * (most or 1))
        axes.set_xlabel(label)
        axes.grid(axis="y", color="0.9")
        axes.set_axisbelow(True)
        if len(series) > 1:
            axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(series))
        if most and all((values == values.round()).all() for values in series.values()):
            _whole(axes, "x")
    all_axes[0].set_ylim(len(names) - 0.5, -0.5)
    _name_rows(all_axes[0], names)
    return figure


def pairs(panels: Panels, names: Sequence[str]) -> Figure:
    """Draw sources beside each other, a panel per measure and a row per part.

    Args:
        panels: By title and unit, and by part, one interval per source; None where there is none.
        names: The sources, one or two.
    """
    columns = 3 if len(panels) > 4 else len(panels)
    lines = -(-len(panels) // columns)
    tallest = max(len(parts) for parts in panels.values())
    height = lines * (1.0 + 0.3 * tallest) + 0.4
    figure, all_axes = _figure(WIDTH, height, lines, columns)
    for axes, ((title, unit), parts) in zip(all_axes, panels.items(), strict=False):
        for row, found in enumerate(parts.values()):
            for number, one in enumerate(found):
                if one is not None:
                    place = row + 0.3 * (number - (len(names) - 1) / 2)
                    _whisker(axes, one, place, number, names[number])
        axes.set_title(title, fontsize="medium")
        axes.set_yticks(range(len(parts)), list(parts))
        axes.set_ylim(len(parts) - 0.5, -0.5)
        right = 1.04 if unit.startswith("share") else axes.get_xlim()[1]
        axes.set_xlim(-0.04 * right, right)
        axes.locator_params(axis="x", nbins=4)
        axes.set_xlabel(unit)
        axes.grid(axis="x", color="0.9")
    for axes in all_axes[len(panels) :]:
        axes.set_visible(False)
    if len(names) > 1:
        told = dict(zip(*reversed(all_axes[0].get_legend_handles_labels()), strict=True))
        figure.legend(told.values(), told.keys(), loc="outside upper left", frameon=False)
    return figure


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, whole or not at all, and return the path."""
    with replacing(path) as partial:
        figure.savefig(partial, format="png", dpi=144)
    return path


def data_url(picture: Path) -> str:
    """Return a PNG as a text that a page can hold."""
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()


def _figure(
    width: float, height: float, rows: int = 1, columns: int = 1, sharey: bool = False
) -> tuple[Figure, NDArray[np.object_]]:
    from matplotlib.figure import Figure  # without pyplot no window system is asked for

    figure = Figure(figsize=(width, height))
    figure.set_layout_engine("constrained", h_pad=0.08)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=sharey)
    for one in axes.flat:
        one.spines[["top", "right"]].set_visible(False)
    return figure, axes.ravel()


def _whisker(axes: Axes, one: Interval, row: float, number: int, name: str) -> None:
    """Draw a mean and its interval; a single video has none."""
    known = np.isfinite(one.low)
    error = [[one.value - one.low], [one.high - one.value]] if known else None
    axes.errorbar(
        one.value, row, xerr=error, fmt="os"[number], color=PAIR[number], capsize=3, label=name
    )


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    if len(names) > NAMED:
        axes.set_ylabel(f"{len(names)} videos, in order")
        return
    short = [name if len(name) <= LONGEST else f"…{name[1 - LONGEST :]}" for name in names]
    axes.set_yticks(range(len(names)), short)


def _height(rows: int, each: float) -> float:
    """Return a height in inches at which named rows can be read, and which fits a page."""
    return max(0.8, each * rows) if rows <= NAMED else 4.5


def _whole(axes: Axes, axis: str = "y") -> None:
    """Tick whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    (axes.yaxis if axis == "y" else axes.xaxis).set_major_locator(MaxNLocator(integer=True))


def _cycled(count: int) -> list[str]:
    return [COLOURS[n % len(COLOURS)] for n in range(count)]

"""What `emoframe predict --out` writes: a page, its pictures, and everything as JSON.

The page holds its pictures, so that it can be sent on; they lie beside it as PNG, too. Decided
here: of the person only what `privacy.faces` allows is in any of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from emoframe.core.errors import DataError
from emoframe.core.files import replacing, write_text
from emoframe.evidence.pictures import figures
from emoframe.evidence.pictures.page import SAID
from emoframe.evidence.prediction.inputs import Perceived
from emoframe.evidence.prediction.moments import pictures
from emoframe.perception.draw import COLOURS
from emoframe.perception.settings import Faces

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAGE, DATA, CURVE = "prediction.html", "prediction.json", "relevance.png"
SPEAKS, AGAINST = figures.PAIR


@dataclass(frozen=True)
class Told:
    """What is to be told of a video.

    Attributes:
        data: What `predict` returns; the names of the pictures are added to its moments.
        video: The file.
        seen: What was extracted of it.
        faces: What pictures may show of people.
    """

    data: dict[str, Any]
    video: Path
    seen: Perceived
    faces: Faces


def write(told: Told, out: Path) -> Path:
    """Write page, pictures and numbers of a prediction into a folder, and return the page.

    Raises:
        DataError: The folder cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        urls = _moments(told, out)
        windows = told.data.get("relevance", {}).get("windows", [])
        if windows:
            drawing = curve(told.data["relevance"], told.data["moments"])
            if told.data["run"]["synthetic"]:  # a picture is sent on without its page
                drawing.suptitle("synthetic: means nothing", color="#b00020", fontsize="medium")
            figures.save(drawing, out / CURVE)
        write_text(out / DATA, json.dumps(told.data, indent=1))
        drawn = figures.data_url(out / CURVE) if windows else ""
        write_text(out / PAGE, _page(told, drawn, urls))
    except OSError as error:
        raise DataError(f"{out}: cannot be written: {error}") from error
    return out / PAGE


def _moments(told: Told, out: Path) -> list[str]:
    """Write the picture of each moment that has one, and return it as a text for each."""
    person, shown = told.seen.person, told.data.get("moments", [])
    if person is None:
        return [""] * len(shown)
    wanted = [one["frame"] for one in shown]
    found = pictures(told.video, person, told.seen.layout, wanted, told.faces)
    urls: list[str] = []
    for number, one in enumerate(shown, 1):
        file = out / f"moment-{number}.png"
        with replacing(file) as partial:
            Image.fromarray(found[one["frame"]]).save(partial, format="PNG")
        one["picture"] = file.name
        urls.append(figures.data_url(file))
    return urls


def _page(told: Told, drawn: str, urls: Sequence[str]) -> str:
    templates = Environment(
        loader=PackageLoader("emoframe", "templates"), autoescape=True, undefined=StrictUndefined
    )
    data = told.data
    return templates.get_template("predict.html").render(
        told={"remarks": [], "notes": [], "texts": {}, "scores": [], **data},
        name=told.video.name,
        curve=drawn,
        alt=_alt(data["relevance"]) if drawn else "",
        shown=list(zip(data.get("moments", []), urls, strict=True)),
        faces=SAID[told.faces],
    )


def _alt(relevance: Mapping[str, Any]) -> str:
    changes = [
        f"{one['start_s']:.1f} s {one['change']:+.3f}"
        for one in relevance["windows"]
        if one["change"] is not None
    ]
    return f"What P({relevance['class']}) loses without each window: {', '.join(changes)}."


def curve(relevance: Mapping[str, Any], moments: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the relevance of each window over time, and the pooling below where it says something.

    Args:
        relevance: As `predict` returns it.
        moments: Windows that are shown as pictures; they are numbered.
    """
    from matplotlib.figure import Figure  # without pyplot no window system is asked for

    pooling = {name: one for name, one in relevance["pooling"].items() if one is not None}
    rows, heights = (2, (2.2, 1.4)) if pooling else (1, (1.0,))
    size = (figures.WIDTH, 4.4 if pooling else 3.0)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, 1, squeeze=False, sharex=True, height_ratios=heights).ravel()
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
    _changes(axes[0], relevance, moments)
    if pooling:
        _pooling(axes[1], relevance["windows"], pooling)
    axes[-1].set_xlabel("seconds of the video")
    return figure


def _changes(
    axes: Axes, relevance: Mapping[str, Any], moments: Sequence[Mapping[str, Any]]
) -> None:
    windows = relevance["windows"]
    known = [one for one in windows if one["change"] is not None]
    most = max([abs(one["change"]) for one in known], default=0.0) or 0.01
    for one in known:
        colour = SPEAKS if one["change"] > 0 else AGAINST
        width = one["end_s"] - one["start_s"]
        axes.bar(one["start_s"], one["change"], width, align="edge", color=colour, edgecolor="w")
    for one in windows:
        if one["change"] is None:
            axes.axvspan(one["start_s"], one["end_s"], color="0.93", hatch="//", ec="0.8", lw=0)
    for number, one in enumerate(moments, 1):
        middle = (one["start_s"] + one["end_s"]) / 2
        axes.annotate(
            str(number), (middle, one["change"]), (0, 2), textcoords="offset points", ha="center"
        )
    axes.axhline(0, color=figures.INK, linewidth=0.8)
    axes.set_ylim(-1.25 * most, 1.25 * most)
    axes.set_ylabel(f"P({relevance['class']}) that is\nlost without it")
    axes.set_title(
        f"P({relevance['class']}) is {relevance['whole']:.3f} with all of the video; blue speaks "
        "for it, orange against; hatched: nothing was measured",
        fontsize="small",
        loc="left",
    )


def _pooling(
    axes: Axes, windows: Sequence[Mapping[str, Any]], pooling: Mapping[str, Sequence[float | None]]
) -> None:
    edges = np.array([*(one["start_s"] for one in windows), windows[-1]["end_s"]])
    styles = ("-", "--", ":", "-.")
    for number, (name, shares) in enumerate(pooling.items()):
        axes.stairs(
            np.array(shares, float),
            edges,
            baseline=None,
            label=name,
            color=COLOURS[(0, 1, 2, 4, 5, 6)[number % 6]],
            linestyle=styles[number % 4],
            linewidth=1.8,
        )
    axes.axhline(1, color="0.7", linewidth=0.8)
    axes.set_ylim(0, None)
    axes.set_ylabel("weight in the\npooling, 1: mean")
    axes.legend(frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0, 1), fontsize="small")

"""The page of `emoframe eda`: what the numbers look like, in figures that say what they show.

Everything is embedded, so that the page can be sent on; the same figures lie beside it as PNG.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from emoframe.core.files import write_text
from emoframe.evidence.labels.agreement import FIRST, MEASURES, SECOND, TOGETHER, interval, told
from emoframe.evidence.pictures import figures
from emoframe.evidence.pictures.survey import Survey
from emoframe.evidence.stats import Interval
from emoframe.perception.settings import Faces

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

PAGE = "eda.html"
FEW = 10
"""Videos below which a bootstrap over them is said to be too narrow."""
SAID = {
    "blur": "Faces, and everything outside of the person's box, are blurred.",
    "skeleton": "No pixel of the videos is shown.",
    "show": "Faces are shown: this page is not for everybody.",
}


@dataclass(frozen=True)
class Sheet:
    """Frames of a video with its keypoints.

    Attributes:
        title: Which video, and whose keypoints.
        picture: The PNG; None where there is none.
        why: Why there is none.
    """

    title: str
    picture: Path | None
    why: str = ""


@dataclass(frozen=True)
class Comparison:
    """Two sources of keypoints on the same videos.

    Attributes:
        names: What the two are.
        table: Means over videos, see `emoframe.evidence.labels.agreement.summarise`.
        videos: The numbers of each video: `id`, `measure`, `part`, `of`, `value`.
        absent: Why a video could not be compared, by its id.
    """

    names: tuple[str, str]
    table: pd.DataFrame
    videos: pd.DataFrame
    absent: Mapping[str, str]


@dataclass(frozen=True)
class Drawing:
    """A figure on the page.

    Attributes:
        name: Name of its file.
        title: What it is about.
        caption: How to read it.
        alt: What it shows, for those who do not see it.
        figure: The figure.
    """

    name: str
    title: str
    caption: str
    alt: str
    figure: Figure


@dataclass(frozen=True)
class Page:
    """What is to be told.

    Attributes:
        survey: The numbers of each video.
        comparison: Of two sources; None where there is one.
        sheets: Keypoints over frames.
        faces: What may be seen of people.
        source: Where the keypoints come from.
    """

    survey: Survey
    comparison: Comparison | None
    sheets: Sequence[Sheet]
    faces: Faces
    source: str

    def write(self, out: Path, marks: Mapping[str, int]) -> Path:
        """Write `eda.html` and its figures, and return the page.

        Args:
            out: The folder.
            marks: Frames of a video that each view of the model takes, by what it sees.
        """
        templates = Environment(
            loader=PackageLoader("emoframe", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
        )
        templates.filters |= {"told": told, "number": _number}
        drawn = [
            (one, figures.data_url(figures.save(one.figure, out / f"{one.name}.png")))
            for one in self.drawings(marks)
        ]
        sheets = [(one, one.picture and figures.data_url(one.picture)) for one in self.sheets]
        text = templates.get_template("eda.html").render(
            page=self,
            faces=SAID[self.faces],
            parts=self._parts(),
            drawings=drawn,
            sheets=sheets,
            measures=MEASURES,
            few=FEW,
            rows=self.survey.table.astype(object).to_dict("records"),
            absent=self.survey.absent.to_dict("records"),
            compared=self.comparison.table.to_dict("records") if self.comparison else [],
        )
        write_text(out / PAGE, text)
        return out / PAGE

    def drawings(self, marks: Mapping[str, int]) -> list[Drawing]:
        """Draw every figure; what no video has, such as a box, has none."""
        rows = self.survey.ordered()
        names = [str(name) for name in rows["id"]]
        found = [_lengths(rows, marks), _valid(rows, names, self.survey.parts)]
        found.append(_confidence(self.survey))
        if np.isfinite(rows["box_centre_spread"].to_numpy(float)).any():
            found.append(_drift(rows, names))
        found.append(_gaps(rows, names))
        if self.comparison:
            found += _comparison(self.comparison)
        return found

    def _parts(self) -> list[dict[str, Any]]:
        """Average each part over videos."""
        rows = self.survey.measured
        kinds = ("frames", "joints", "confidence")
        told = []
        for part in self.survey.parts:
            columns = {kind: rows[f"{part}_{kind}"].dropna().tolist() for kind in kinds}
            told.append(
                {"part": part}
                | {kind: interval(values) if values else None for kind, values in columns.items()}
            )
        return told


def _lengths(rows: pd.DataFrame, marks: Mapping[str, int]) -> Drawing:
    frames = rows["frames"].to_numpy(float)
    views = {f"a view of the {name}": count for name, count in marks.items()}
    return Drawing(
        "lengths",
        "How long the videos are",
        "Longer videos than a view are sampled, shorter ones are padded and masked.",
        f"Histogram of the frames of {len(frames)} videos, from {frames.min():.0f} to "
        f"{frames.max():.0f}, median {np.median(frames):.0f}.",
        figures.lengths(frames, views),
    )


def _valid(rows: pd.DataFrame, names: Sequence[str], parts: Sequence[str]) -> Drawing:
    panels = {
        title: {part: rows[f"{part}_{kind}"].to_numpy(float) for part in parts}
        for title, kind in (
            ("frames with any joint", "frames"),
            ("joints of all frames", "joints"),
        )
    }
    means = ", ".join(f"{part} {rows[f'{part}_joints'].mean():.0%}" for part in parts)
    return Drawing(
        "valid",
        "What was measured of each part",
        "Share of frames in which any joint of the part was measured, and share of its joints over "
        "all frames. From the least measured video to the best.",
        f"Heat map of {len(names)} videos by part; mean share of joints measured: {means}.",
        figures.heat(names, panels),
    )


def _confidence(survey: Survey) -> Drawing:
    return Drawing(
        "confidence",
        "How sure the estimator was",
        "Of measured points only. A single bar at 1 means that the estimator gives no confidence "
        "for that part.",
        "Histograms of the confidence of measured points, one for each of "
        f"{', '.join(survey.parts)}.",
        figures.distributions(survey.confidence),
    )


def _drift(rows: pd.DataFrame, names: Sequence[str]) -> Drawing:
    def column(name: str) -> NDArray[np.float64]:
        return rows[name].to_numpy(float)

    spread = {"centre": column("box_centre_spread"), "size": column("box_size_spread")}
    panels = {
        "spread (box widths)": spread,
        "speed of the centre (box widths / s)": {"speed": column("box_speed")},
    }
    return Drawing(
        "box_drift",
        "How much the box drifts",
        "A box that moves by itself moves every coordinate that is measured in it. The spread is "
        "the root mean square distance from the mean between two cuts or gaps.",
        f"Drift of the box in {len(names)} videos; the median spread of its centre is "
        f"{np.nanmedian(spread['centre']):.3f} box widths.",
        figures.dots(names, panels),
    )


def _gaps(rows: pd.DataFrame, names: Sequence[str]) -> Drawing:
    lost = rows["no_person_frames"].to_numpy(float) / rows["frames"].to_numpy(float)
    cuts = rows["cuts"].to_numpy(float)
    return Drawing(
        "gaps",
        "Where the person is not seen",
        "Frames without a person are masked; no offset spans a cut.",
        f"{(lost > 0).sum()} of {len(names)} videos have frames without a person, and "
        f"{(cuts > 0).sum()} have cuts.",
        figures.dots(
            names,
            {"frames without a person (share)": {"share": lost}, "cuts (number)": {"cuts": cuts}},
        ),
    )


def _comparison(comparison: Comparison) -> list[Drawing]:
    """Draw what each source has by itself, and how near the two are."""
    panels: dict[bool, dict[tuple[str, str], dict[str, tuple[Interval | None, ...]]]] = {
        True: {},
        False: {},
    }
    for row in comparison.table.to_dict("records"):
        title, unit, _ = MEASURES[row["measure"]]
        together = row[TOGETHER] is not None
        found = (row[TOGETHER],) if together else (row[FIRST], row[SECOND])
        panels[together].setdefault((title, unit), {})[row["part"]] = found
    count = len(set(comparison.videos["id"]))
    seen = f"means over {count} video{'' if count == 1 else 's'} with 95 % intervals"
    return [
        Drawing(
            "comparison",
            "Two sources of keypoints on the same videos",
            "Everything but the visible share is over joints and frames that both have measured.",
            f"{' and '.join(comparison.names)} beside each other: {_titles(panels[False])}; "
            f"{seen}. The numbers are in the table below.",
            figures.pairs(panels[False], comparison.names),
        ),
        Drawing(
            "agreement",
            "How near the two are to each other",
            "Over joints and frames that both have measured.",
            f"{_titles(panels[True])}, by part; {seen}. The numbers are in the table below.",
            figures.pairs(panels[True], ("both together",)),
        ),
    ]


def _titles(panels: Iterable[tuple[str, str]]) -> str:
    return ", ".join(title for title, _ in panels)


def _number(value: Any) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)

"""Two sources of keypoints on the same videos: which one to trust, and for what (W2S-43).

No truth is at hand, so that each is judged by what must hold for any body: bones keep their length,
a hand hangs on its own wrist, and nobody trembles at the frame rate. Decided here: everything but
the visible share is computed over joints and frames that both have measured, since an estimator
that gives up on difficult frames would otherwise win. Lengths are in box widths: the median width
of the box over the video, the first source's box for both. A video is one item: it gives one number
per measure, part and source, and the interval of their mean is over videos.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from emoframe.core.errors import DataError
from emoframe.evidence.pictures.plausibility import (
    MARGIN,
    Part,
    bone_variation,
    distance,
    jitter,
    mean,
    on_wrist,
    parts_of,
)
from emoframe.evidence.stats import LEVEL, Interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emoframe.records import Keypoints
    from emoframe.skeleton import SkeletonLayout

    Floats = NDArray[np.floating]
    Bools = NDArray[np.bool_]

FIRST, SECOND, DIFFERENCE, TOGETHER = "first", "second", "second - first", "together"
SOURCES = (FIRST, SECOND, DIFFERENCE, TOGETHER)
PCK = 0.05
"""Share of the box's longer side within which two points count as the same."""
RESAMPLES, SEED = 2000, 0


class Measure(NamedTuple):
    """What one number is.

    Attributes:
        title: What it is called on the page.
        unit: Its unit.
        formula: How it is computed.
    """

    title: str
    unit: str
    formula: str


MEASURES = {
    "visible": Measure(
        "visible share", "share", "measured joints over all joints of the part in all frames"
    ),
    "bone_variation": Measure(
        "bone-length variation",
        "standard deviation / mean",
        "of each bone's length over time; the median over the bones of the part. Foreshortening "
        "is in it, alike for both",
    ),
    "jitter": Measure(
        "jitter",
        "box widths",
        "root mean square of p(t-1) - 2 p(t) + p(t+1) over joints and frames, divided by the "
        "square root of 6 (which gives white noise its own size) and by the box width; p is "
        "relative to the hand's root for hands. No triple of frames spans a cut",
    ),
    "swaps": Measure(
        "left-right swaps",
        "share of frames",
        f"frames in which the hand's root lies more than {MARGIN} box widths nearer to the other "
        "side's body wrist than to its own, of those in which the wrists are that far apart",
    ),
    "root_distance": Measure(
        "hand root to body wrist", "box widths", "mean distance of the two points that are one"
    ),
    "valid_in_both": Measure(
        "measured by both", "share", "joints that both have, over all joints in all frames"
    ),
    "distance": Measure(
        "distance of the two", "box widths", "mean over the joints and frames that both have"
    ),
    "pck": Measure(
        f"PCK at {PCK}",
        "share",
        f"joints whose two points are within {PCK} of the longer side of the box (its median over "
        "the video), of those that both have",
    ),
}
"""Every measure by its name; the last three are of both sources together."""


@dataclass(frozen=True)
class Scale:
    """The person's size in one video.

    Attributes:
        width: Median width of the box, in the unit of the keypoints.
        side: Median of its longer side.
    """

    width: float
    side: float


def compare_keypoints(a: Keypoints, b: Keypoints, joints: SkeletonLayout) -> pd.DataFrame:
    """Measure two sources on one video.

    Args:
        a: What the first one found.
        b: What the second one found in the same frames.
        joints: The layout of both.

    Returns:
        One row per measure, part and source with the columns `measure`, `part`, `of` and `value`;
        what could not be computed has no row. Formulas and units: `MEASURES`.

    Raises:
        DataError: The two are not of the same layout and frames, or have no size.
    """
    _check_pair(a, b)
    scale = scale_of(a, b)
    both = a.valid & b.valid
    cut = np.zeros(len(a), np.bool_)
    for one in (a, b):
        cut |= False if one.cut is None else one.cut
    found: list[tuple[str, str, str, float]] = []
    for part in parts_of(joints):
        values: dict[str, Mapping[str, float]] = {
            of: {
                "visible": float(one.valid[:, part.joints].mean()),
                **_alone(np.where(both[..., None], one.xy, np.nan), both, cut, part, scale.width),
            }
            for of, one in ((FIRST, a), (SECOND, b))
        }
        values[DIFFERENCE] = {name: values[SECOND][name] - x for name, x in values[FIRST].items()}
        values[TOGETHER] = _together(a.xy, b.xy, both, part, scale)
        found += [
            (name, part.name, of, x)
            for of in values
            for name, x in values[of].items()
            if np.isfinite(x)
        ]
    return pd.DataFrame(found, columns=["measure", "part", "of", "value"])


def summarise(videos: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Average over videos, each of which weighs the same.

    Args:
        videos: What `compare_keypoints` returned for each.

    Returns:
        One row per measure and part, in the order of `MEASURES`; the columns `first`, `second`,
        `second - first` and `together` hold an `Interval` or None, `videos` how many had a number.
    """
    values: dict[tuple[str, str], dict[str, list[float]]] = {}
    for video in videos:
        for measure, part, of, value in video.itertuples(index=False):
            values.setdefault((measure, part), {}).setdefault(of, []).append(value)
    rows = [
        {"measure": measure, "part": part}
        | {of: interval(here[of]) if of in here else None for of in SOURCES}
        | {"videos": max(len(numbers) for numbers in here.values())}
        for measure in MEASURES
        for (name, part), here in values.items()
        if name == measure
    ]
    return pd.DataFrame(rows, columns=["measure", "part", *SOURCES, "videos"], dtype=object)


def interval(numbers: Sequence[float]) -> Interval:
    """Return the mean over videos with its percentile bootstrap interval, videos drawn whole.

    One video says nothing of others, and what is the same in all of them was never seen to vary,
    which does not mean that it cannot: both have an interval that is no number.
    """
    values = np.array(numbers)
    if not np.ptp(values) > 0:
        count = len(values)
        how = "one video" if count == 1 else f"all {count} the same"
        return Interval(float(values[0]), np.nan, np.nan, how)
    drawn = np.random.default_rng(SEED).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.quantile(values[drawn].mean(1), [0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
    how = f"bootstrap over {len(values)} videos"
    return Interval(float(values.mean()), float(low), float(high), how)


def told(one: Interval | None) -> str:
    """Print a mean with its interval, or why it has none; small numbers with more places."""
    if one is None:
        return ""
    size = np.nanmax(np.abs([one.value, one.low, one.high]))
    places = 3 if size >= 0.1 or size == 0 else 4 if size >= 0.01 else 5
    value, low, high = (f"{number:z.{places}f}" for number in (one.value, one.low, one.high))
    return f"{value} [{low}, {high}]" if np.isfinite(one.low) else f"{value} ({one.method})"


def scale_of(*sources: Keypoints) -> Scale:
    """Return the person's size: of the first source with a box, else the extent of the points.

    Raises:
        DataError: No source has a box or a point.
    """
    for one in sources:
        box = None if one.box is None else one.box[np.isfinite(one.box).all(axis=1)]
        if box is not None and len(box):
            size = box[:, 2:] - box[:, :2]
            return Scale(float(np.median(size[:, 0])), float(np.median(size.max(axis=1))))
    points = sources[0].xy[sources[0].valid]
    if len(points) < 2 or not np.ptp(points, axis=0).max() > 0:
        raise DataError("there is neither a box nor a measured point, so that nothing has a size")
    extent = np.ptp(points, axis=0)
    return Scale(float(extent[0]) or float(extent.max()), float(extent.max()))


def _check_pair(a: Keypoints, b: Keypoints) -> None:
    if a.layout != b.layout:
        raise DataError(
            f"the first has the layout {a.layout!r} and the second {b.layout!r}; "
            "only keypoints of the same layout can be compared"
        )
    if len(a) != len(b):
        raise DataError(
            f"the first has {len(a)} frames and the second {len(b)}; only keypoints of the same "
            "frames can be compared"
        )


def _alone(xy: Floats, valid: Bools, cut: Bools, part: Part, width: float) -> dict[str, float]:
    """Compute what needs one source only; not a number where nothing can be said."""
    return {
        "bone_variation": bone_variation(xy, valid, part),
        "jitter": jitter(xy, valid, cut, part) / width,
        **on_wrist(xy, valid, part, width),
    }


def _together(a: Floats, b: Floats, both: Bools, part: Part, scale: Scale) -> dict[str, float]:
    """Compute what says how near the two are to each other."""
    own = list(part.joints)
    seen = both[:, own]
    apart = distance(a[:, own][seen], b[:, own][seen])
    return {
        "valid_in_both": float(seen.mean()),
        "distance": mean(apart / scale.width),
        "pck": mean(apart <= PCK * scale.side),
    }

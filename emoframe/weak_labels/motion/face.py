"""What brows, lids, lips and head do: signals in face heights, ratios and degrees.

Each is measured in the face's own axes, so that size, place and tilt of the face do not matter,
and told from what is usual in the clip, so that the shape of a face does not. Decided here: a face
that is turned far aside has its brows, lids and lips not measured, since they are foreshortened.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

import numpy as np

from emoframe.weak_labels.motion.head import Head
from emoframe.weak_labels.motion.signals import Signal
from emoframe.weak_labels.motion.thresholds import Measure
from emoframe.weak_labels.motion.track import GONE, Bools, Floats, Points, Track, baseline

EARS, NOSE = (0, 16), 30
"""Ends of the jaw, before the ears; tip of the nose."""
BROWS = {"brows_inner": (39, (20, 21), 42, (22, 23)), "brows_outer": (36, (17, 18), 45, (25, 26))}
"""For each signal: corner of the right eye, points of the brow over it, and those of the left."""
LIDS = ((37, 41), (38, 40), (43, 47), (44, 46))
INNER_LIPS = ((61, 67), (62, 66), (63, 65))
OUTER_LIPS = ((50, 58), (51, 57), (52, 56))
CORNERS = (48, 54)
POINTS = {
    "turn": [*EARS, NOSE], "nod": [*EARS, NOSE], "tilt": [*range(27, 36), 36, 39, 42, 45],
    **{name: [right, *one, left, *other] for name, (right, one, left, other) in BROWS.items()},
    "lids": list(chain(*LIDS)), "lip_gap": list(chain(*INNER_LIPS)),
    "lip_corners": [*CORNERS, *chain(*OUTER_LIPS)],
    "lips_thin": [*chain(*INNER_LIPS), *chain(*OUTER_LIPS)],
}  # fmt: skip
"""What each signal is measured by."""
NEVER = -1.0
"""Value of a signal where something else rules the event out."""


def face_signals(track: Track, head: Head, measure: Measure, hidden: Bools) -> list[Signal]:
    """Measure all signals of face and head.

    Args:
        track: The points.
        head: Axes of the face.
        measure: How to measure.
        hidden: True where a hand lies on a point of the face, (T, 70): an estimator may tell of it
            all the same, and then it guesses.
    """
    confidence = track.confidence[:, 25:].sum(1) / np.maximum(
        (track.confidence[:, 25:] > 0).sum(1), 1
    )
    quality = head.quality * confidence

    def usual(values: Floats, quantile: float = 0.5) -> Floats:
        return baseline(values, track, quantile, measure.baseline_s, measure.least_baseline_s)

    turn, nod = turned(head, measure)
    roll = np.rad2deg(np.angle(np.where(head.whole, head.axis, GONE)))
    found = {
        name: track.smooth(angle - usual(angle), measure.smooth_s)
        for name, angle in (("turn", turn), ("nod", nod), ("tilt", roll))
    }
    aside = ~(np.abs(turn) <= measure.most_turn)
    for name, points in BROWS.items():
        height = _brow_height(head, *points)
        found[name] = np.where(aside, np.nan, height - usual(height))
    lids = _gaps(head, LIDS)
    found["lids"] = np.where(aside, np.nan, lids / usual(lids, measure.lids_quantile))
    for name, values in _lips(head, measure, usual).items():
        found[name] = np.where(aside, np.nan, values)
    return [
        Signal(name, values, quality * (1 - hidden[:, POINTS[name]].mean(1)))
        for name, values in found.items()
    ]


def turned(head: Head, measure: Measure) -> tuple[Floats, Floats]:
    """Return how far the head is turned to its left, and up, in degrees, (T,) each.

    The tip of the nose lies `nose_depth` before the ears, so its way across is the sine of the
    angle. Up is against the ears' height, which depends on the camera: only changes mean something.
    """
    right, left, nose = head.face(*EARS, NOSE).T
    before = (nose - (right + left) / 2) / measure.nose_depth
    angles = np.rad2deg(np.arcsin(np.clip(before.real, -1, 1)))
    return angles, -np.rad2deg(np.arcsin(np.clip(before.imag, -1, 1)))


def _brow_height(
    head: Head, right: int, right_brow: tuple[int, int], left: int, left_brow: tuple[int, int]
) -> Floats:
    """Return the height of both brows over the corners of the eyes."""
    eyes = head.face(right, left).imag.sum(1)
    return (eyes - head.face(*right_brow, *left_brow).imag.sum(1) / 2) / 2


def _gaps(head: Head, pairs: tuple[tuple[int, int], ...]) -> Floats:
    """Return the mean distance between the points of each pair, over the pairs that are seen."""
    above, below = zip(*pairs, strict=True)
    gaps = np.abs(head.face(*below) - head.face(*above))
    known = np.isfinite(gaps)
    count = known.sum(1)
    return np.where(count > 0, np.where(known, gaps, 0).sum(1) / np.maximum(count, 1), np.nan)


def _lips(head: Head, measure: Measure, usual: Callable[..., Floats]) -> dict[str, Floats]:
    gap = _gaps(head, INNER_LIPS)
    corners: Points = head.face(*CORNERS)
    width = np.abs(corners[:, 1] - corners[:, 0])
    wider = width - usual(width, measure.mouth_quantile)
    middle = head.face(*(point for pair in OUTER_LIPS for point in pair)).imag.mean(1)
    lift = middle - corners.imag.mean(1)
    lifted = lift - usual(lift, measure.mouth_quantile)
    thickness = _gaps(head, OUTER_LIPS) - gap
    thinned = 1 - thickness / usual(thickness)
    pressed = (gap <= measure.lips_closed) & (wider <= measure.lips_wide)
    return {
        "lip_gap": gap,
        "lip_corners": np.where(lifted >= measure.smile_lift, wider, np.minimum(wider, NEVER)),
        "lips_thin": np.where(pressed | ~np.isfinite(thinned), thinned, NEVER),
    }

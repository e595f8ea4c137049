"""The face's own axes in each frame, also while hands hide a part of it.

A face is fitted by turn, scale and shift to the clip's own mean face, over whichever points are
seen. So a hidden eye has a place: where the rest of the face says that it is.
Decided here: rigid parts (nose, corners of the eyes, upper jaw) lead, lips, lids and brows hardly
count, the five points of the body's head count only where the face is gone; a face of too few
points keeps the scale and turn of the nearest whole one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from emoframe.weak_labels.motion.thresholds import Measure
from emoframe.weak_labels.motion.track import GONE, Bools, Floats, Points, Track, nearest

BODY = (0, 15, 16, 17, 18)
"""Nose, eyes and ears of the body, before the 70 points of the face."""
JOINTS = np.r_[BODY, 25:95]
FACE = len(BODY)
RIGID = FACE + np.r_[0:4, 13:17, 27:36, 36, 39, 42, 45]
WEIGHT = np.r_[np.full(FACE, 0.02), np.full(70, 0.1)]
WEIGHT[RIGID] = 1.0
RIGHT_EYE, LEFT_EYE = FACE + np.array([36, 39]), FACE + np.array([42, 45])
CHIN, SUBNASALE = FACE + 8, FACE + 33
HEIGHTS = ((CHIN, 1.0), (SUBNASALE, 0.45), (0, 0.35))
"""What a face height, eyes to chin, is told from: the chin, else the nose, each with its share."""
STANDS_FOR = {0: range(29, 36), 1: range(36, 42), 2: range(42, 48), 3: (0, 1), 4: (15, 16)}
"""Points of the face whose place the body's nose, eyes and ears tell in a clip without a face."""
MOST_FOR_MEAN, ROUNDS = 1500, 3


@dataclass(frozen=True)
class Head:
    """Axes of the face: a point z of the picture is (z - origin) / axis in face heights.

    In that frame x runs from the person's right to the left, y from the brow to the chin.

    Attributes:
        axis: Complex: length of a face height in pixels, and how the face is turned, (T,).
        origin: Where zero is, (T,).
        whole: True where enough of the face was seen to measure it, (T,).
        quality: 1 where whole, less where carried, 0 where unknown, (T,).
        seen: Points of the head in face heights where they were measured, (T, 75).
        place: The same, with the mean face where they were not, (T, 75).
    """

    axis: Points
    origin: Points
    whole: Bools
    quality: Floats
    seen: Points
    place: Points

    def face(self, *points: int) -> Points:
        """Return points of the face, numbered from 0, where it is whole and they are seen."""
        found = self.seen[:, [FACE + point for point in points]]
        return np.where(self.whole[:, None], found, GONE)

    def local(self, z: Points) -> Points:
        """Turn points of the picture, (T, ...), into face heights."""
        shape = (-1,) + (1,) * (z.ndim - 1)
        return (z - self.origin.reshape(shape)) / self.axis.reshape(shape)


def head_of(track: Track, measure: Measure) -> Head:
    """Find the face's axes in every frame in which anything tells them."""
    z = track.z[:, JOINTS]
    known = np.isfinite(z)
    whole = known[:, FACE:].sum(1) >= measure.least_face_points
    usable = whole if whole.any() else known[:, :FACE].sum(1) >= 3
    if not usable.any():
        nothing = np.full(len(z), GONE)
        empty = np.full(z.shape, GONE)
        return Head(nothing, nothing, whole, np.zeros(len(z)), empty, empty)
    mean = _upright(_mean_face(z[usable]))
    if not whole.any():
        for own, points in STANDS_FOR.items():
            mean[[FACE + point for point in points]] = mean[own]
    axis, origin = _fit(z, mean)
    axis[~usable] = GONE
    near = nearest(usable, track.time_s)
    apart = np.abs(track.time_s - track.time_s[near])
    carried = ~usable & (apart <= measure.face_hold_s) & (track.shot == track.shot[near])
    carried &= known.any(1)
    axis[carried], origin[carried] = _fit(z[carried], mean, axis[near][carried])
    quality = np.where(whole, 1.0, np.where(usable | carried, 0.5, 0.0))
    axis[quality == 0] = GONE
    seen = (z - origin[:, None]) / axis[:, None]
    place = np.where(np.isfinite(seen), seen, np.where(quality[:, None] > 0, mean, GONE))
    return Head(axis, origin, whole, quality, seen, place)


def _fit(z: Points, mean: Points, prior: Any = None) -> tuple[Points, Points]:
    """Fit mean * axis + origin to the points of each frame, least squares with weights.

    Args:
        z: Points, (T, V), NaN where not seen.
        mean: The face to fit, (V,).
        prior: Axis where the points tell none, (T,).
    """
    both = np.isfinite(z) & np.isfinite(mean)
    weight = WEIGHT * both
    total = np.maximum(weight.sum(1), 1e-12)
    points, face = np.where(both, z, 0), np.where(both, mean, 0)
    z_mid, face_mid = (weight * points).sum(1) / total, (weight * face).sum(1) / total
    face = np.where(both, face - face_mid[:, None], 0)
    product = (weight * np.conj(face) * (points - z_mid[:, None])).sum(1)
    square = (weight * np.abs(face) ** 2).sum(1)
    if prior is not None:  # as strong as two points of the body's head
        ridge = 2 * WEIGHT[0] * float(np.nanvar(mean))
        product, square = product + ridge * prior, square + ridge
    told = both.any(1) & (square > 1e-12) & (np.abs(product) > 0)
    axis = np.where(told, product / np.where(told, square, 1), GONE)
    return axis, z_mid - axis * face_mid


def _mean_face(z: Points) -> Points:
    """Return the mean face of the clip, (V,), from the frame that shows most of it."""
    z = z[np.unique(np.linspace(0, len(z) - 1, MOST_FOR_MEAN).round().astype(int))]
    mean = z[np.argmax((np.isfinite(z) * WEIGHT).sum(1))]
    for _ in range(ROUNDS):
        axis, origin = _fit(z, mean)
        aligned = (z - origin[:, None]) / axis[:, None]
        some = np.isfinite(aligned).any(0)
        mean = np.full(z.shape[1], GONE)
        mean[some] = np.nanmedian(aligned.real[:, some], 0) + 1j * np.nanmedian(
            aligned.imag[:, some], 0
        )
    return mean


def _upright(mean: Points) -> Points:
    """Turn and scale a face so that its eyes are level and it is one face height high."""
    right, left = mean[RIGHT_EYE].mean(), mean[LEFT_EYE].mean()
    if not np.isfinite(right + left):
        right, left = mean[1], mean[2]
    across = left - right
    face = (mean - (right + left) / 2) / across
    for point, share in HEIGHTS:
        if np.isfinite(face[point]) and face[point].imag > 0:
            return face * share / face[point].imag
    return face * 0.55  # the pupils are about so far apart, in face heights

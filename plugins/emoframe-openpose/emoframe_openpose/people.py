"""Which of the people that OpenPose saw is the one that is tracked.

Decided here: a point of confidence 0 was not measured, whatever its coordinates; OpenPose lists
people in no stable order, so that each frame is decided by the track's box alone. Who has half of
their points outside of the box is somebody else; of the others the one that fills it best is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from emoframe.records import Keypoints
from emoframe.skeleton import OPENPOSE_137

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emoframe.records import Frames, Track

LEAST_INSIDE = 0.5
"""Least share of a person's points in the box. A person's own box holds nearly all of them; where
two sit side by side, the boxes share an arm and no more."""


def measured(points: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Say which points (..., 3) were measured."""
    return np.isfinite(points).all(-1) & (points[..., 2] > 0)


def tracked(people: NDArray[np.float32], box: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the points of whoever is in the box, (137, 3); all of confidence 0 where nobody is.

    Args:
        people: Everybody in one frame, in source pixels, (P, 137, 3).
        box: Left, top, right, bottom of the tracked person, (4,).
    """
    best, most = np.zeros((OPENPOSE_137.num_joints, 3), np.float32), -1.0
    for person in people:
        xy = person[measured(person), :2]
        if not len(xy) or np.mean(inside(xy, box)) < LEAST_INSIDE:
            continue
        overlap = _overlap(np.concatenate([xy.min(0), xy.max(0)]), box)
        if overlap > most:
            best, most = person, overlap
    return best


def inside(xy: NDArray[np.float32], box: NDArray[Any]) -> NDArray[np.bool_]:
    """Say which points (..., 2) lie in a box (..., 4), its edges included."""
    return np.all((xy >= box[..., :2]) & (xy <= box[..., 2:]), axis=-1)


def _overlap(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Return intersection over union."""
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    shared = float(np.prod(np.maximum(sides, 0)))
    union = float(np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2])) - shared
    return shared / union if union > 0 else 0.0


def as_keypoints(
    points: NDArray[np.float32], seen: NDArray[Any], chunk: Frames, track: Track
) -> Keypoints:
    """Turn OpenPose's points into a record, what was not measured masked.

    Args:
        points: x, y and confidence in source pixels, (T, 137, 3).
        seen: What OpenPose was shown of each frame, as left, top, right, bottom, (T, 4); a point
            outside of it was guessed.
        chunk: The T frames.
        track: The person.
    """
    valid = measured(points) & inside(points[..., :2], seen[:, None])
    return Keypoints(
        np.where(valid[..., None], points[..., :2], np.nan).astype(np.float32),
        np.where(valid, np.clip(points[..., 2], 0, 1), 0).astype(np.float32),
        valid,
        chunk.time_s,
        OPENPOSE_137.name,
        box=track.box[chunk.index],
        cut=track.cut[chunk.index],
    )

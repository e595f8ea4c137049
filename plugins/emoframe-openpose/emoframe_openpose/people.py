"""OpenPose's JSON, and which of the people in it is the one that is tracked.

Decided here: a point of confidence 0 was not measured, whatever its coordinates; OpenPose lists
people in no stable order, so that each frame is decided by the track's box alone. Who has half of
their points outside of the box is somebody else; of the others the one that fills it best is taken.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emoframe import DataError
from emoframe.records import Keypoints
from emoframe.skeleton import OPENPOSE_137

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emoframe.records import Frames, Track

BLOCKS = {
    "pose_keypoints_2d": 25,
    "face_keypoints_2d": 70,
    "hand_left_keypoints_2d": 21,
    "hand_right_keypoints_2d": 21,
}
"""OpenPose's blocks and their points, in the order of `openpose_137` (specification 3.1)."""

LEAST_INSIDE = 0.5
"""Least share of a person's points in the box. A person's own box holds nearly all of them; where
two sit side by side, the boxes share an arm and no more."""


def read_people(path: Path) -> NDArray[np.float32]:
    """Read one frame as OpenPose wrote it.

    Args:
        path: A file that `--write_json` wrote; the body must be BODY_25.

    Returns:
        x, y and confidence of everybody's points, (P, 137, 3); confidence 0 where nothing was
        measured, a block that was switched off (`[]`) included.

    Raises:
        DataError: The file cannot be read, or is not OpenPose's.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as JSON: {error}") from error
    people = content.get("people") if isinstance(content, dict) else None
    if not isinstance(people, list):
        raise DataError(f"{path}: is not OpenPose's; it has no list called 'people'")
    points = [_person(path, person) for person in people]
    return np.stack(points) if points else np.zeros((0, OPENPOSE_137.num_joints, 3), np.float32)


def _person(path: Path, person: Any) -> NDArray[np.float32]:
    if not isinstance(person, dict) or "pose_keypoints_2d" not in person:
        raise DataError(f"{path}: a person in it has no 'pose_keypoints_2d'")
    blocks = [_block(path, name, count, person.get(name, [])) for name, count in BLOCKS.items()]
    return np.concatenate(blocks)


def _block(path: Path, name: str, count: int, numbers: Any) -> NDArray[np.float32]:
    """Return the points of one block, (count, 3)."""
    try:
        flat = np.asarray(numbers, np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: {name} is not a list of numbers: {error}") from error
    if flat.shape == (0,):
        return np.zeros((count, 3), np.float32)
    if flat.shape != (3 * count,):
        raise DataError(
            f"{path}: {name} has shape {flat.shape}; {count} points are read, that is {3 * count} "
            "numbers x, y, confidence (BODY_25, FACE_70, HAND_21), or []"
        )
    return flat.reshape(count, 3)


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

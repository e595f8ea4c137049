"""Readers for keypoints that OpenPose has computed: a folder of JSON files, or a `.pose` file.

Both return 2-D keypoints in the layout `openpose_137`, with what was not measured masked. Decided
here: OpenPose's 0, 0, 0 is a missing point and never a coordinate; a frame without a file is a
masked frame and not a shorter video; where several people are seen, one is followed (`_follow`),
because OpenPose lists them in no stable order.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emoframe.core.errors import ComponentError, DataError
from emoframe.records import Keypoints
from emoframe.skeleton import OPENPOSE_137

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pose_format import Pose

BLOCKS = {
    "pose_keypoints_2d": 25,
    "face_keypoints_2d": 70,
    "hand_left_keypoints_2d": 21,
    "hand_right_keypoints_2d": 21,
}
"""OpenPose's blocks and their points, in the order of `openpose_137` (specification 3.1)."""

PATIENCE_S = 0.5
"""How long a person may be out of sight before somebody else is followed (about W2S-06)."""

MOST_FRAMES_PER_FILE = 100
"""A folder that has fewer files than one in so many frames is numbered by something else."""


def read_openpose_json(folder: Path, fps: float = 25.0) -> Keypoints:
    """Read what OpenPose wrote with `--write_json`: one file per frame.

    Files are called `<video>_<frame number>_keypoints.json`; other files are left alone. Frames
    whose number is missing between the first and the last are masked, and so are blocks that were
    switched off (`[]`) and frames without people. Of several people the one of largest extent is
    followed while somebody's extent touches theirs in the frame before; one who is lost for more
    than half a second is given up, which is marked as a cut.

    Args:
        folder: Where the files are. The body must be BODY_25.
        fps: Frames per second of the video; the files do not say.

    Returns:
        Keypoints in the unit of the files (source pixels, unless `--keypoint_scale` was given),
        timed by frame number.

    Raises:
        DataError: The folder is absent or has no such file, or a file is not OpenPose's.
    """
    _check_fps(fps, folder)
    files = _frame_files(folder)
    numbers = np.arange(min(files), max(files) + 1)
    nobody = np.zeros((0, OPENPOSE_137.num_joints, 3), np.float32)
    frames = [read_openpose_people(files[n]) if n in files else nobody for n in numbers.tolist()]
    return _follow(frames, numbers / fps, fps)


def read_openpose_people(path: Path) -> NDArray[np.float32]:
    """Read everybody in one frame.

    Args:
        path: A file that `--write_json` wrote; the body must be BODY_25.

    Returns:
        x, y and confidence of each person's points, (P, 137, 3); all 0 where nothing was measured,
        a block that was switched off (`[]`) included.

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
    points = np.zeros((len(people), OPENPOSE_137.num_joints, 3), np.float32)
    for row, person in zip(points, people, strict=True):
        if not isinstance(person, dict) or "pose_keypoints_2d" not in person:
            raise DataError(f"{path}: a person in it has no 'pose_keypoints_2d'")
        start = 0
        for block, count in BLOCKS.items():
            row[start : start + count] = _block(path, block, count, person.get(block, []))
            start += count
    return points


def read_pose_file(path: Path) -> Keypoints:
    """Read a `.pose` file (the pose-format library) that holds OpenPose's 137 points.

    Of several people one is followed, as in `read_openpose_json`.

    Args:
        path: The file. It needs the optional package `pose-format`.

    Returns:
        Keypoints in the unit of the file, timed by its frame rate.

    Raises:
        ComponentError: The package `pose-format` is not installed.
        DataError: The file is absent, truncated, or holds other components.
    """
    pose = _parse_pose(path)
    columns = _pose_columns(pose, path)
    fps = float(pose.body.fps)
    _check_fps(fps, path)
    xy_TPVC = np.ma.getdata(pose.body.data)[:, :, columns]
    confidence_TPV = np.asarray(pose.body.confidence)[:, :, columns]
    frames = list(np.concatenate([xy_TPVC, confidence_TPV[..., None]], axis=-1, dtype=np.float32))
    if not frames:
        raise DataError(f"{path}: has no frames")
    return _follow(frames, np.arange(len(frames)) / fps, fps)


def _check_fps(fps: float, where: Path) -> None:
    if not (math.isfinite(fps) and fps > 0):
        raise DataError(f"{where}: {fps} frames per second is no frame rate; give one above 0")


def _frame_files(folder: Path) -> dict[int, Path]:
    """Return the JSON file of each frame number."""
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder of OpenPose JSON files")
    files: dict[int, Path] = {}
    stems: set[str] = set()
    for path in sorted(folder.glob("*_keypoints.json")):
        named = re.fullmatch(r"(?:(.*)_)?(\d+)_keypoints\.json", path.name)
        if not named:
            raise DataError(f"{path}: has no frame number, as in video_000000000012_keypoints.json")
        stems.add(named[1] or "")
        if len(stems) > 1 or int(named[2]) in files:
            raise DataError(
                f"{folder}: holds more than one file for a frame, or several videos "
                f"({', '.join(sorted(stems))}); give each video a folder of its own"
            )
        files[int(named[2])] = path
    if not files:
        raise DataError(
            f"{folder}: holds no file called <video>_<frame number>_keypoints.json; "
            "OpenPose writes them with --write_json"
        )
    span = max(files) - min(files) + 1
    if span > MOST_FRAMES_PER_FILE * len(files):
        raise DataError(
            f"{folder}: its {len(files)} files are numbered over {span} frames; number them by "
            "the frame of the video"
        )
    return files


def _block(path: Path, block: str, count: int, numbers: object) -> NDArray[np.float32]:
    """Return the points of one block, (count, 3); all missing where the block was switched off."""
    try:
        flat = np.asarray(numbers, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: {block} is not a list of numbers: {error}") from error
    if flat.shape == (0,):
        return np.zeros((count, 3), np.float32)
    if flat.shape != (3 * count,):
        raise DataError(
            f"{path}: {block} has shape {flat.shape}; emoframe reads {count} points, that is "
            f"{3 * count} numbers x, y, confidence (BODY_25, FACE_70, HAND_21), or []"
        )
    return flat.reshape(count, 3)


def _parse_pose(path: Path) -> Pose:
    try:
        from pose_format import Pose
    except ImportError as error:
        raise ComponentError(
            f"{path}: reading a .pose file needs the package pose-format; "
            "run: pip install pose-format"
        ) from error
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    try:
        return Pose.read(path.read_bytes())
    # The parser trips over a broken file with whatever comes up: struct.error, TypeError, ...
    except Exception as error:
        raise DataError(
            f"{path}: cannot be read as a .pose file; it is truncated or something else ({error})"
        ) from error


def _pose_columns(pose: Pose, path: Path) -> list[int]:
    """Return where in the file each joint of `openpose_137` is."""
    first, start = {}, 0
    for component in pose.header.components:
        first[component.name, len(component.points)] = start
        start += len(component.points)
    dims = pose.body.data.shape[-1]
    if set(first) != set(BLOCKS.items()) or dims != 2:
        given = ", ".join(f"{name} ({count})" for name, count in first)
        raise DataError(
            f"{path}: holds {given} in {dims} dimensions; only OpenPose's 137 points in 2 are "
            f"read: {', '.join(f'{name} ({count})' for name, count in BLOCKS.items())}"
        )
    return [first[block] + n for block in BLOCKS.items() for n in range(block[1])]


def _follow(
    frames: Sequence[NDArray[np.float32]], time_s: NDArray[np.float64], fps: float
) -> Keypoints:
    """Choose one person per frame out of arrays (P, 137, 3) of x, y and confidence."""
    chosen = np.zeros((len(frames), OPENPOSE_137.num_joints, 3), np.float32)
    cut = np.zeros(len(frames), np.bool_)
    last, seen = None, 0
    for t, everybody in enumerate(frames):
        people = everybody[_measured(everybody).any(1)]
        if not len(people):
            continue
        boxes = np.stack([_extent(person) for person in people])
        best, touches = _nearest(boxes, last)
        if touches or t - seen > PATIENCE_S * fps:
            cut[t] = not touches
            chosen[t], last, seen = people[best], boxes[best], t
    valid = _measured(chosen)
    xy = np.where(valid[..., None], chosen[..., :2], np.nan)
    confidence = np.where(valid, np.clip(chosen[..., 2], 0, 1), 0)
    return Keypoints(xy, confidence, valid, time_s, OPENPOSE_137.name, cut=cut)


def _measured(points: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.isfinite(points).all(-1) & (points[..., 2] > 0)


def _extent(person: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return left, top, right, bottom of the measured points."""
    xy = person[_measured(person), :2]
    return np.concatenate([xy.min(0), xy.max(0)])


def _nearest(boxes: NDArray[np.float32], last: NDArray[np.float32] | None) -> tuple[int, bool]:
    """Return the box that overlaps `last` most, else the largest, and whether it touches `last`."""
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    if last is None:
        return int(area.argmax()), True
    sides = np.minimum(boxes[:, 2:], last[2:]) - np.maximum(boxes[:, :2], last[:2])
    touches = np.all(sides >= 0, axis=1)
    shared = np.where(touches, np.prod(sides, axis=1), 0)
    union = area + np.prod(last[2:] - last[:2]) - shared
    overlap = np.divide(shared, union, out=np.zeros_like(area), where=union > 0)
    best = int(np.lexsort((area, overlap, touches))[-1])
    return best, bool(touches[best])

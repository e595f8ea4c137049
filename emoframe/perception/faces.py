"""What a picture may show of a person: nobody's face, unless its maker says otherwise.

Every picture that leaves the store is private. `blur` reduces the face to a few colour patches,
which no filter sharpens again, and so everything outside of the person's box, where bystanders are.
Where nothing says where the face is, more is hidden, not less: the box down to the shoulders, its
upper half where those are unknown too, and without a box the whole picture. `skeleton` keeps no
pixel at all, `show` keeps them all.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from emoframe.perception.settings import Faces

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emoframe.records import Keypoints
    from emoframe.skeleton import SkeletonLayout

    Rgb = NDArray[np.uint8]
    Box = tuple[float, float, float, float]

HEAD = frozenset(
    ("nose", "eye", "eyes", "ear", "face", "jaw", "brow", "mouth", "lip", "chin", "forehead")
)
"""Words in the names of joints that lie on the head."""
COLLAR = frozenset(("neck", "shoulder"))
"""Words in the names of joints that a face is above."""
FACE_PATCHES, SCENE_PATCHES = 8, 16
PLAIN = 32
"""Grey level behind a skeleton: dark, since the joints are drawn in bright colours."""


def shown(rgb: Rgb, keypoints: Keypoints, t: int, layout: SkeletonLayout, faces: Faces) -> Rgb:
    """Return what may be seen of a frame.

    Args:
        rgb: The frame, (H, W, 3).
        keypoints: The person, in pixels of the frame.
        t: Number of the frame.
        layout: Names the joints.
        faces: `blur` hides the face and everybody else, `skeleton` everything, `show` nothing.

    Returns:
        A picture of the same size.
    """
    if faces == "show":
        return rgb
    if faces == "skeleton":
        return np.full_like(rgb, PLAIN)
    return blur_face(rgb, keypoints, t, layout)


def blur_face(rgb: Rgb, keypoints: Keypoints, t: int, layout: SkeletonLayout) -> Rgb:
    """Hide the person's face and all that is outside of the person's box.

    Args:
        rgb: The frame, (H, W, 3).
        keypoints: The person, in pixels of the frame.
        t: Number of the frame.
        layout: Names the joints, among which those of the head are found.

    Returns:
        A new picture of the same size.
    """
    hidden = _patches(rgb, SCENE_PATCHES)
    box = person_box(keypoints, t)
    if box is None:
        return hidden
    person = _pixels(box, rgb)
    hidden[person] = rgb[person]
    face = _pixels(_face(keypoints, t, layout, box), rgb)
    hidden[face] = _patches(rgb[face], FACE_PATCHES)
    return hidden


def person_box(keypoints: Keypoints, t: int) -> Box | None:
    """Find where the person is: the box, or around the joints; None where neither is known."""
    if keypoints.box is not None:
        box = keypoints.box[t]
        return tuple(box.tolist()) if np.isfinite(box).all() else None
    points = keypoints.xy[t, keypoints.valid[t], :2]
    return _around(points, 0.1, 0) if len(points) else None


def _face(keypoints: Keypoints, t: int, layout: SkeletonLayout, box: Box) -> Box:
    """Find the face generously: around the joints of the head, else the box above the shoulders."""
    dense = set(layout.groups.get("face", ()))
    words = [set(name.lower().split("_")) for name in layout.joints]
    measured = np.flatnonzero(keypoints.valid[t]).tolist()
    head = [joint for joint in measured if joint in dense or HEAD & words[joint]]
    left, top, right, bottom = box
    if not head:
        collar = keypoints.xy[t, [joint for joint in measured if COLLAR & words[joint]], 1]
        least = (bottom - top) / (3 if len(collar) else 2)
        return left, top, right, max([top + least, *collar.tolist()])
    outlined = any(joint in dense for joint in head)  # eyes and nose alone say little of the chin
    return _around(keypoints.xy[t, head, :2], 0.35 if outlined else 0.8, 0.15 * (bottom - top))


def _around(points: NDArray[np.float32], margin: float, least: float) -> Box:
    """Put a square around points, with a margin of its size, at least `least` from its centre."""
    low, high = points.min(axis=0), points.max(axis=0)
    half = max(least, float((high - low).max()) * (0.5 + margin))
    x, y = (low + high) / 2
    return x - half, y - half, x + half, y + half


def _pixels(box: Box, rgb: Rgb) -> tuple[slice, slice]:
    """Turn a box into the pixels of a picture that it touches; at least one."""
    height, width = rgb.shape[:2]
    left, top = int(np.clip(box[0], 0, width - 1)), int(np.clip(box[1], 0, height - 1))
    right = int(np.clip(math.ceil(box[2]), left + 1, width))
    bottom = int(np.clip(math.ceil(box[3]), top + 1, height))
    return slice(top, bottom), slice(left, right)


def _patches(rgb: Rgb, count: int) -> Rgb:
    """Keep at most `count` averaged colours along the longer side: the rest is gone for good."""
    height, width = rgb.shape[:2]
    share = count / max(height, width, count)
    small = max(1, round(width * share)), max(1, round(height * share))
    image = Image.fromarray(np.ascontiguousarray(rgb)).resize(small, Image.Resampling.BOX)
    return np.array(image.resize((width, height), Image.Resampling.BICUBIC))

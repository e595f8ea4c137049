"""What an input must be before a branch sees it: of its sort, whole, with no invented values."""

from __future__ import annotations

from typing import Any

import numpy as np

from emoframe.core.errors import DataError
from emoframe.learning.inputs import CURES, NOUNS, Sort
from emoframe.records import Features, Keypoints
from emoframe.skeleton import SkeletonLayout


class AbsentError(DataError):
    """An item has not got an input, such as a rationale or the features of a failed video.

    The model is told so; an item that has none of its inputs cannot be used.
    """


def check_sort(name: str, found: object, sort: Sort, item: str) -> None:
    """Refuse an input that is of another sort than its branch.

    Args:
        name: Name of the input.
        found: What was loaded.
        sort: What its branch takes.
        item: What to call the item in a sentence.

    Raises:
        DataError: It is.
    """
    known: dict[type[Any], Sort] = {Keypoints: "keypoints", Features: "frames", str: "text"}
    given = known.get(type(found))
    if given is None:
        raise DataError(
            f"{item}: the input {name!r} is {type(found).__name__}, and must be Keypoints, "
            "Features or str"
        )
    if given != sort:
        raise DataError(
            f"{item}: the input {name!r} is {NOUNS[given]}, and model.branches.{name} takes "
            f"{NOUNS[sort]}; {CURES[given]}"
        )


def check_features(features: Features, width: int | None, item: str) -> Features:
    """Return frame features if they are one vector per token and hold no invented values.

    Args:
        features: The features.
        width: D that they must have; None for any.
        item: What to call the item in a sentence.

    Raises:
        DataError: They are not, or do.
    """
    if features.x.ndim == 3:
        raise DataError(
            f"{item}: has a vector for each of {features.x.shape[1]} joints of a frame, and a "
            "branch of frame features takes one per frame"
        )
    if len(features) == 0 or features.x.shape[:1] != features.valid.shape != features.time_s.shape:
        raise DataError(
            f"{item}: frame features must be x (T, D), valid (T,) and time_s (T,), T at least 1; "
            f"got {features.x.shape}, {features.valid.shape} and {features.time_s.shape}"
        )
    if width is not None and features.x.shape[1] != width:
        raise DataError(
            f"{item}: its frame features have {features.x.shape[1]} numbers, and those of the "
            f"first training item {width}"
        )
    broken = features.valid & ~np.isfinite(features.x).all(-1)
    if broken.any():
        raise DataError(
            f"{item}: token {int(np.argmax(broken))} is marked valid and is no finite vector; what "
            "was not computed must be masked"
        )
    return features


def check_keypoints(keypoints: Keypoints, layout: SkeletonLayout, item: str) -> Keypoints:
    """Return the keypoints if they have a frame, the layout's joints, and no invented values.

    Raises:
        DataError: They have not.
    """
    total, joints = keypoints.xy.shape[:2] if keypoints.xy.ndim == 3 else (0, 0)
    if total == 0:
        raise DataError(f"{item}: has no frame of keypoints")
    if joints != layout.num_joints:
        raise DataError(
            f"{item}: has {joints} joints, and the layout {layout.name!r} has {layout.num_joints}"
        )
    broken = keypoints.valid & ~np.isfinite(keypoints.xy).all(-1)
    if broken.any():
        frame, joint = map(int, np.argwhere(broken)[0])
        raise DataError(
            f"{item}: joint {layout.joints[joint]} of frame {frame} is marked valid and is NaN; "
            "a missing joint must be masked"
        )
    return keypoints

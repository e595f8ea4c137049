"""From a followed person to keypoints: the pose estimator asked, held to its contract, laid out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from emoframe.core.errors import ComponentError, DataError
from emoframe.perception.failures import nobody
from emoframe.perception.stages import StagePart
from emoframe.records import Frames, Keypoints, Track
from emoframe.skeleton import SkeletonLayout, layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

Arrays = dict[str, Any]


def measure(
    pose: StagePart, chunks: Iterator[Frames], track: Track, meta: dict[str, Any]
) -> Iterator[Arrays]:
    """Measure the followed person.

    Args:
        pose: The pose estimator.
        chunks: The video.
        track: Where the person is.
        meta: Receives `layout`, and `valid`, the share of frames in which a group was measured.

    Yields:
        The arrays of `Keypoints` for the store, NaN where masked.

    Raises:
        DataError: Nothing was measured, or what is no number.
        ComponentError: The estimator does not give what it promises.
    """
    joints = layout(pose.part.layout)
    seen = dict.fromkeys(joints.groups, 0)
    count, total = 0, len(track.time_s)
    for found in pose.part.estimate(chunks, track):
        here = slice(count, count + len(found))
        _check(pose.name, found, joints, track.valid[here])
        for group, members in joints.groups.items():
            seen[group] += int(found.valid[:, members].any(axis=1).sum())
        yield _arrays(found, track, here)
        count += len(found)
    if count != total:
        raise ComponentError(f"pose_estimator {pose.name!r} measured {count} of {total} frames")
    if not any(seen.values()):
        raise nobody(f"not one keypoint was found in any of {total} frames")
    meta |= {"layout": joints.name, "valid": {g: n / total for g, n in seen.items()}}


def _arrays(found: Keypoints, track: Track, here: slice) -> Arrays:
    """Lay out a chunk for the store: NaN where masked, so that nobody takes it for data."""
    return {
        "xy": np.where(found.valid[..., None], found.xy, np.nan).astype(np.float32),
        "confidence": found.confidence.astype(np.float32),
        "valid": found.valid,
        "time_s": track.time_s[here],
        "box": track.box[here],
        "cut": track.cut[here],
    }


def _check(name: str, found: Keypoints, joints: SkeletonLayout, present: NDArray[np.bool_]) -> None:
    """Hold a pose estimator to its contract before anything of it is stored."""
    shape = (len(found), joints.num_joints)
    shapes = [found.xy.shape[:-1], found.confidence.shape, found.valid.shape]
    wrong = ""
    if any(given != shape for given in shapes) or len(present) != len(found):
        wrong = f"gave arrays of shapes {shapes} where {joints.name} needs {shape}"
    if wrong:
        raise ComponentError(f"pose_estimator {name!r} {wrong}; this is a mistake in its code")
    if not np.isfinite(found.xy[found.valid]).all():
        wrong = "says that a coordinate is valid which is no finite number"
    elif found.valid[~present].any():
        wrong = "gave valid joints for a frame in which nobody has a box"
    if wrong:  # perhaps for this video alone
        raise DataError(f"pose_estimator {name!r} {wrong}; this is a mistake in its code")

"""Maps between joints: from other estimators' points into `openpose_137`, and from left to right.

Kept beside `skeleton.py` only because the numbers are many; import them from there. Decided here:
a target without a source stays masked, and a target that is the mean of several points is valid
only where all of them are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emoframe.core.errors import DataError

SIDES = {"left": "right", "right": "left", "l": "r", "r": "l"}
Sources = tuple[tuple[int, ...], ...]


def partners(joints: Sequence[str]) -> tuple[int, ...]:
    """Return the left/right partner of each joint, as its name tells; itself where none is told.

    `left_wrist` and `right_wrist`, `l knee` and `r knee`, `LElbow` and `RElbow` are partners.
    """
    number = {_words(name): n for n, name in enumerate(joints)}

    def partner(name: str) -> int:
        swapped = tuple(SIDES.get(word, word) for word in _words(name))
        return number.get(swapped, number[_words(name)])

    found = [partner(name) for name in joints]
    return tuple(other if found[other] == n else n for n, other in enumerate(found))


def _words(name: str) -> tuple[str, ...]:
    """Split a joint's name into lower-case words: at separators, and before capitals."""
    return tuple(
        re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=\b[LR])(?=[A-Z])", " ", re.sub(r"[_\W]+", " ", name))
        .lower()
        .split()
    )


@dataclass(frozen=True)
class JointMap:
    """Where each joint of a target layout comes from.

    Attributes:
        source: Name of the point set that is read.
        num_source: Number of its points.
        target: Name of the layout that comes out.
        sources: For each target joint the source points to average; empty where there is none.
        factor: For each target joint what its confidence is multiplied by, in [0, 1].

    Raises:
        DataError: A source point that does not exist, or not one factor per target joint.
    """

    source: str
    num_source: int
    target: str
    sources: Sources
    factor: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse a map that could not be applied."""
        wrong = [n for ns in self.sources for n in ns if not 0 <= n < self.num_source]
        if wrong or len(self.factor) != len(self.sources):
            raise DataError(
                f"map from {self.source} to {self.target}: needs source points of 0 to "
                f"{self.num_source - 1} (wrong: {wrong[:3]}) and one factor for each of the "
                f"{len(self.sources)} targets (given: {len(self.factor)})"
            )

    def apply(
        self,
        xy_TVC: NDArray[np.floating],
        confidence_TV: NDArray[np.floating],
        valid_TV: NDArray[np.bool_],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
        """Turn source points into target joints.

        Args:
            xy_TVC: Coordinates of the source points, 2-D or 3-D.
            confidence_TV: Their confidence.
            valid_TV: True where they were measured.

        Returns:
            Coordinates, confidence and validity of the target joints. A target is valid where all
            its sources are; its confidence is their smallest, times the factor. Where it is not
            valid, its coordinates are NaN and its confidence is 0.

        Raises:
            DataError: The arrays do not have the source's number of points.
        """
        if xy_TVC.shape[1] != self.num_source:
            raise DataError(
                f"{self.source} has {self.num_source} points, the array has {xy_TVC.shape[1]}"
            )
        frames, joints = len(xy_TVC), len(self.sources)
        xy = np.full((frames, joints, xy_TVC.shape[2]), np.nan, np.float32)
        confidence = np.zeros((frames, joints), np.float32)
        valid = np.zeros((frames, joints), np.bool_)
        for joint, points in enumerate(self.sources):
            if points:
                some = list(points)
                xy[:, joint] = xy_TVC[:, some].mean(1)
                confidence[:, joint] = confidence_TV[:, some].min(1) * self.factor[joint]
                valid[:, joint] = valid_TV[:, some].all(1)
        xy[~valid], confidence[~valid] = np.nan, 0
        return xy, confidence, valid


def _points(*entries: int | tuple[int, ...] | None, first: int = 0) -> Sources:
    """Write one point, several to average, or none per target, counted from `first`."""
    many = [() if e is None else (e,) if isinstance(e, int) else e for e in entries]
    return tuple(tuple(first + n for n in ns) for ns in many)


# fmt: off
_MEDIAPIPE_BODY = _points(
    0, (11, 12), 12, 14, 16, 11, 13, 15, (23, 24), 24, 26, 28, 23, 25, 27, 5, 2, 8, 7,
    31, None, 29, 32, None, 30,
)
_MEDIAPIPE_FACE = _points(
    127, 234, 93, (132, 58), (58, 172), 136, 150, 176, 152,            # jaw, right half and chin
    400, 379, 365, (397, 288), (361, 288), 323, 454, 356,              # jaw, left half
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,                     # brows
    (168, 6), (197, 195), 5, 4, 75, 97, 2, 326, 305,                   # nose
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,         # eyes
    61, 39, 37, 0, 267, 269, 291, 321, 314, 17, 84, 91,                # outer lip
    78, 82, 13, 312, 308, 317, 14, 87,                                 # inner lip
    468, 473,                                                          # iris centres
    first=33,
)
_WHOLEBODY_BODY = _points(
    0, (5, 6), 6, 8, 10, 5, 7, 9, (11, 12), 12, 14, 16, 11, 13, 15, 2, 1, 4, 3,
    17, 18, 19, 20, 21, 22,
)
# fmt: on

MEDIAPIPE_TO_OPENPOSE_137 = JointMap(
    source="mediapipe_holistic_553",
    num_source=33 + 478 + 21 + 21,
    target="openpose_137",
    sources=(*_MEDIAPIPE_BODY, *_MEDIAPIPE_FACE, *_points(*range(42), first=33 + 478)),
    factor=(1.0,) * 137,
)
"""MediaPipe Holistic: pose 33, refined face mesh 478, left hand 21, right hand 21, in that order.

Neck and mid-hip are the means of shoulders and hips; the small toes have no source. The face
follows the widely used correspondence of iBUG-68 to the mesh (P. Yan), with one change: its jaw
point 13 took mesh point 361 alone, where its partner, point 3, averages two; here both average
their two, so that mapping and mirroring commute.
"""

WHOLEBODY_133_TO_OPENPOSE_137 = JointMap(
    source="coco_wholebody_133",
    num_source=133,
    target="openpose_137",
    sources=(
        *_WHOLEBODY_BODY,
        *_points(*range(68), first=23),
        *_points((36, 37, 38, 39, 40, 41), (42, 43, 44, 45, 46, 47), first=23),
        *_points(*range(42), first=91),
    ),
    factor=(*(1.0,) * 93, 0.5, 0.5, *(1.0,) * 42),
)
"""COCO-WholeBody (RTMPose, DWPose, RTMW): body 17, feet 6, face 68, left hand 21, right hand 21.

It has no pupils: the mean of the eye's six points stands for one, at half the confidence.
"""

COCO_17_TO_OPENPOSE_137 = JointMap(
    source="coco_17",
    num_source=17,
    target="openpose_137",
    sources=(*_WHOLEBODY_BODY[:19], *_points(*(None,) * 118)),
    factor=(1.0,) * 137,
)
"""COCO's 17 points of the body (YOLO-pose), which COCO-WholeBody begins with.

Neck and mid-hip are the means of shoulders and hips; feet, face and hands have no source.
"""

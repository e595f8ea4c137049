"""Who is seen in planted videos: the figure, the parts of its face, what subjects differ by.

Decided here: the brows of all subjects rest at the same height over jaw and nose, so that what the
worlds hold there is not hidden by who somebody is; the mouth's height is what leans with the label
in train.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from emoframe.records import Keypoints
from emoframe.skeleton import OPENPOSE_137

BODY_POSTURE, FACE_POSTURE = 6.0, 1.5
"""Standard deviation between subjects in pixels: where joints are; where parts of the face are."""

FACE = slice(25, 95)
LEGS = (10, 11, 13, 14, *range(19, 25))
HEAD = (0, 15, 16, 17, 18, *range(25, 95))
LEFT_HAND, RIGHT_HAND = slice(95, 116), slice(116, 137)


def face_joints(*parts: str) -> tuple[int, ...]:
    """Return the joints of the face, counted from 0 inside it, whose names begin so."""
    return tuple(n for n, name in enumerate(OPENPOSE_137.joints[FACE]) if name.startswith(parts))


BROWS = face_joints("right_brow", "left_brow")
STILL = face_joints("jaw", "nose", "nostril")
"""What the height of the brows is measured against."""
FACE_PARTS = (
    face_joints("jaw"),
    face_joints("nose", "nostril"),
    face_joints("outer_lip", "inner_lip"),
    face_joints("right_brow"),
    face_joints("left_brow"),
    face_joints("right_eye", "right_pupil"),
    face_joints("left_eye", "left_pupil"),
)
MOUTH = 2
"""The part of `FACE_PARTS` whose height leans with the label in train."""


def posture(generator: np.random.Generator, lean: float) -> NDArray[np.float32]:
    """Return how a subject differs from the figure, (137, 2) in pixels of the figure.

    Args:
        generator: The subject's own.
        lean: Added to the height of the mouth, in standard deviations between subjects.
    """
    shift = BODY_POSTURE * generator.standard_normal((OPENPOSE_137.num_joints, 2), np.float32)
    shift[list(HEAD)] = shift[0]
    shift[LEFT_HAND], shift[RIGHT_HAND] = shift[7], shift[4]
    parts = generator.standard_normal((len(FACE_PARTS), 2), np.float32)
    parts[MOUTH, 1] += lean
    face = np.zeros((70, 2), np.float32)
    for part, joints in zip(parts, FACE_PARTS, strict=True):
        face[list(joints)] = FACE_POSTURE * part
    face[list(BROWS), 1] -= face[list(BROWS), 1].mean() - face[list(STILL), 1].mean()
    shift[FACE] += face
    return shift


def raised(keypoints: Keypoints) -> NDArray[np.float32]:
    """Return how high each joint of the face is over jaw and nose, (T, 70), gaps filled linearly.

    A joint that was never measured stays at 0.
    """
    y = -keypoints.xy[:, FACE, 1]
    valid = keypoints.valid[:, FACE]
    frames = np.arange(len(y))
    if not valid.all():
        y = np.where(valid, y, 0)
        for joint in np.flatnonzero(~valid.all(0) & valid.any(0)).tolist():
            seen = valid[:, joint]
            y[:, joint] = np.interp(frames, frames[seen], y[seen, joint])
    return y - y[:, list(STILL)].mean(1, keepdims=True)


def face_width() -> float:
    """Return the width of the figure's jaw in pixels."""
    jaw = figure()[FACE][list(face_joints("jaw"))]
    return float(jaw[-1, 0] - jaw[0, 0])


@functools.cache
def figure() -> NDArray[np.float32]:
    """Return a person at rest, upper body, in a picture of 640 x 480 pixels, (137, 2)."""
    xy = np.zeros((137, 2), np.float32)
    xy[:25] = [
        (320, 150), (320, 215), (255, 220), (225, 310), (260, 385), (385, 220), (415, 310),
        (380, 385), (320, 400), (285, 400), (285, 470), (285, 475), (355, 400), (355, 470),
        (355, 475), (305, 138), (335, 138), (285, 145), (355, 145), (365, 478), (370, 478),
        (350, 478), (275, 478), (270, 478), (290, 478),
    ]  # fmt: skip
    xy[FACE] = (320, 150) + _face()
    hand = np.array([(0.0, 0.0), *((f * 6 - 12, -8 - 7 * j) for f in range(5) for j in range(4))])
    xy[LEFT_HAND] = (380, 385) + hand * (-1, 1)
    xy[RIGHT_HAND] = (260, 385) + hand
    return xy


def _face() -> NDArray[np.float64]:
    """Return the 70 points of a face around the nose, (70, 2)."""

    def arc(
        count: int, x: float, y: float, width: float, height: float, start: float, stop: float
    ) -> NDArray[np.float64]:
        angle = np.linspace(start, stop, count)
        return np.stack([x + width * np.cos(angle), y + height * np.sin(angle)], -1)

    pi = np.pi
    return np.concatenate(
        [
            arc(17, 0, -5, 42, 52, pi, 0),
            arc(5, -18, -22, 13, 6, pi, 2 * pi),
            arc(5, 18, -22, 13, 6, pi, 2 * pi),
            np.stack([np.zeros(4), np.linspace(-14, 2, 4)], -1),
            np.stack([np.linspace(-7, 7, 5), np.array([6, 8, 9, 8, 6.0])], -1),
            arc(7, -16, -12, 7, 3.5, pi, 3 * pi)[:6],
            arc(7, 16, -12, 7, 3.5, pi, 3 * pi)[:6],
            arc(13, 0, 23, 15, 6, pi, 3 * pi)[:12],
            arc(9, 0, 23, 11, 2.5, pi, 3 * pi)[:8],
            [(-16.0, -12.0), (16.0, -12.0)],
        ]
    )

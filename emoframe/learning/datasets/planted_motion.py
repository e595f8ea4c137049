"""How people move in planted videos while nothing is planted: generated, or on real tracks.

Decided here: all slow motion of a video is one product of a few smooth tracks and a constant
matrix, so that 512 frames take milliseconds; a real track replaces sway, speech, noise and lost
hands, and keeps its own.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emoframe.core.errors import DataError
from emoframe.learning.datasets.planted_figure import (
    FACE,
    FACE_PARTS,
    HEAD,
    LEFT_HAND,
    LEGS,
    RIGHT_HAND,
    face_joints,
    face_width,
    figure,
)
from emoframe.perception.keypoint_files import read_openpose_json, read_pose_file
from emoframe.records import Keypoints
from emoframe.skeleton import OPENPOSE_137

FPS = 25.0
SWAY = 6.0
"""Standard deviation of the head's sway in pixels: the default events are no larger."""
DRIFT, NOISE, SPEECH = 2.0, 0.5, 5.0
"""Pixels: slow change of each part of the face, error of a measurement, opening of the mouth."""
SLOW, FAST = 30.0, 15.0
"""Width of the smoothing in frames: sway and drift; phrases and lost hands."""
SEEN = -0.73
"""A hand is seen while its track is above this: three quarters of the time."""

NUMBERS = 2 * OPENPOSE_137.num_joints
TRACKS = 2 * (4 + len(FACE_PARTS))
"""Slow tracks: x and y of body, head, right arm and left arm, and of each part of the face."""


class Synthetic:
    """Somebody who sits at a table, sways, talks, and loses a hand now and then.

    Args:
        frames: Frames of a video.
    """

    scale, step_s = 1.0, 1 / FPS

    def __init__(self, frames: int) -> None:
        self.frames = frames

    def keypoints(self, generator: np.random.Generator) -> Keypoints:
        """Return a video of the figure at rest plus its motion, in a picture of 640 x 480."""
        slow_kernel, fast_kernel = _kernel(self.frames, SLOW), _kernel(self.frames, FAST)
        sizes = [self.frames * NUMBERS, slow_kernel.shape[1] * TRACKS, fast_kernel.shape[1] * 3]
        drawn = generator.standard_normal(sum(sizes) + self.frames, np.float32)
        noise, slow, fast, phase = np.split(drawn, np.cumsum(sizes))
        tracks = np.empty((self.frames, TRACKS + 1), np.float32)
        tracks[:, :-1] = _unit(slow_kernel @ slow.reshape(-1, TRACKS))
        left, right, phrases = _unit(fast_kernel @ fast.reshape(-1, 3)).T
        tracks[:, -1] = np.abs(np.sin(np.cumsum(0.55 + 0.12 * phase))) * (phrases > 0)
        xy = noise.reshape(self.frames, NUMBERS)
        xy *= NOISE
        xy += tracks @ _basis()
        xy += figure().reshape(-1)
        valid = np.ones((self.frames, OPENPOSE_137.num_joints), bool)
        valid[:, LEGS] = False
        valid[:, LEFT_HAND] = (left > SEEN)[:, None]
        valid[:, RIGHT_HAND] = (right > SEEN)[:, None]
        xy = xy.reshape(self.frames, -1, 2)
        xy[~valid] = np.nan
        confidence = np.where(valid, np.float32(0.9), np.float32(0))
        return Keypoints(xy, confidence, valid, np.arange(self.frames) / FPS, OPENPOSE_137.name)

    def fingerprint(self) -> dict[str, str]:
        """Return nothing: the parameters say everything."""
        return {}


class RealTracks:
    """Windows of a genuine track, to and fro where it is shorter than a video.

    Args:
        path: A `.pose` file or a folder of OpenPose JSON, with faces.
        frames: Frames of a video.

    Raises:
        DataError: When first used, where the path is no such thing or no face was measured.
    """

    def __init__(self, path: Path, frames: int) -> None:
        self.path, self.frames = path, frames

    @functools.cached_property
    def track(self) -> Keypoints:
        """The whole track."""
        if self.path.is_dir():
            return read_openpose_json(self.path)
        if self.path.exists() and self.path.suffix != ".pose":
            raise DataError(
                f"planted: real_tracks is {self.path}; it takes a .pose file or a folder of "
                "OpenPose JSON files, of the 137 points of openpose_137"
            )
        return read_pose_file(self.path)

    @functools.cached_property
    def scale(self) -> float:
        """Width of the track's face over that of the figure, so that a pixel means the same."""
        ends = [FACE.start + face_joints("jaw")[n] for n in (0, -1)]
        both = self.track.valid[:, ends].all(1)
        if not both.any():
            raise DataError(
                f"planted: real_tracks is {self.path}, in which no face was measured; events are "
                "movements of the face, so give a track that has one"
            )
        right, left = self.track.xy[both][:, ends].swapaxes(0, 1)
        return float(np.median(np.linalg.norm(left - right, axis=1))) / face_width()

    @functools.cached_property
    def step_s(self) -> float:
        """Seconds from one frame to the next."""
        return float(np.median(np.diff(self.track.time_s))) if len(self.track) > 1 else 1 / FPS

    def keypoints(self, generator: np.random.Generator) -> Keypoints:
        """Return a window that begins anywhere; what was not measured stays masked."""
        track, total = self.track, len(self.track)
        longer = total >= self.frames
        period = max(total if longer else 2 * total - 2, 1)
        first = generator.integers(total - self.frames + 1 if longer else period)
        index = (first + np.arange(self.frames)) % period
        index = np.where(index < total, index, period - index)
        cut = None
        if track.cut is not None:
            shot = np.cumsum(track.cut)[index]
            cut = np.concatenate([[False], shot[1:] != shot[:-1]])
        xy = np.where(track.valid[index][..., None], track.xy[index], np.float32(np.nan))
        time_s = self.step_s * np.arange(self.frames, dtype=np.float64)
        confidence, valid = track.confidence[index], track.valid[index]
        return Keypoints(xy, confidence, valid, time_s, track.layout, cut=cut)

    def fingerprint(self) -> dict[str, str]:
        """Return the hash of the track, so that a run knows when it changed."""
        content = self.track.xy.tobytes() + self.track.valid.tobytes()
        return {"real_tracks": hashlib.sha256(content).hexdigest()}


@functools.lru_cache(maxsize=8)
def _kernel(frames: int, width: float) -> NDArray[np.float32]:
    """Return what smooths noise at knots half a width apart into tracks, (T, knots)."""
    knots = np.arange(-3 * width, frames + 3 * width, width / 2)
    return np.exp(-0.5 * ((np.arange(frames)[:, None] - knots) / width) ** 2).astype(np.float32)


def _unit(tracks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give each track mean 0 and standard deviation 1 over the video."""
    tracks -= tracks.mean(0)
    tracks /= np.maximum(tracks.std(0), 1e-6)
    return tracks


@functools.cache
def _basis() -> NDArray[np.float32]:
    """Return how far each track moves each joint, in pixels, (TRACKS + 1, 274)."""
    everybody = tuple(range(OPENPOSE_137.num_joints))
    arms = ((3, 4, *everybody[RIGHT_HAND]), (6, 7, *everybody[LEFT_HAND]))
    # body and head add up to the sway of the head
    moved = [(joints, SWAY / np.sqrt(2)) for joints in (everybody, HEAD, *arms)]
    moved += [(tuple(FACE.start + joint for joint in part), DRIFT) for part in FACE_PARTS]
    basis = np.zeros((TRACKS + 1, OPENPOSE_137.num_joints, 2), np.float32)
    for n, (joints, depth) in enumerate(moved):
        for axis in (0, 1):
            basis[2 * n + axis, list(joints), axis] = depth
    lower_lip = [FACE.start + 48 + n for n in (7, 8, 9, 10, 11, 17, 18, 19)]
    basis[-1, lower_lip, 1] = SPEECH
    return basis.reshape(TRACKS + 1, NUMBERS)

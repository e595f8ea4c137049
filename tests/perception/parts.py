"""Small real parts, as a plugin file: `--plugin tests/perception/parts.py`.

The videos that `make_video` writes show a bright square that moves; these find it, measure it, and
describe it. They can be slow, end their process, or fail for a video of a chosen length.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator

import numpy as np

from emoframe import component
from emoframe.records import Boxes, Features, Frames, Keypoints, Track

LEVEL = 230


@component("detector", "square")
class Square:
    """Finds the bright square.

    Args:
        level: Least grey level of the square.
    """

    def __init__(self, *, level: int = LEVEL) -> None:
        self.level = level

    def detect(self, frames: Frames) -> list[Boxes]:
        """Return the square of each frame with a margin, or nothing."""
        found = []
        for rgb in frames.rgb:
            rows, columns = np.nonzero(rgb.min(axis=2) > self.level)
            corners = (
                [columns.min() - 4, rows.min() - 4, columns.max() + 5, rows.max() + 5]
                if len(rows)
                else []
            )
            box = np.array(corners, np.float32).reshape(-1, 4)
            found.append(Boxes(box, np.ones(len(box), np.float32)))
        return found


@component("pose_estimator", "centre")
class Centre:
    """Measures the nose, and hands over or breaks down as it is told.

    Args:
        pause_s: Seconds that each chunk takes.
        dies_at: Length in frames of the video at which the process kills itself; 0 for none.
        fails_at: Length in frames of the video that is refused; 0 for none.
    """

    layout = "openpose_137"

    def __init__(self, *, pause_s: float = 0.0, dies_at: int = 0, fails_at: int = 0) -> None:
        self.pause_s, self.dies_at, self.fails_at = pause_s, dies_at, fails_at

    def estimate(self, chunks: Iterable[Frames], track: Track) -> Iterator[Keypoints]:
        """Yield the middle of the box as the nose."""
        if len(track.time_s) == self.dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if len(track.time_s) == self.fails_at:
            raise ValueError("this length is not wanted")
        for frames in chunks:
            time.sleep(self.pause_s)
            box = track.box[frames.index]
            xy = np.full((len(frames), 137, 2), np.nan, np.float32)
            xy[:, 0] = (box[:, :2] + box[:, 2:]) / 2
            valid = np.isfinite(xy).all(axis=2)
            yield Keypoints(xy, valid.astype(np.float32), valid, frames.time_s, self.layout)


@component("frame_encoder", "colour")
class Colour:
    """Mean colour of each picture, or of each `span` of them.

    Args:
        every: Encodes each n-th frame.
        span: Frames that make up one vector.
        size: Side of the pictures.
        batch: Pictures computed together; it decides nothing.
    """

    reads_keypoints = False
    out_dim = 3
    not_in_key = ("batch",)

    def __init__(self, *, every: int = 2, span: int = 1, size: int = 16, batch: int = 1) -> None:
        self.every, self.span, self.size, self.batch = every, span, size, batch

    def encode(self, frames: Frames, keypoints: Keypoints | None) -> Features:
        """Return the mean over pixels and frames."""
        x = frames.rgb.reshape(-1, self.span, self.size**2, 3).mean(axis=(1, 2)) / 255
        times = frames.time_s.reshape(-1, self.span).mean(axis=1)
        return Features(x.astype(np.float32), np.ones(len(x), np.bool_), times)


@component("frame_encoder", "under_joints")
class UnderJoints:
    """Colour of the pixel under each joint.

    Args:
        every: Encodes each n-th frame.
    """

    span, size, reads_keypoints, out_dim = 1, 16, True, 3

    def __init__(self, *, every: int = 3) -> None:
        self.every = every

    def encode(self, frames: Frames, keypoints: Keypoints | None) -> Features:
        """Return one colour per valid joint inside the picture."""
        assert keypoints is not None
        at = np.nan_to_num(keypoints.xy, nan=-1).astype(int)
        valid = keypoints.valid & (at >= 0).all(-1) & (at < self.size).all(-1)
        x = np.full((*valid.shape, 3), np.nan, np.float32)
        t, v = np.nonzero(valid)
        x[t, v] = frames.rgb[t, at[t, v, 1], at[t, v, 0]] / 255
        return Features(x, valid, frames.time_s)

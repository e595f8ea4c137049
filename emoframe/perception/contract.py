"""What a part of perception promises, tried on a few made-up frames, see `emoframe.testing`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from emoframe.interfaces import Detector, FrameEncoder, PoseEstimator
from emoframe.records import Frames, Keypoints, Track
from emoframe.skeleton import layout

T = 7


def _frames() -> Frames:
    rgb = np.random.default_rng(0).integers(0, 255, (T, 48, 64, 3), dtype=np.uint8)
    return Frames(rgb, np.arange(T) / 25.0, np.arange(T))


def check_detector(label: str, part: Detector) -> None:
    """Check that each frame has its boxes, and that they are numbers."""
    found = part.detect(_frames())
    assert len(found) == T, f"{label}: gave {len(found)} results for {T} frames"
    for boxes in found:
        assert boxes.xyxy.shape == (len(boxes), 4), f"{label}: xyxy has shape {boxes.xyxy.shape}"
        assert np.isfinite(boxes.xyxy).all(), f"{label}: a box is not finite"


def check_pose_estimator(label: str, part: PoseEstimator) -> None:
    """Check shapes, and that a frame without a box has no valid joint."""
    frames, joints = _frames(), layout(part.layout)
    box = np.tile(np.array([8, 8, 56, 40], np.float32), (T, 1))
    box[2] = np.nan
    track = Track(box, np.zeros(T, bool), frames.time_s, "the whole picture", Path("clip.mp4"))
    (found,) = part.estimate([frames], track)
    assert found.xy.shape == (T, joints.num_joints, 2), f"{label}: xy has shape {found.xy.shape}"
    assert not found.valid[2].any(), f"{label}: measured a frame in which nobody has a box"
    assert np.isfinite(found.xy[found.valid]).all(), f"{label}: a valid joint is not finite"


def check_frame_encoder(label: str, part: FrameEncoder) -> None:
    """Check shapes, times, and that nothing masked has a vector."""
    count = 2 * part.span
    generator = np.random.default_rng(0)
    rgb = generator.integers(0, 255, (count, part.size, part.size, 3), dtype=np.uint8)
    frames = Frames(rgb, np.arange(count) / 25.0, np.arange(count))
    keypoints = _keypoints(count, part.size) if part.reads_keypoints else None
    found = part.encode(frames, keypoints)
    assert len(found) == 2, (
        f"{label}: gave {len(found)} tokens for {count} frames, span {part.span}"
    )
    assert found.valid.shape == found.x.shape[:-1], f"{label}: valid has shape {found.valid.shape}"
    assert found.x.shape[-1] == part.out_dim, (
        f"{label}: x has shape {found.x.shape}, out_dim promises {part.out_dim}"
    )
    assert np.isfinite(found.x[found.valid]).all(), f"{label}: a valid vector is not finite"
    times = frames.time_s.reshape(2, -1).mean(1)
    assert np.allclose(found.time_s, times), f"{label}: time_s is not the mean of a token's frames"
    if keypoints is not None:
        assert not found.valid[~keypoints.valid].any(), f"{label}: a masked joint has a vector"


def _keypoints(count: int, size: int) -> Keypoints:
    """Joints all over square pictures, the first of each masked."""
    joints = layout("openpose_137").num_joints
    xy = np.random.default_rng(1).uniform(0, size, (count, joints, 2)).astype(np.float32)
    valid = np.ones((count, joints), bool)
    valid[:, 0], xy[:, 0] = False, np.nan
    confidence = valid.astype(np.float32)
    return Keypoints(xy, confidence, valid, np.arange(count) / 25.0, "openpose_137")


PERCEPTION_CHECKS: dict[str, Callable[[str, Any], None]] = {
    "detector": check_detector,
    "pose_estimator": check_pose_estimator,
    "frame_encoder": check_frame_encoder,
}
"""The check of each kind; it raises `AssertionError`."""

"""What `mediapipe` promises: points where they are, and none that it did not see."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from emoframe_mediapipe import emoframe_components
from emoframe_mediapipe.graphs import Settings, Solutions
from emoframe_mediapipe.holistic import MediaPipe
from emoframe_mediapipe.quiet import without_notices
from numpy.typing import NDArray

from emoframe.core.errors import ComponentError
from emoframe.interfaces import PoseEstimator
from emoframe.records import Frames, Keypoints, Track
from emoframe.skeleton import OPENPOSE_137

Clip = tuple[Frames, Keypoints]
SHOULDERS = ("right_shoulder", "left_shoulder")


@pytest.fixture(scope="module")
def shared() -> Path:
    """Folder of real data beside the repository."""
    root = Path(__file__).parents[3]
    folder = Path(os.environ.get("EMOFRAME_SHARED", root.parent / "shared"))
    if not folder.is_dir():
        pytest.skip("needs the real data in shared/, which is not here")
    return folder


@pytest.fixture(scope="module")
def folding(shared: Path) -> Clip:
    """A man who folds his arms, and his keypoints."""
    return measured(shared / "media" / "imigue_folding-arms.gif")


@pytest.fixture(scope="module")
def rubbing(shared: Path) -> Clip:
    """A man who rubs his eyes and holds his cheeks, and his keypoints."""
    return measured(shared / "media" / "imigue_rubbing-eyes.gif")


def measured(path: Path) -> Clip:
    with av.open(str(path)) as container:
        pictures = list(container.decode(video=0))
    rgb = np.stack([picture.to_ndarray(format="rgb24") for picture in pictures])
    frames = Frames(rgb, np.array([picture.time for picture in pictures]), np.arange(len(rgb)))
    return frames, estimate(frames, whole(frames))


def whole(frames: Frames) -> Track:
    """A track whose box is the whole picture."""
    height, width = frames.rgb.shape[1:3]
    box = np.tile(np.array([0, 0, width, height], np.float32), (len(frames), 1))
    return Track(box, np.zeros(len(frames), np.bool_), frames.time_s, "whole picture")


def estimate(frames: Frames, track: Track, **settings: Any) -> Keypoints:
    (keypoints,) = MediaPipe(**settings).estimate([frames], track)
    return keypoints


def take(frames: Frames, which: NDArray[Any] | slice) -> Frames:
    """Some frames as a video of their own."""
    rgb = frames.rgb[which]
    return Frames(rgb, frames.time_s[which], np.arange(len(rgb)))


def black(count: int = 2) -> Frames:
    return Frames(np.zeros((count, 90, 160, 3), np.uint8), np.arange(count) / 25, np.arange(count))


def joints(*names: str) -> list[int]:
    return [OPENPOSE_137.joints.index(name) for name in names]


def seen(keypoints: Keypoints, group: str) -> NDArray[np.float64]:
    """Share of a group's joints that are valid in each frame."""
    return keypoints.valid[:, list(OPENPOSE_137.group(group))].mean(axis=1)


def test_it_is_declared_as_a_pose_estimator() -> None:
    (component,) = emoframe_components()
    assert (component.kind, component.name) == ("pose_estimator", "mediapipe")
    estimator = MediaPipe(**component.example)
    assert isinstance(estimator, PoseEstimator)
    assert estimator.layout == OPENPOSE_137.name
    assert estimator.fingerprint()["mediapipe"].startswith("0.10.")


def test_where_nobody_is_all_is_masked() -> None:
    frames = black()
    keypoints = estimate(frames, whole(frames))
    assert keypoints.xy.shape == (2, 137, 2)
    assert not keypoints.valid.any()
    assert np.isnan(keypoints.xy).all()
    assert (keypoints.confidence == 0).all()


def test_the_body_is_valid_throughout_both_clips(folding: Clip, rubbing: Clip) -> None:
    for _, keypoints in (folding, rubbing):
        upper = keypoints.valid[:, joints("neck", *SHOULDERS)].all(axis=1)
        assert upper.mean() >= 0.95


def test_the_face_is_found_unless_it_is_covered(folding: Clip, rubbing: Clip) -> None:
    assert (seen(folding[1], "face") == 1).mean() >= 0.95
    assert (seen(rubbing[1], "face") > 0).mean() >= 0.9


def test_a_face_behind_two_hands_is_masked_and_never_filled(rubbing: Clip) -> None:
    assert (seen(rubbing[1], "face")[:2] == 0).all()


def test_the_eye_behind_a_hand_is_masked_and_the_other_is_not(rubbing: Clip) -> None:
    covered, free = (
        rubbing[1].valid[9, joints(f"{side}_pupil", *(f"{side}_eye_rim_{n}" for n in range(6)))]
        for side in ("left", "right")
    )
    assert not covered[0]
    assert covered.sum() <= 1, "the outer corner may look past the fingertip"
    assert free.all()


def test_a_hand_that_is_tucked_away_is_not_invented(folding: Clip) -> None:
    assert not folding[1].valid[22:, joints("right_hand_wrist")].any()


def test_right_is_the_subjects_right(folding: Clip, rubbing: Clip) -> None:
    for _, keypoints in (folding, rubbing):
        for pair in (SHOULDERS, ("right_eye_rim_0", "left_eye_rim_3"), ("right_eye", "left_eye")):
            x = keypoints.xy[:, joints(*pair), 0]
            assert np.nanmean(x[:, 1] - x[:, 0]) > 5


def test_a_mirrored_picture_gives_mirrored_joints(folding: Clip) -> None:
    frames, keypoints = folding
    few = take(frames, slice(5, 12))
    flipped = replace(few, rgb=few.rgb[:, :, ::-1])
    mirrored = estimate(flipped, whole(few)).xy[:, list(OPENPOSE_137.mirror)]
    mirrored[..., 0] = frames.rgb.shape[2] - mirrored[..., 0]
    apart = np.linalg.norm(mirrored - keypoints.xy[5:12], axis=-1)
    assert np.nanmedian(apart[:, list(OPENPOSE_137.group("face"))]) < 4
    assert np.nanmedian(apart[:, joints(*SHOULDERS)]) < 12


def test_points_are_in_source_pixels_whatever_the_box(folding: Clip) -> None:
    frames, keypoints = folding
    track = whole(frames)
    track.box[:] = [46.5, 18.2, 438.9, 338]
    cropped = estimate(frames, track)
    apart = np.linalg.norm(cropped.xy - keypoints.xy, axis=-1)
    assert np.nanmedian(apart[:, :25]) < 5
    assert np.nanmedian(apart[:, list(OPENPOSE_137.group("face"))]) < 2
    np.testing.assert_array_equal(cropped.box, track.box)


def test_nothing_outside_the_box_is_valid(rubbing: Clip) -> None:
    frames = take(rubbing[0], slice(15, 25))
    track = whole(frames)
    track.box[:] = [180, 0, 471, 200]
    keypoints = estimate(frames, track)
    left, top, right, bottom = track.box[0]
    x, y = keypoints.xy[keypoints.valid].T
    assert len(x)
    assert ((x >= left) & (x < right) & (y >= top) & (y < bottom)).all()
    assert not keypoints.valid[:, joints("left_elbow", "right_elbow")].any()


def test_a_box_that_jitters_does_not_shake_the_person(folding: Clip) -> None:
    frames, keypoints = folding
    track = whole(frames)
    shaky = np.random.default_rng(0).normal([46, 18, 439, 338], 15, track.box.shape)
    track.box[:] = np.clip(shaky, 0, [600, 338, 600, 338])
    shaken = estimate(frames, track)
    still, moved = (
        np.nanmedian(np.linalg.norm(np.diff(k.xy[:, :19], axis=0), axis=-1))
        for k in (keypoints, shaken)
    )
    assert moved < 2 * still


def test_a_frame_without_a_box_is_all_masked(folding: Clip) -> None:
    frames = take(folding[0], slice(0, 6))
    track = whole(frames)
    track.box[2:4] = np.nan
    keypoints = estimate(frames, track)
    assert keypoints.valid.any(axis=1).tolist() == [True, True, False, False, True, True]
    assert np.isnan(keypoints.xy[2:4]).all()


def test_body_points_of_low_visibility_are_masked(folding: Clip) -> None:
    frames, body = take(folding[0], slice(0, 3)), slice(0, 25)
    usual = folding[1].valid[:3, body]
    sure = estimate(frames, whole(frames), min_visibility=0.999)
    assert 0 < sure.valid[:, body].sum() < usual.sum()
    assert sure.confidence[:, body][sure.valid[:, body]].min() >= 0.999
    assert sure.valid[:, 25:].sum() == folding[1].valid[:3, 25:].sum()


def test_chunks_are_measured_as_one_video(folding: Clip) -> None:
    frames = take(folding[0], slice(0, 8))
    parts = [
        Frames(frames.rgb[s], frames.time_s[s], frames.index[s]) for s in (slice(0, 3), slice(3, 8))
    ]
    measured_parts = list(MediaPipe().estimate(iter(parts), whole(frames)))
    assert [len(part) for part in measured_parts] == [3, 5]
    np.testing.assert_array_equal(
        np.concatenate([part.xy for part in measured_parts]), folding[1].xy[:8]
    )


def test_nothing_is_carried_over_a_cut(folding: Clip) -> None:
    which = np.r_[0:4, 20:25]
    frames, after = take(folding[0], which), take(folding[0], which[4:])
    track = whole(frames)
    track.cut[4] = True
    keypoints = estimate(frames, track)
    np.testing.assert_array_equal(keypoints.xy[4:], estimate(after, whole(after)).xy)
    assert keypoints.cut is not None
    assert keypoints.cut[4]


def test_it_can_be_left_half_way() -> None:
    frames = black()
    estimated = MediaPipe().estimate([frames, frames], whole(frames))
    next(estimated)
    estimated.close()  # pyright: ignore[reportAttributeAccessIssue]


def test_the_notices_of_the_library_are_kept_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    frames = black()
    estimate(frames, whole(frames))
    assert capfd.readouterr().err == ""


def test_what_is_no_known_notice_is_passed_on(capfd: pytest.CaptureFixture[str]) -> None:
    with without_notices():
        os.write(2, b"W0000 Feedback manager requires a model with a single signature\n")
        os.write(2, b"E0000 out of memory\n")
    assert capfd.readouterr().err == "E0000 out of memory\n"


def test_without_the_models_the_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe.python.solutions.holistic", None)
    with pytest.raises(ComponentError, match=r"pip install 'mediapipe>=0\.10\.21,<0\.10\.30'"):
        Solutions(Settings(0.5, 0.5, smooth=True))

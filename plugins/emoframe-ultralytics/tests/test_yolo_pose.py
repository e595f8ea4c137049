"""What `yolo_pose` promises: the body of the tracked person and nothing else, or a sentence."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from emoframe_ultralytics import emoframe_components
from emoframe_ultralytics.model import _half_precision
from emoframe_ultralytics.yolo import Yolo
from emoframe_ultralytics.yolo_pose import YoloPose, keypoints_of, nearest

from emoframe.core.errors import ComponentError
from emoframe.records import Frames, Track
from emoframe.skeleton import OPENPOSE_137


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder of models."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A YOLO11n-pose that was never trained; its points are near the middle of each box."""
    return save_untrained(tmp_path_factory.mktemp("weights") / "untrained.pt", "yolo11n-pose.yaml")


def save_untrained(path: Path, config: str, names: dict[int, str] | None = None) -> Path:
    from ultralytics import YOLO

    torch.manual_seed(0)
    model: Any = YOLO(config)
    model.model.names = names or {0: "person", **{n: f"class {n}" for n in range(1, 80)}}
    for branch in getattr(model.model.model[-1], "cv4", ()):
        torch.nn.init.zeros_(branch[-1].weight)
        torch.nn.init.zeros_(branch[-1].bias)
    model.save(path)
    return path


def video(count: int = 3) -> tuple[Frames, Track]:
    rgb = np.random.default_rng(0).integers(0, 255, (count, 240, 320, 3), dtype=np.uint8)
    index = np.arange(count)
    box = np.tile(np.array([100, 60, 220, 180], np.float32), (count, 1))
    return Frames(rgb, index / 25, index), Track(box, np.zeros(count, np.bool_), index / 25, "test")


def estimator(weights: Path, **settings: Any) -> YoloPose:
    defaults = {"conf": 0.0, "min_confidence": 0.0, "imgsz": 320}
    return YoloPose(weights=str(weights), **{**defaults, **settings})


def joint(name: str) -> int:
    return OPENPOSE_137.joints.index(name)


def test_it_is_declared_and_keeps_the_contract(random_weights: Path) -> None:
    from emoframe.testing import check_part

    components = {component.name: component for component in emoframe_components()}
    assert YoloPose(**components["yolo_pose"].example).layout == "openpose_137"
    check_part("pose_estimator", estimator(random_weights))


def test_only_the_body_without_feet_is_measured(random_weights: Path) -> None:
    frames, track = video()
    (found,) = estimator(random_weights).estimate([frames], track)
    assert found.valid[:, :19].any()
    assert not found.valid[:, 19:].any()
    assert np.isnan(found.xy[~found.valid]).all()
    x, y = found.xy[found.valid].T
    assert ((x > 0) & (x < 320) & (y > 0) & (y < 240)).all()


def test_the_points_are_those_of_the_person_who_overlaps_most_with_the_track(
    random_weights: Path,
) -> None:
    from ultralytics import YOLO

    frames, track = video(1)
    bgr = np.ascontiguousarray(frames.rgb[0, ..., ::-1])
    (result,) = YOLO(random_weights).predict(bgr, conf=0.0, imgsz=320, classes=[0], verbose=False)
    points = result.keypoints.data.numpy()
    inside = np.all((points[:, 0, :2] > 0) & (points[:, 0, :2] < (320, 240)), axis=-1)
    number = np.flatnonzero(inside)[-1]
    track.box[0] = result.boxes.xyxy[number].numpy()
    (found,) = estimator(random_weights).estimate([frames], track)
    expected = points[number]
    for point, name in ((0, "nose"), (9, "left_wrist"), (16, "right_ankle")):
        np.testing.assert_allclose(found.xy[0, joint(name)], expected[point, :2], atol=0.01)
    assert found.confidence[0, 0] == pytest.approx(expected[0, 2], abs=1e-3)


def test_the_nearest_box_is_the_one_of_the_largest_overlap_and_none_where_none_overlaps() -> None:
    boxes = np.array([[0, 0, 100, 100], [10, 10, 30, 30], [200, 200, 220, 220]], np.float32)
    assert nearest(boxes, np.array([11, 11, 31, 31], np.float32)) == 1
    assert nearest(boxes, np.array([0, 0, 80, 90], np.float32)) == 0
    assert nearest(boxes, np.array([300, 300, 310, 310], np.float32)) is None
    assert nearest(boxes[:0], boxes[0]) is None


def test_neck_and_mid_hip_are_means_and_left_stays_left() -> None:
    points = np.dstack([10.0 + np.arange(17), 50.0 - np.arange(17), np.full(17, 0.9)])
    xy, confidence, valid = keypoints_of(points.astype(np.float32), (100, 80), 0.5)
    assert xy[0, joint("neck")].tolist() == [15.5, 44.5]
    assert xy[0, joint("mid_hip")].tolist() == [21.5, 38.5]
    assert xy[0, joint("left_wrist")].tolist() == [19, 41]
    assert xy[0, joint("right_wrist")].tolist() == [20, 40]
    assert confidence[0, joint("neck")] == pytest.approx(0.9)
    assert np.flatnonzero(valid[0]).tolist() == [*range(19)]


def test_doubtful_points_and_points_on_the_edge_of_the_picture_are_masked() -> None:
    points = np.tile(np.array([20, 20, 0.9], np.float32), (1, 17, 1))
    points[0, 5, 2], points[0, 9, 0], points[0, 10, :2] = 0.4, 100, 0
    _, _, valid = keypoints_of(points, (100, 80), 0.5)
    masked = {OPENPOSE_137.joints[n] for n in np.flatnonzero(~valid[0, :19])}
    assert masked == {"left_shoulder", "neck", "left_wrist", "right_wrist"}


def test_where_nobody_is_found_or_the_track_has_no_box_all_is_masked(random_weights: Path) -> None:
    frames, track = video()
    track.box[1] = np.nan
    (found,) = estimator(random_weights).estimate([frames], track)
    assert found.valid.any(axis=1).tolist() == [True, False, True]
    (none,) = estimator(random_weights, conf=1.0).estimate([frames], track)
    assert not none.valid.any()


def test_the_batch_changes_the_speed_and_not_the_points(random_weights: Path) -> None:
    frames, track = video()
    one, three = (
        next(estimator(random_weights, batch=n).estimate([frames], track)) for n in (1, 3)
    )
    np.testing.assert_allclose(one.xy, three.xy, atol=1e-2)


def test_the_fingerprint_is_the_hash_of_the_weights(random_weights: Path) -> None:
    expected = hashlib.sha256(random_weights.read_bytes()).hexdigest()
    assert estimator(random_weights).fingerprint() == {"weights": expected}


def test_a_model_without_points_of_persons_is_refused(tmp_path: Path) -> None:
    weights = save_untrained(tmp_path / "boxes.pt", "yolo11n.yaml")
    frames, track = video()
    with pytest.raises(ComponentError, match=r"boxes\.pt do not give 17 points.*yolo11n-pose\.pt"):
        list(estimator(weights).estimate([frames], track))


def test_weights_that_are_not_here_are_a_sentence_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match=r"pose_estimator yolo_pose: .*there is no such file"):
        estimator(tmp_path / "gone.pt").fingerprint()


def test_half_precision_where_it_cannot_work_is_a_sentence(
    random_weights: Path, tmp_path: Path
) -> None:
    frames, track = video()
    half = estimator(random_weights, half=True)
    assert half.fingerprint(), "what was computed elsewhere can still be read"
    with pytest.raises(ComponentError, match=r"yolo_pose: half=True .* computes on the CPU; leave"):
        list(half.estimate([frames], track))
    exported = tmp_path / "any.onnx"
    exported.touch()
    with pytest.raises(ComponentError, match=r"detector yolo: half=True is .*it was exported in"):
        Yolo(weights=str(exported), half=True, device="cuda:0").detect(frames)


def test_half_precision_has_the_name_that_this_ultralytics_gives_it() -> None:
    from ultralytics.cfg import get_cfg

    settings = get_cfg(overrides=_half_precision())
    assert getattr(settings, "quantize", None) == 16 or getattr(settings, "half", False)

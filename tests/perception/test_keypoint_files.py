"""OpenPose's own files come in whole, and what they lack stays masked."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from emoframe.core.errors import ComponentError, DataError
from emoframe.perception.keypoint_files import BLOCKS, read_openpose_json, read_pose_file
from emoframe.skeleton import OPENPOSE_137

Person = dict[str, list[float]]


def person(x: float = 100, y: float = 100, size: float = 50, missing: int | None = None) -> Person:
    """A body whose 25 points fill a square; face and hands were switched off."""
    spread = np.linspace(0, size, 25)
    points = np.stack([x + spread, y + spread, np.full(25, 0.9)], axis=1)
    if missing is not None:
        points[missing] = 0
    return {block: [] for block in BLOCKS} | {"pose_keypoints_2d": points.ravel().tolist()}


def write(folder: Path, number: int, people: object, stem: str = "clip") -> Path:
    path = folder / f"{stem}_{number:012d}_keypoints.json"
    path.write_text(json.dumps({"version": 1.3, "people": people}), encoding="utf-8")
    return path


def left_edges(folder: Path, fps: float = 4.0) -> list[float]:
    """Left edge of the person followed in each frame; NaN where nobody is."""
    return read_openpose_json(folder, fps).xy[:, 0, 0].tolist()


def test_a_real_json_folder_is_read_whole(shared: Path) -> None:
    keypoints = read_openpose_json(shared / "media" / "openpose_json" / "du_wohn_wo")
    assert keypoints.xy.shape == (175, 137, 2)
    assert keypoints.layout == "openpose_137"
    assert keypoints.valid[:, [0, 1, 2, 5]].all()
    assert not keypoints.valid[:, 25:].any()
    assert keypoints.xy[10, 0].tolist() == pytest.approx([442.874, 123.216])
    assert keypoints.time_s[-1] == pytest.approx(174 / 25)


def test_a_real_pose_file_is_read_whole(shared: Path) -> None:
    keypoints = read_pose_file(shared / "data" / "openpose_137.pose")
    assert keypoints.xy.shape == (93, 137, 2)
    assert keypoints.layout == "openpose_137"
    assert keypoints.time_s[1] == pytest.approx(1 / 24)
    assert 0.8 < keypoints.valid.mean() < 0.85
    assert keypoints.confidence.max() <= 1
    assert np.isnan(keypoints.xy[~keypoints.valid]).all()


def test_the_left_hand_of_a_real_pose_file_hangs_on_the_left_wrist(shared: Path) -> None:
    xy = read_pose_file(shared / "data" / "openpose_137.pose").xy
    for side, other in (("left", "right"), ("right", "left")):
        hand, near, far = (
            xy[:, OPENPOSE_137.joints.index(name)]
            for name in (f"{side}_hand_wrist", f"{side}_wrist", f"{other}_wrist")
        )
        own, wrong = (np.nanmedian(np.linalg.norm(hand - w, axis=-1)) for w in (near, far))
        assert own < 0.1 * wrong


def test_a_missing_point_is_masked_and_never_zero(tmp_path: Path) -> None:
    write(tmp_path, 0, [person(missing=4)])
    keypoints = read_openpose_json(tmp_path)
    assert keypoints.valid[0].tolist() == [n != 4 and n < 25 for n in range(137)]
    assert np.isnan(keypoints.xy[~keypoints.valid]).all()
    assert (keypoints.confidence[~keypoints.valid] == 0).all()


def test_frames_without_a_file_or_without_people_are_masked(tmp_path: Path) -> None:
    for number, people in ((7, [person()]), (8, []), (10, [person()])):
        write(tmp_path, number, people)
    keypoints = read_openpose_json(tmp_path, fps=10)
    assert keypoints.valid.any(1).tolist() == [True, False, False, True]
    np.testing.assert_allclose(keypoints.time_s, [0.7, 0.8, 0.9, 1.0])


def test_a_folder_without_any_person_is_masked_throughout(tmp_path: Path) -> None:
    write(tmp_path, 0, [])
    write(tmp_path, 1, [{block: [0.0] * 3 * count for block, count in BLOCKS.items()}])
    assert not read_openpose_json(tmp_path).valid.any()


def test_the_largest_person_is_followed_when_the_order_changes(tmp_path: Path) -> None:
    write(tmp_path, 0, [person(400, size=40), person(100, size=80)])
    write(tmp_path, 1, [person(105, size=80), person(400, size=40)])
    write(tmp_path, 2, [person(350, size=200), person(110, size=80)])
    keypoints = read_openpose_json(tmp_path)
    assert keypoints.xy[:, 0, 0].tolist() == [100, 105, 110]
    assert not keypoints.cut.any()


def test_a_bystander_does_not_stand_in_for_somebody_who_is_lost_for_a_moment(
    tmp_path: Path,
) -> None:
    bystander = person(400, size=40)
    for number, people in enumerate([[person(), bystander], [bystander], [person()]]):
        write(tmp_path, number, people)
    np.testing.assert_equal(left_edges(tmp_path), [100, np.nan, 100])


def test_somebody_else_is_followed_after_half_a_second_and_that_is_a_cut(tmp_path: Path) -> None:
    for number, people in enumerate([[person()], *[[person(400)]] * 4]):
        write(tmp_path, number, people)
    np.testing.assert_equal(left_edges(tmp_path, fps=4), [100, np.nan, np.nan, 400, 400])
    cut = read_openpose_json(tmp_path, fps=4).cut
    assert cut.tolist() == [False, False, False, True, False]


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path, 0, [person()])
    (tmp_path / "notes.json").write_text("not OpenPose's")
    assert len(read_openpose_json(tmp_path)) == 1


@pytest.mark.parametrize(
    ("people", "sentence"),
    [
        ([person() | {"pose_keypoints_2d": [0.0] * 54}], r"shape \(54,\).*25 points.*75 numbers"),
        ([person() | {"face_keypoints_2d": [0.0] * 209}], r"face_keypoints_2d has shape \(209,\)"),
        ([person() | {"hand_left_keypoints_2d": "none"}], "hand_left_keypoints_2d is not a list"),
        ([person() | {"hand_right_keypoints_2d": None}], r"hand_right_keypoints_2d has shape \(\)"),
        ([{"pose_keypoints": []}], "has no 'pose_keypoints_2d'"),
        ([[1, 2, 3]], "has no 'pose_keypoints_2d'"),
        ({}, "has no list called 'people'"),
    ],
)
def test_a_file_that_is_not_openposes_is_named(
    tmp_path: Path, people: object, sentence: str
) -> None:
    name = write(tmp_path, 3, people).name
    with pytest.raises(DataError, match=f"{name}: .*{sentence}"):
        read_openpose_json(tmp_path)


@pytest.mark.parametrize("text", ["", "{'people': []}", '{"people": [{"pose', "[1]", "\x00"])
def test_a_broken_json_file_is_named(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, 0, [])
    path.write_text(text)
    with pytest.raises(DataError, match=path.name):
        read_openpose_json(tmp_path)


def test_a_folder_that_is_absent_or_empty_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such folder"):
        read_openpose_json(tmp_path / "nowhere")
    with pytest.raises(DataError, match="OpenPose writes them with --write_json"):
        read_openpose_json(tmp_path)


def test_two_videos_in_one_folder_are_refused(tmp_path: Path) -> None:
    write(tmp_path, 0, [person()])
    write(tmp_path, 1, [person()], stem="other")
    with pytest.raises(DataError, match=r"several videos \(clip, other\)"):
        read_openpose_json(tmp_path)


def test_files_that_are_not_numbered_by_frame_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, 0, [person()])
    write(tmp_path, 10**9, [person()])
    with pytest.raises(DataError, match="2 files are numbered over 1000000001 frames"):
        read_openpose_json(tmp_path)
    path.rename(tmp_path / "clip_keypoints.json")
    with pytest.raises(DataError, match="has no frame number"):
        read_openpose_json(tmp_path)


@pytest.mark.parametrize("fps", [0.0, -25.0, float("nan"), float("inf")])
def test_a_frame_rate_that_is_none_is_refused(tmp_path: Path, fps: float) -> None:
    write(tmp_path, 0, [person()])
    with pytest.raises(DataError, match="is no frame rate"):
        read_openpose_json(tmp_path, fps)


@pytest.mark.parametrize("length", [0, 10, 900, 3000, 155_186])
def test_a_truncated_pose_file_is_refused(shared: Path, tmp_path: Path, length: int) -> None:
    path = tmp_path / "cut.pose"
    path.write_bytes((shared / "data" / "openpose_137.pose").read_bytes()[:length])
    with pytest.raises(DataError, match=r"cut\.pose: cannot be read as a \.pose file"):
        read_pose_file(path)


def test_a_pose_file_of_other_components_is_refused(shared: Path, tmp_path: Path) -> None:
    pose_format = pytest.importorskip("pose_format", reason="needs the optional pose-format")
    whole = (shared / "data" / "openpose_137.pose").read_bytes()
    body = pose_format.Pose.read(whole).get_components(["pose_keypoints_2d"])
    with (tmp_path / "body.pose").open("wb") as file:
        body.write(file)
    with pytest.raises(DataError, match=r"holds pose_keypoints_2d \(25\) in 2 dimensions"):
        read_pose_file(tmp_path / "body.pose")


def test_a_pose_file_that_is_absent_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("pose_format", reason="needs the optional pose-format")
    with pytest.raises(DataError, match="there is no such file"):
        read_pose_file(tmp_path / "nowhere.pose")


def test_without_pose_format_the_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pose_format", None)
    with pytest.raises(ComponentError, match="pip install pose-format"):
        read_pose_file(tmp_path / "any.pose")

"""What `openpose_json` promises: the results of this very video, and of the tracked person."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from emoframe_openpose import emoframe_components
from emoframe_openpose.results import OpenPoseJson

from emoframe import ComponentError, DataError
from emoframe.interfaces import PoseEstimator
from emoframe.perception.keypoint_files import BLOCKS
from emoframe.perception.stages import Parts, stage_keys, stage_part
from emoframe.records import Frames, Keypoints, Track
from emoframe.testing import check_component

Person = dict[str, list[float]]
WIDTH, HEIGHT = 201, 101


@pytest.fixture(scope="module")
def shared() -> Path:
    """Folder of real data beside the repository."""
    root = Path(__file__).parents[3]
    folder = Path(os.environ.get("EMOFRAME_SHARED", root.parent / "shared"))
    if not folder.is_dir():
        pytest.skip("needs the real data in shared/, which is not here")
    return folder


def person(x: float, y: float = 20, size: float = 40, missing: int | None = None) -> Person:
    """A body whose 25 points fill a square; face and hands were switched off."""
    spread = np.linspace(0, size, 25)
    points = np.stack([x + spread, y + spread, np.full(25, 0.9)], axis=1)
    if missing is not None:
        points[missing] = 0
    return {block: [] for block in BLOCKS} | {"pose_keypoints_2d": points.ravel().tolist()}


def write(folder: Path, number: int, people: object, stem: str = "clip") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}_{number:012d}_keypoints.json"
    path.write_text(json.dumps({"version": 1.3, "people": people}), encoding="utf-8")
    return path


def estimate(
    folder: Path,
    count: int = 1,
    box: tuple[float, ...] = (10, 15, 60, 65),
    video: Path | None = Path("videos/clip.mp4"),
    **settings: Any,
) -> Keypoints:
    """The keypoints of a video of that many frames in which the person does not move."""
    index = np.arange(count)
    frames = Frames(np.zeros((count, HEIGHT, WIDTH, 3), np.uint8), index / 25, index)
    boxes = np.tile(np.array(box, np.float32), (count, 1))
    track = Track(boxes, np.zeros(count, np.bool_), frames.time_s, "given", video)
    (found,) = OpenPoseJson(folder=folder, **settings).estimate([frames], track)
    return found


def test_it_is_declared_as_a_pose_estimator() -> None:
    component = emoframe_components()[1]
    assert (component.kind, component.name) == ("pose_estimator", "openpose_json")
    assert "non-commercial" in component.license
    assert isinstance(OpenPoseJson(folder=Path()), PoseEstimator)


def test_it_keeps_the_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_component("pose_estimator", "openpose_json")
    for number in range(7):
        write(Path("openpose_json/clip"), number, [person(10, 10, 20)])
    check_component("pose_estimator", "openpose_json")


def test_genuine_results_come_in_whole(shared: Path) -> None:
    folder = shared / "media" / "openpose_json"
    video = folder / "du_wohn_wo.mp4"
    with av.open(str(video)) as container:
        times = np.array([frame.time for frame in container.decode(video=0)])
    box = np.tile(np.array([280, 60, 600, 480], np.float32), (len(times), 1))
    track = Track(box, np.zeros(len(times), np.bool_), times, "given", video)
    parts = np.array_split(np.arange(len(times)), 3)
    chunks = [Frames(np.zeros((len(p), 480, 848, 3), np.uint8), times[p], p) for p in parts]
    found = list(OpenPoseJson(folder=folder).estimate(iter(chunks), track))
    assert [len(keypoints) for keypoints in found] == [len(part) for part in parts]
    valid = np.concatenate([keypoints.valid for keypoints in found])
    assert valid[:, [0, 1, 2, 5]].all()
    assert not valid[:, 25:].any(), "face and hands were switched off"
    assert found[0].xy[10, 0].tolist() == pytest.approx([442.874, 123.216])


@pytest.mark.parametrize("folder", ["clip", "."])
def test_results_lie_in_a_folder_per_video_or_flat(tmp_path: Path, folder: str) -> None:
    for stem, x in (("clip", 10), ("clip_2", 90)):
        for number in range(2):
            write(tmp_path / (stem if folder == "clip" else "."), number, [person(x)], stem)
    assert estimate(tmp_path, 2).xy[:, 0, 0].tolist() == [10, 10]
    other = estimate(tmp_path, 2, (90, 15, 140, 65), Path("clip_2.mp4"))
    assert other.xy[:, 0, 0].tolist() == [90, 90]


def test_a_name_with_strange_characters_is_no_pattern(tmp_path: Path) -> None:
    write(tmp_path, 0, [person(10)], "cl[i]p *\n")
    write(tmp_path, 0, [person(10)], "clip")
    assert estimate(tmp_path, video=Path("cl[i]p *\n.mp4")).valid.any()


def test_pictures_numbered_from_one_are_as_good(tmp_path: Path) -> None:
    for number in (1, 2):
        file = write(tmp_path / "clip", number, [person(9 + number)])
        file.rename(file.with_name(f"{number:06d}_keypoints.json"))
    assert estimate(tmp_path, 2).xy[:, 0, 0].tolist() == [10, 11]


def test_whoever_is_in_the_box_is_taken_whatever_the_order(tmp_path: Path) -> None:
    tracked, beside, behind = person(15), person(90, size=60), person(20, 20, 10)
    for number, other in enumerate([beside, behind]):
        write(tmp_path / "clip", 2 * number, [tracked, other])
        write(tmp_path / "clip", 2 * number + 1, [other, tracked])
    assert estimate(tmp_path, 4).xy[:, 0, 0].tolist() == [15, 15, 15, 15]


def test_a_neighbour_does_not_stand_in_for_somebody_who_was_missed(tmp_path: Path) -> None:
    write(tmp_path / "clip", 0, [person(45, size=60)])
    write(tmp_path / "clip", 1, [])
    assert not estimate(tmp_path, 2).valid.any()


def test_what_was_not_measured_is_masked(tmp_path: Path) -> None:
    write(tmp_path / "clip", 0, [person(15, missing=4)])
    keypoints = estimate(tmp_path)
    assert keypoints.valid[0].tolist() == [n != 4 and n < 25 for n in range(137)]
    assert np.isnan(keypoints.xy[~keypoints.valid]).all()


def test_a_point_outside_of_the_picture_is_masked(tmp_path: Path) -> None:
    write(tmp_path / "clip", 0, [person(-10, 20, 40)])
    keypoints = estimate(tmp_path, box=(0, 15, 40, 65))
    assert 0 < keypoints.valid.sum() < 25
    assert keypoints.xy[keypoints.valid].min() >= 0


def test_a_frame_without_a_box_is_masked(tmp_path: Path) -> None:
    write(tmp_path / "clip", 0, []).write_text("never read")
    assert not estimate(tmp_path, box=(np.nan,) * 4).valid.any()


@pytest.mark.parametrize(("scale", "low"), [("unit", 0), ("signed", -1)])
def test_other_scales_become_source_pixels(tmp_path: Path, scale: str, low: float) -> None:
    body = person(15, missing=4)
    points = np.array(body["pose_keypoints_2d"]).reshape(25, 3)
    points[:, :2] = low + points[:, :2] / (WIDTH - 1, HEIGHT - 1) * (1 - low)
    points[4] = [low, low, 0]
    write(tmp_path / "clip", 0, [body | {"pose_keypoints_2d": points.ravel().tolist()}])
    keypoints = estimate(tmp_path, scale=scale)
    assert keypoints.xy[0, 0].tolist() == pytest.approx([15, 20], abs=1e-4)
    assert keypoints.valid[0].sum() == 24
    with pytest.raises(DataError, match=r"not in the scale 'source'; set scale to"):
        estimate(tmp_path)


def test_pixels_are_no_shares(tmp_path: Path) -> None:
    write(tmp_path / "clip", 0, [person(15)])
    for scale in ("unit", "signed"):
        with pytest.raises(DataError, match=f"15 to 60, are not in the scale '{scale}'"):
            estimate(tmp_path, scale=scale)


@pytest.mark.parametrize("numbers", [[0, 1], [0, 1, 3], [0, 1, 2, 3], [0, 2, 4]])
def test_results_that_do_not_match_the_frames_are_a_sentence(
    tmp_path: Path, numbers: list[int]
) -> None:
    for number in numbers:
        write(tmp_path / "clip", number, [person(15)])
    sentence = f"{len(numbers)} results of clip.mp4, numbered 0 to {numbers[-1]}, .* has 3 frames"
    with pytest.raises(DataError, match=sentence):
        estimate(tmp_path, 3)


def test_results_of_two_videos_in_one_folder_are_a_sentence(tmp_path: Path) -> None:
    for stem in ("clip", "other"):
        write(tmp_path / "clip", 0, [person(15)], stem)
    with pytest.raises(DataError, match="several videos, whose names begin with 'clip_', 'other_'"):
        estimate(tmp_path)


def test_a_video_without_results_is_a_sentence_that_says_where_they_should_be(
    tmp_path: Path,
) -> None:
    write(tmp_path, 0, [person(15)], "clip_2")
    with pytest.raises(DataError, match=r"has no results for it.*clip_000000000000_keypoints"):
        estimate(tmp_path)


def test_a_video_whose_name_is_unknown_gets_nobodys_results(tmp_path: Path) -> None:
    write(tmp_path, 0, [person(15)])
    with pytest.raises(DataError, match=r"track does not name it; set Track\.video"):
        estimate(tmp_path, video=None)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"version":1.3,"people":[{"pose', "cannot be read as JSON"),
        ("", "cannot be read as JSON"),
        ("[1]", "no list called 'people'"),
        ('{"people": [{}]}', "no 'pose_keypoints_2d'"),
        (
            '{"people": [{"pose_keypoints_2d": [1, 2, 3]}]}',
            r"shape \(3,\); emoframe reads 25 points.*BODY_25",
        ),
        ('{"people": [{"pose_keypoints_2d": "none"}]}', "is not a list of numbers"),
    ],
)
def test_a_file_that_is_not_openposes_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    file = write(tmp_path / "clip", 0, [])
    file.write_text(text)
    with pytest.raises(DataError, match=f"{file.name}: .*{sentence}"):
        estimate(tmp_path)


def fingerprint(folder: Path) -> dict[str, str]:
    return OpenPoseJson(folder=folder).fingerprint()


def test_the_fingerprint_changes_with_the_results_and_not_with_the_place(tmp_path: Path) -> None:
    file = write(tmp_path / "one" / "clip", 0, [person(15)])
    first = fingerprint(tmp_path / "one")
    (tmp_path / "one").rename(tmp_path / "two")
    assert fingerprint(tmp_path / "two") == first
    moved = tmp_path / "two" / "clip" / file.name
    size = moved.stat().st_size
    moved.write_text(moved.read_text().replace("0.9", "0.8"))
    assert moved.stat().st_size == size
    second = fingerprint(tmp_path / "two")
    assert second != first
    write(tmp_path / "two" / "clip", 1, [])
    assert fingerprint(tmp_path / "two") not in (first, second)


def test_results_behind_links_count_and_a_link_in_a_circle_does_no_harm(tmp_path: Path) -> None:
    file = write(tmp_path / "elsewhere", 0, [person(15)])
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "clip").symlink_to(tmp_path / "elsewhere")
    (folder / "circle").symlink_to(folder)
    before = fingerprint(folder)
    os.utime(file, ns=(1, 1))
    assert fingerprint(folder) != before


def test_a_link_to_nothing_is_a_sentence(tmp_path: Path) -> None:
    link = tmp_path / "clip_000000000000_keypoints.json"
    link.symlink_to(tmp_path / "gone.json")
    with pytest.raises(ComponentError, match=rf"{link.name} cannot be reached \(a link to nothing"):
        fingerprint(tmp_path)


def test_a_part_looks_at_the_results_once(tmp_path: Path) -> None:
    file = write(tmp_path / "clip", 0, [person(15)])
    part = OpenPoseJson(folder=tmp_path)
    before = part.fingerprint()
    file.unlink()
    assert part.fingerprint() == before


def test_a_folder_that_is_not_there_stops_everything(tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match="there is no folder .*none; give folder=PATH"):
        OpenPoseJson(folder=tmp_path / "none").fingerprint()


def test_its_folder_is_part_of_the_key_of_its_stage(tmp_path: Path) -> None:
    detector = stage_part("detector", {"type": "whole_frame"}, "cpu")
    keys = [
        stage_keys(Parts(detector, stage_part("pose_estimator", node, "cpu"))).pose
        for folder in ("one", "other")
        for node in [{"type": "openpose_json", "folder": str(results(tmp_path / folder))}]
    ]
    assert keys[0] != keys[1]


def results(folder: Path) -> Path:
    folder.mkdir()
    (folder / f"{folder.name}_000000000000_keypoints.json").write_text('{"people": []}')
    return folder

"""What pictures promise: the keypoints where they are, and no face unless it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emoframe.core.errors import DataError
from emoframe.perception.draw import contact_sheet, overlay, overlay_video
from emoframe.perception.faces import blur_face, shown
from emoframe.perception.settings import Faces
from emoframe.perception.video import probe, read
from emoframe.records import Keypoints
from emoframe.skeleton import OPENPOSE_137, SkeletonLayout

MakeVideo = Callable[..., Path]
SIZE = (160, 120)
BOX = (40.0, 10.0, 120.0, 118.0)
FACE = OPENPOSE_137.groups["face"]


def noise() -> np.ndarray:
    """Paint a picture of which every part is lively."""
    return np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)


def person(frames: int = 1, face: bool = True, box: tuple[float, ...] | None = BOX) -> Keypoints:
    """Make someone whose face is a ring around (80, 30) and whose shoulders are below."""
    xy = np.full((frames, 137, 2), np.nan, np.float32)
    angle = np.linspace(0, 2 * np.pi, len(FACE))
    xy[:, FACE] = np.stack([80 + 10 * np.cos(angle), 30 + 12 * np.sin(angle)], axis=1)
    xy[:, [2, 5, 3]] = [[60, 70], [100, 70], [55, 100]]
    valid = np.isfinite(xy).all(axis=2)
    valid[:, FACE] &= face
    boxes = None if box is None else np.tile(np.float32(box), (frames, 1))
    time_s = np.arange(frames) / 25
    return Keypoints(xy, valid.astype(np.float32), valid, time_s, "openpose_137", boxes)


def kept(hidden: np.ndarray, rows: slice, columns: slice) -> float:
    """How much of the detail in a part of the picture is still there, from 0 to 1."""
    before, after = noise()[rows, columns].astype(float), hidden[rows, columns].astype(float)
    return np.abs(np.diff(after, axis=1)).mean() / np.abs(np.diff(before, axis=1)).mean()


def test_the_face_is_gone_and_the_body_is_there() -> None:
    hidden = blur_face(noise(), person(), 0, OPENPOSE_137)
    assert kept(hidden, slice(14, 46), slice(66, 94)) < 0.2
    assert np.array_equal(hidden[60:115, 45:115], noise()[60:115, 45:115])


def test_bystanders_outside_of_the_box_are_hidden_too() -> None:
    hidden = blur_face(noise(), person(), 0, OPENPOSE_137)
    assert kept(hidden, slice(None), slice(0, 39)) < 0.2
    assert kept(hidden, slice(None), slice(122, None)) < 0.2


def test_nose_eyes_and_ears_of_the_body_show_where_an_occluded_face_is() -> None:
    someone = person(face=False)
    someone.xy[0, [0, 15, 16]] = [[80, 32], [76, 28], [84, 28]]
    someone.valid[0, [0, 15, 16]] = True
    hidden = blur_face(noise(), someone, 0, OPENPOSE_137)
    assert kept(hidden, slice(18, 44), slice(68, 92)) < 0.2
    assert np.array_equal(hidden[60:115, 45:115], noise()[60:115, 45:115])


def test_without_any_point_of_the_head_the_box_is_hidden_down_to_the_shoulders() -> None:
    hidden = blur_face(noise(), person(face=False), 0, OPENPOSE_137)
    assert kept(hidden, slice(10, 70), slice(40, 120)) < 0.2
    assert np.array_equal(hidden[71:115, 45:115], noise()[71:115, 45:115])


def test_where_the_shoulders_are_unknown_too_the_upper_half_of_the_box_is_hidden() -> None:
    someone = person(face=False)
    someone.valid[:, [2, 5]] = False
    hidden = blur_face(noise(), someone, 0, OPENPOSE_137)
    assert kept(hidden, slice(10, 64), slice(40, 120)) < 0.2
    assert np.array_equal(hidden[65:115, 45:115], noise()[65:115, 45:115])


def test_where_nobody_is_known_to_be_the_whole_picture_is_hidden() -> None:
    lost = person(box=(np.nan,) * 4)
    assert kept(blur_face(noise(), lost, 0, OPENPOSE_137), slice(None), slice(None)) < 0.2
    empty = replace(person(box=None), valid=np.zeros((1, 137), np.bool_))
    assert kept(blur_face(noise(), empty, 0, OPENPOSE_137), slice(None), slice(None)) < 0.2


def test_keypoints_without_boxes_show_the_surroundings_of_the_joints() -> None:
    hidden = blur_face(noise(), person(box=None), 0, OPENPOSE_137)
    assert np.array_equal(hidden[72:98, 60:98], noise()[72:98, 60:98])
    assert kept(hidden, slice(14, 46), slice(66, 94)) < 0.2


@pytest.mark.parametrize("face", [True, False])
def test_a_skeleton_stands_on_a_background_that_is_the_same_for_every_picture(face: bool) -> None:
    for someone in (person(face=face), person(box=(np.nan,) * 4)):
        below = shown(noise(), someone, 0, OPENPOSE_137, "skeleton")
        assert below.shape == noise().shape
        assert len(np.unique(below)) == 1
        bright = shown(np.full_like(noise(), 255), someone, 0, OPENPOSE_137, "skeleton")
        assert np.array_equal(below, bright)


def test_what_is_shown_follows_the_faces_setting() -> None:
    blurred = shown(noise(), person(), 0, OPENPOSE_137, "blur")
    assert np.array_equal(blurred, blur_face(noise(), person(), 0, OPENPOSE_137))
    assert np.array_equal(shown(noise(), person(), 0, OPENPOSE_137, "show"), noise())


@pytest.mark.parametrize("faces", ["blur", "skeleton", "show"])
def test_the_picture_that_is_given_stays_as_it_is(faces: Faces) -> None:
    rgb = noise()
    shown(rgb, person(), 0, OPENPOSE_137, faces)
    overlay(rgb, person(), 0, OPENPOSE_137)
    assert np.array_equal(rgb, noise())


def test_valid_joints_and_their_edges_are_drawn_and_no_others() -> None:
    layout = SkeletonLayout("three", ("a", "b", "c"), edges=((0, 1), (1, 2)))
    xy = np.array([[[20, 20], [60, 20], [60, 80]]], np.float32)
    valid = np.array([[True, True, False]])
    points = Keypoints(xy, np.ones((1, 3), np.float32), valid, np.zeros(1), "three")
    drawn = overlay(np.zeros((120, 160, 3), np.uint8), points, 0, layout, scale=2)
    coloured = (drawn == (0xE6, 0x9F, 0x00)).all(axis=2)
    assert drawn.shape == (240, 320, 3)
    assert coloured[41, 41:121].all()
    assert not coloured[60:].any()


def test_groups_have_colours_of_their_own() -> None:
    drawn = overlay(np.zeros((120, 160, 3), np.uint8), person(), 0, OPENPOSE_137)
    colours = {tuple(c) for c in drawn.reshape(-1, 3).tolist()}
    assert {(0xE6, 0x9F, 0x00), (0x56, 0xB4, 0xE9)} <= colours


@pytest.mark.parametrize("size", [(160, 120), (161, 121)])
def test_an_overlay_video_has_the_frames_and_times_of_its_source(
    make_video: MakeVideo, tmp_path: Path, size: tuple[int, int]
) -> None:
    times = [0.0, 0.04, 0.08, 0.5, 0.54, 1.2]
    name = "clip.mp4" if size[0] % 2 == 0 else "clip.gif"
    source = make_video(name, frames=6, size=size, times=times)
    someone = replace(person(6), time_s=np.array(times))
    overlay_video(source, someone, OPENPOSE_137, tmp_path / "new" / "overlay.mp4")
    written = next(read(tmp_path / "new" / "overlay.mp4"))
    assert written.time_s == pytest.approx(times, abs=1e-3)
    assert probe(tmp_path / "new" / "overlay.mp4").height >= 480
    assert not list(tmp_path.rglob("*.partial"))


def test_a_contact_sheet_is_a_png_of_frames_spread_over_the_video(
    make_video: MakeVideo, tmp_path: Path
) -> None:
    source = make_video(frames=40, size=SIZE)
    contact_sheet(source, person(40), OPENPOSE_137, tmp_path / "sheet.png", columns=3, rows=2)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert (sheet.format, sheet.size) == ("PNG", (3 * 320, 2 * 240))
    contact_sheet(source, person(40), OPENPOSE_137, tmp_path / "sheet.png", columns=50, rows=1)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (50 * 320, 240)


def test_faces_are_shown_only_when_asked_for(make_video: MakeVideo, tmp_path: Path) -> None:
    source = make_video(frames=2, size=SIZE)  # its white square crosses the hidden left edge
    for faces in ("blur", "show"):
        contact_sheet(source, person(2), OPENPOSE_137, tmp_path / f"{faces}.png", faces=faces)
    steepest = {}
    for faces in ("blur", "show"):
        row = np.asarray(Image.open(tmp_path / f"{faces}.png")).astype(int)[72, :60, 0]
        steepest[faces] = np.abs(np.diff(row)).max()
    assert steepest["show"] > 3 * steepest["blur"]


def test_skeletons_of_two_videos_are_the_same_so_no_pixel_of_either_survives(
    make_video: MakeVideo, tmp_path: Path
) -> None:
    other, frames = tmp_path / "noise.gif", [Image.fromarray(noise()), Image.fromarray(~noise())]
    frames[0].save(other, save_all=True, append_images=frames[1:], duration=40)
    written = []
    for source in (make_video(frames=2, size=SIZE), other):
        contact_sheet(source, person(2), OPENPOSE_137, tmp_path / "s.png", faces="skeleton")
        overlay_video(source, person(2), OPENPOSE_137, tmp_path / "o.mp4", faces="skeleton")
        sheet, video = np.asarray(Image.open(tmp_path / "s.png")), next(read(tmp_path / "o.mp4"))
        written.append((sheet, video.rgb))
    for one, another in zip(*written, strict=True):
        assert np.array_equal(one, another)
        assert one.max() > 200  # the joints are there


def test_keypoints_of_another_video_are_refused(make_video: MakeVideo, tmp_path: Path) -> None:
    source = make_video(frames=10, size=SIZE)
    for frames in (9, 11):
        with pytest.raises(DataError, match=f"does not have the {frames} frames"):
            overlay_video(source, person(frames), OPENPOSE_137, tmp_path / "overlay.mp4")
    assert not (tmp_path / "overlay.mp4").exists()
    assert not list(tmp_path.glob("*.partial"))

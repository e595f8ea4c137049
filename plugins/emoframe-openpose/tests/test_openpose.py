"""What `openpose` promises: the tracked person's points in source pixels, or a sentence."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from emoframe_openpose import emoframe_components
from emoframe_openpose.process import MODELS
from emoframe_openpose.program import OpenPose
from numpy.typing import NDArray

from emoframe import ComponentError, DataError, build
from emoframe.interfaces import PoseEstimator
from emoframe.records import Frames, Keypoints, Track
from emoframe.skeleton import OPENPOSE_137
from emoframe.testing import check_component

NOSE, NECK, CHIN, THUMB = 0, 1, 25 + 8, 95 + 4
COLOURS = {NOSE: (255, 0, 0), NECK: (0, 255, 0), CHIN: (0, 0, 255), THUMB: (255, 255, 255)}
PERSON = {NOSE: (50, 30), NECK: (52, 45), CHIN: (51, 36), THUMB: (40, 50)}
BOX = (30.5, 20.2, 70.0, 60.0)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An OpenPose as it is after a build, in a folder with a space in its name."""
    root = tmp_path / "open pose"
    binary = root / "build/examples/openpose/openpose.bin"
    binary.parent.mkdir(parents=True)
    fake = Path(__file__).with_name("fake_openpose.py")
    binary.write_text(f'#!/bin/sh\n"{sys.executable}" "{fake}" "$@"\n')
    binary.chmod(binary.stat().st_mode | stat.S_IXUSR)
    for name in MODELS:
        file = root / "models" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"weights")
    monkeypatch.setenv("OPENPOSE_HOME", str(root))
    monkeypatch.setenv("FAKE_CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("FAKE_CHILD", str(tmp_path / "child"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return root


def frames(*people: dict[int, tuple[int, int]], start: int = 0) -> Frames:
    """Frames of 100 x 80 pixels in which each joint is a pixel of its colour."""
    rgb = np.full((len(people), 80, 100, 3), 90, np.uint8)
    for picture, person in zip(rgb, people, strict=True):
        for joint, (x, y) in person.items():
            picture[y, x] = COLOURS[joint]
    index = np.arange(start, start + len(people))
    return Frames(rgb, index / 25, index)


def boxed(count: int, box: tuple[float, ...] = BOX) -> Track:
    boxes = np.tile(np.array(box, np.float32), (count, 1))
    return Track(boxes, np.zeros(count, np.bool_), np.arange(count) / 25, "given")


def estimate(chunk: Frames, track: Track, **settings: Any) -> Keypoints:
    (keypoints,) = OpenPose(**settings).estimate([chunk], track)
    return keypoints


def calls(home: Path) -> list[Any]:
    return [json.loads(line) for line in (home.parent / "calls").read_text().splitlines()]


def places(keypoints: Keypoints, frame: int = 0) -> dict[int, tuple[float, ...]]:
    """Where each valid joint is."""
    valid: NDArray[np.int64] = np.flatnonzero(keypoints.valid[frame])
    return {joint: tuple(keypoints.xy[frame, joint].tolist()) for joint in valid.tolist()}


def test_it_is_declared_with_openposes_own_licence() -> None:
    component = emoframe_components()[0]
    assert (component.kind, component.name) == ("pose_estimator", "openpose")
    assert "non-commercial" in component.license
    assert "non-commercial" in component.weights_license
    assert isinstance(OpenPose(), PoseEstimator)
    assert OpenPose.layout == OPENPOSE_137.name


def test_it_keeps_the_contract_with_openpose(home: Path) -> None:
    check_component("pose_estimator", "openpose")
    assert len(calls(home)) == 1


def test_it_keeps_the_contract_without_openpose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENPOSE_HOME", raising=False)
    check_component("pose_estimator", "openpose")


@pytest.mark.usefixtures("home")
def test_points_come_back_in_source_pixels_and_the_rest_is_masked() -> None:
    keypoints = estimate(frames(PERSON), boxed(1))
    assert keypoints.layout == OPENPOSE_137.name
    assert places(keypoints) == PERSON
    assert keypoints.confidence[0, NOSE] == pytest.approx(0.75)
    masked = ~keypoints.valid
    assert np.isnan(keypoints.xy[masked]).all()
    assert (keypoints.confidence[masked] == 0).all()


@pytest.mark.usefixtures("home")
def test_people_outside_of_the_box_are_never_shown_to_openpose() -> None:
    keypoints = estimate(frames({NOSE: (5, 5), NECK: (90, 70)}), boxed(1))
    assert not keypoints.valid.any()


def test_frames_without_a_box_are_masked_and_not_measured(home: Path) -> None:
    track = boxed(4)
    track.box[1:3] = np.nan
    keypoints = estimate(frames(*[PERSON] * 4), track)
    assert keypoints.valid.any(axis=1).tolist() == [True, False, False, True]
    ((_, measured),) = calls(home)
    assert measured == ["000000000000", "000000000003"]


def test_a_chunk_without_any_box_calls_nothing(home: Path) -> None:
    keypoints = estimate(frames(PERSON, PERSON), boxed(2, (np.nan,) * 4))
    assert keypoints.xy.shape == (2, 137, 2)
    assert not keypoints.valid.any()
    assert not (home.parent / "calls").exists()


def test_chunks_are_one_call_each_and_leave_nothing_behind(home: Path) -> None:
    moved = {joint: (x + 3, y) for joint, (x, y) in PERSON.items()}
    chunks = [frames(PERSON, {}), frames(moved, start=2)]
    found = list(OpenPose().estimate(iter(chunks), boxed(3)))
    assert [len(keypoints) for keypoints in found] == [2, 1]
    assert places(found[0]) == PERSON
    assert places(found[1]) == moved
    assert not found[0].valid[1].any()
    assert found[1].time_s.tolist() == [2 / 25]
    assert len(calls(home)) == 2
    assert not list(home.parent.glob("emoframe-openpose-*"))


def test_openpose_is_called_as_its_manual_says(home: Path) -> None:
    estimator = build("pose_estimator", "openpose", net_resolution=[-1, 160], device="cuda:1")
    list(estimator.estimate([frames(PERSON)], boxed(1)))
    ((flags, _),) = calls(home)
    said = " ".join(flags)
    for flag in (
        "--face --hand --number_people_max=1", "--display=0", "--render_pose=0",
        "--keypoint_scale=0", "--net_resolution=-1x160", "--face_net_resolution=368x368",
        "--num_gpu=1 --num_gpu_start=1", f"--model_folder={home / 'models'}/",
    ):  # fmt: skip
        assert flag in said


@pytest.mark.usefixtures("home")
def test_a_box_beyond_the_picture_does_no_harm() -> None:
    assert places(estimate(frames(PERSON), boxed(1, (-20, -9, 400, 300)))) == PERSON


def test_the_fingerprint_holds_the_program_and_each_file_of_its_models(home: Path) -> None:
    before = OpenPose().fingerprint()
    assert set(before) == {"openpose.bin", *MODELS}
    for name in MODELS:
        (home / "models" / name).write_bytes(name.encode())
        after = OpenPose().fingerprint()
        assert [key for key in before if before[key] != after[key]] == [name]
        before = after


@pytest.mark.parametrize("name", MODELS)
def test_models_that_are_not_complete_are_refused(home: Path, name: str) -> None:
    (home / "models" / name).unlink()
    for settings in ({}, {"model_folder": home / "models"}):
        with pytest.raises(ComponentError, match=f"not complete, it lacks {name}; run the getMod"):
            OpenPose(**settings).fingerprint()
        with pytest.raises(ComponentError, match="not complete"):
            estimate(frames(PERSON), boxed(1), **settings)


def test_the_program_is_found_on_path(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = home / "build/examples/openpose/openpose.bin"
    monkeypatch.delenv("OPENPOSE_HOME")
    monkeypatch.setenv("PATH", str(binary.parent), prepend=os.pathsep)
    assert places(estimate(frames(PERSON), boxed(1))) == PERSON


def test_without_openpose_the_sentence_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("OPENPOSE_HOME", str(tmp_path / "nowhere"))
    sentence = r"nor in OPENPOSE_HOME=.*nowhere.*install OpenPose.*binary=PATH.*openpose_json"
    with pytest.raises(ComponentError, match=sentence):
        estimate(frames(PERSON), boxed(1))
    with pytest.raises(ComponentError, match=sentence):
        OpenPose().fingerprint()


def test_a_binary_that_is_not_there_or_no_program_is_named(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no program")
    for path, why in ((tmp_path / "no.bin", "does not exist"), (text, "may be run")):
        with pytest.raises(ComponentError, match=f"{path.name}.* {why}.*install OpenPose"):
            estimate(frames(PERSON), boxed(1), binary=path)
    text.chmod(0o755)
    with pytest.raises(ComponentError, match=r"notes\.txt cannot be run: Exec format error"):
        estimate(frames(PERSON), boxed(1), binary=text)


@pytest.mark.usefixtures("home")
def test_a_folder_of_models_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match=r"no folder model_folder=.*getModels"):
        estimate(frames(PERSON), boxed(1), model_folder=tmp_path / "none")


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("mode", "error", "sentence"),
    [
        ("fail", ComponentError, r"exit code 255: Cuda check failed.*out of memory, even on a"),
        ("fail on frames", DataError, r"exit code 255: Cuda check failed.*; a plain black picture"),
        ("silent", ComponentError, r"wrote 0 results for 1 pictures.*successfully finished"),
        ("first only", DataError, r"wrote 1 results for 2 pictures; .*look at these frames"),
        ("truncate", DataError, r"result of .*openpose\.bin for frame 0 .*cannot be read as JSON"),
        ("die", ComponentError, r"ended with (SIGABRT|exit code 134)"),
    ],
)
def test_a_program_that_fails_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, mode: str, error: type[Exception], sentence: str
) -> None:
    monkeypatch.setenv("FAKE_OPENPOSE", mode)
    with pytest.raises(error, match=sentence):
        estimate(frames(PERSON, PERSON), boxed(2))


def test_a_program_that_hangs_is_ended_with_all_that_it_started(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_OPENPOSE", "hang")
    with pytest.raises(ComponentError, match=r"took more than 3 s and was ended \(timeout_s\)"):
        estimate(frames(PERSON), boxed(1), timeout_s=3.0)
    assert over(home)
    assert not list(home.parent.glob("emoframe-openpose-*"))


def over(home: Path) -> bool:
    """Whether what the hanging OpenPose had started ends soon."""
    child = Path("/proc", (home.parent / "child").read_text())
    return soon(
        lambda: not child.exists() or bool(re.search(r"State:\s+Z", (child / "status").read_text()))
    )


def soon(happens: Callable[[], bool]) -> bool:
    """Whether something happens within a minute: a process that starts has much to import."""
    for _ in range(1200):
        if happens():
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("ended_by", [signal.SIGTERM, signal.SIGKILL])
def test_a_worker_that_is_killed_leaves_neither_openpose_nor_pictures_behind(
    home: Path, monkeypatch: pytest.MonkeyPatch, ended_by: signal.Signals
) -> None:
    monkeypatch.setenv("FAKE_OPENPOSE", "hang")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from test_openpose import *;"
        "estimate(frames(PERSON), boxed(1))"
    )
    command = [sys.executable, "-c", code, str(Path(__file__).parent)]
    with subprocess.Popen(command) as worker:
        assert soon(lambda: (home.parent / "child").exists())
        assert list(home.parent.glob("emoframe-openpose-*/*/pictures/*.png"))
        worker.send_signal(ended_by)
    assert over(home)
    assert soon(lambda: not list(home.parent.glob("emoframe-openpose-*")))


@pytest.mark.usefixtures("home")
def test_it_can_be_left_half_way() -> None:
    estimated = OpenPose().estimate([frames(PERSON), frames(PERSON, start=1)], boxed(2))
    next(estimated)
    estimated.close()  # pyright: ignore[reportAttributeAccessIssue]

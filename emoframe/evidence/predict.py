"""What a run makes of a single video: first whether its keypoints are any good."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from emoframe.core.errors import DataError
from emoframe.evidence.evaluate import predict_clips
from emoframe.learning.clips import Clips
from emoframe.learning.run import Run, load_run
from emoframe.learning.sources import devices, from_store
from emoframe.perception.events import Row
from emoframe.perception.pipeline import How, OnProgress
from emoframe.perception.pipeline import extract as extract_videos
from emoframe.perception.settings import Perception
from emoframe.perception.stages import stage_part
from emoframe.records import Keypoints, SampleRef
from emoframe.skeleton import SkeletonLayout, layout


def predict(
    video: str | Path,
    run: Run | str | Path,
    *,
    force: bool = False,
    on_progress: OnProgress = lambda progress: None,
) -> dict[str, Any]:
    """Say what a run makes of a video: quality and motion of its keypoints, and the classes.

    Args:
        video: The file.
        run: The run or its folder.
        force: Give class probabilities of a run that was trained on synthetic data.
        on_progress: Called after each chunk of frames that is extracted.

    Returns:
        `frames`, `seconds`, `parts` (one row per layout group), `verdict` in words, and `classes`,
        empty where the run has nothing to say about real people.

    Raises:
        EmoframeError: The video cannot be used, or the run speaks another layout.
    """
    run = run if isinstance(run, Run) else load_run(run)
    perception = run.experiment.perception or Perception()
    ref = SampleRef(Path(video).name, video=Path(video))
    rows = _extracted(run, perception, Path(video), on_progress)
    failed = [row for row in rows if row.status == "failed"]
    if failed:
        raise DataError(f"{video}: {failed[0].reason}")
    keypoints = from_store(perception)(ref)
    told = {
        "frames": len(keypoints),
        "seconds": float(keypoints.time_s[-1] - keypoints.time_s[0]),
        "parts": part_rows(keypoints, layout(keypoints.layout)),
        "classes": [],
    }
    if run.synthetic and not force:
        verdict = (
            "this run was trained on synthetic data and says nothing about people; "
            "--force prints its class probabilities all the same"
        )
        return told | {"verdict": verdict}
    clips = Clips(
        [ref], {"keypoints": lambda _: keypoints}, run.wiring.layout, run.experiment, training=False
    )
    found = predict_clips(run, clips)[0]
    named = zip(run.classes, found.probability, strict=True)
    verdict = "SYNTHETIC, means nothing:" if run.synthetic else f"protocol {run.card['protocol']}:"
    classes = [{"class": name, "probability": float(share)} for name, share in named]
    return told | {"verdict": verdict, "classes": classes}


def _extracted(run: Run, perception: Perception, video: Path, on_progress: OnProgress) -> list[Row]:
    if perception.pose_estimator is None:
        raise DataError(f"{run.folder}: its perception section has no pose estimator to look with")
    pose_estimator = stage_part("pose_estimator", perception.pose_estimator)
    layout_name = pose_estimator.part.layout
    if layout_name != run.wiring.layout.name:
        raise DataError(
            f"{run.folder} was trained on keypoints of layout {run.wiring.layout.name!r}, and the "
            f"pose estimator {pose_estimator.name!r} gives {layout_name!r}"
        )
    how = How(workers=0, devices=devices())
    return extract_videos([video], perception, how, on_progress=on_progress)


def part_rows(keypoints: Keypoints, joints: SkeletonLayout) -> list[dict[str, Any]]:
    """Return quality and motion of each layout group.

    `valid frames` is the share of frames in which any joint of the group was measured, `valid
    joints` the share of all its joints; `motion` the mean speed of its joints in box widths per
    second, over steps in which both ends were measured and no cut lies between.
    """
    steps = np.diff(keypoints.time_s)[:, None]
    width = _width(keypoints)[1:, None]
    speed = np.linalg.norm(np.diff(keypoints.xy, axis=0), axis=-1) / steps / width
    both = keypoints.valid[1:] & keypoints.valid[:-1] & np.isfinite(speed)
    if keypoints.cut is not None:
        both &= ~keypoints.cut[1:, None]
    rows: list[dict[str, Any]] = []
    for name, members in joints.groups.items():
        own, moved = list(members), both[:, list(members)]
        rows.append(
            {
                "part": name,
                "valid frames": float(keypoints.valid[:, own].any(1).mean()),
                "valid joints": float(keypoints.valid[:, own].mean()),
                "motion": float(speed[:, own][moved].mean()) if moved.any() else None,
            }
        )
    return rows


def _width(keypoints: Keypoints) -> np.ndarray[Any, Any]:
    if keypoints.box is None:
        return np.ones(len(keypoints))
    return keypoints.box[:, 2] - keypoints.box[:, 0]

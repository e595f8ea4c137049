"""What a run makes of a single video: first whether its keypoints are any good.

Decided here: nobody is asked about a video along the way, which might cost money or upload it. A
run that reads rationales takes that of the label store, if this video was labelled with the same
settings; one that reads what a data set brings along is handed it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from emoframe.core.errors import DataError
from emoframe.learning.checks import AbsentError
from emoframe.learning.clips import Clips, Loader
from emoframe.learning.inputs import RATIONALE
from emoframe.learning.judge import predict_clips
from emoframe.learning.run import Run, load_run
from emoframe.learning.sources import devices, from_store, rationales, stored
from emoframe.perception.events import Row
from emoframe.perception.pipeline import How, OnProgress
from emoframe.perception.pipeline import extract as extract_videos
from emoframe.perception.settings import Perception
from emoframe.perception.stages import stage_part
from emoframe.perception.video import probe
from emoframe.records import Keypoints, SampleRef
from emoframe.skeleton import SkeletonLayout, layout


def predict(
    video: str | Path,
    run: Run | str | Path,
    *,
    force: bool = False,
    texts: Mapping[str, str] | None = None,
    on_progress: OnProgress = lambda progress: None,
) -> dict[str, Any]:
    """Say what a run makes of a video: quality and motion of its keypoints, and the classes.

    Args:
        video: The file.
        run: The run or its folder.
        force: Give class probabilities of a run that was trained on synthetic data.
        texts: Texts that the data set of the run brings along, such as a transcript, by the name of
            the input.
        on_progress: Called after each chunk of frames that is extracted.

    Returns:
        `frames`, `seconds`, `parts` (one row per layout group), `verdict` in words, and `classes`,
        empty where the run has nothing to say about real people.

    Raises:
        EmoframeError: The video cannot be used, the run speaks another layout, or not one of its
            inputs is there.
    """
    run = run if isinstance(run, Run) else load_run(run)
    ref = SampleRef(Path(video).name, video=Path(video))
    keypoints = _keypoints(run, ref, on_progress)
    told = _told(Path(video), keypoints)
    if run.synthetic and not force:
        verdict = (
            "this run was trained on synthetic data and says nothing about people; "
            "--force prints its class probabilities all the same"
        )
        return told | {"verdict": verdict}
    clips = Clips(
        [ref],
        _loaders(run, keypoints, texts or {}),
        run.wiring.layout,
        run.experiment,
        training=False,
        frame_dims=run.wiring.frame_dims,
    )
    found = predict_clips(run, clips)[0]
    named = zip(run.classes, found.probability, strict=True)
    verdict = "SYNTHETIC, means nothing:" if run.synthetic else f"protocol {run.card['protocol']}:"
    classes = [{"class": name, "probability": float(share)} for name, share in named]
    return told | {"verdict": verdict, "classes": classes}


def _keypoints(run: Run, ref: SampleRef, on_progress: OnProgress) -> Keypoints | None:
    """Extract all that the run's perception makes of a video, and return the keypoints.

    Returns:
        None where the run has no use for any.
    """
    sorts = {branch.sort for branch in run.experiment.model.branches.values()}
    if run.experiment.perception is None and sorts == {"text"}:
        return None
    perception = run.experiment.perception or Perception()
    assert ref.video is not None  # the caller's
    for row in _extracted(run, perception, ref.video, on_progress):
        if row.status == "failed" and row.stage not in _encoders(run):
            raise DataError(f"{ref.video}: {row.reason}")
    return from_store(perception)(ref) if perception.pose_estimator else None


def _encoders(run: Run) -> Collection[str]:
    """Name the stages of the frame encoders of a run."""
    return run.experiment.perception.frame_encoders if run.experiment.perception else ()


def _loaders(run: Run, keypoints: Keypoints | None, texts: Mapping[str, str]) -> dict[str, Loader]:
    """Return where each input of one video comes from."""
    experiment = run.experiment
    found: dict[str, Loader] = {}
    for name, source in experiment.features.items():
        stage = source.partition("@")[0]
        if name in texts:
            found[name] = _constant(texts[name])
        elif experiment.model.branches[name].sort == "keypoints":
            found[name] = _constant(keypoints)
        elif source == RATIONALE:
            found[name] = rationales(experiment, "", run.classes)
        elif stage in _encoders(run):
            found[name] = from_store(stored(experiment), stage)
        else:
            found[name] = _absent(name, source)
    return found


def _constant(value: Any) -> Loader:
    return lambda ref: value


def _absent(name: str, source: str) -> Loader:
    def load(ref: SampleRef) -> NoReturn:
        raise AbsentError(
            f"{ref.id}: the run takes the input {name!r} from {source!r}, and that says nothing of "
            "a single video; hand a text over in `texts`"
        )

    return load


def _told(video: Path, keypoints: Keypoints | None) -> dict[str, Any]:
    """Return how long a video is, and quality and motion of its keypoints."""
    if keypoints is None:
        info = probe(video)
        length = {"frames": info.frames_estimate or 0, "seconds": info.duration_s or 0.0}
        return {**length, "parts": [], "classes": []}
    return {
        "frames": len(keypoints),
        "seconds": float(keypoints.time_s[-1] - keypoints.time_s[0]),
        "parts": part_rows(keypoints, layout(keypoints.layout)),
        "classes": [],
    }


def _extracted(run: Run, perception: Perception, video: Path, on_progress: OnProgress) -> list[Row]:
    joints = run.wiring.layout
    if perception.pose_estimator is None:
        if joints:
            raise DataError(f"{run.folder}: its perception section has no pose estimator")
    else:
        estimator = stage_part("pose_estimator", perception.pose_estimator)
        if joints and estimator.part.layout != joints.name:
            raise DataError(
                f"{run.folder} was trained on keypoints of layout {joints.name!r}, and the "
                f"pose estimator {estimator.name!r} gives {estimator.part.layout!r}"
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

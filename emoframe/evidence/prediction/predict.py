"""What a run makes of a single video, and all that must be known to read it.

First whether the keypoints are any good; then, unless the run learned from made-up data, the
probability of each class, calibrated, beside how often the run is right; how far views agree; which
moments the answer hangs on; and in what the video is unlike those of training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emoframe.core.errors import DataError
from emoframe.evidence.prediction import moments
from emoframe.evidence.prediction.inputs import Given, Perceived, gather, perceive
from emoframe.evidence.prediction.notes import notes
from emoframe.evidence.prediction.page import Told, write
from emoframe.evidence.prediction.standing import (
    Calibration,
    about,
    calibration,
    meaning,
    remarks,
    standing,
    votes,
)
from emoframe.learning.judge import predict_clips
from emoframe.learning.run import Run, load_run
from emoframe.learning.scope import timed
from emoframe.perception.pipeline import OnProgress
from emoframe.perception.settings import Faces
from emoframe.perception.video import probe
from emoframe.records import Keypoints
from emoframe.skeleton import SkeletonLayout, layout

if TYPE_CHECKING:
    from numpy.typing import NDArray


def predict(
    video: str | Path,
    run: Run | str | Path,
    *,
    force: bool = False,
    texts: Mapping[str, str] | None = None,
    views: int | None = None,
    out: str | Path | None = None,
    faces: Faces | None = None,
    on_progress: OnProgress = lambda progress: None,
) -> dict[str, Any]:
    """Say what a run makes of a video.

    Args:
        video: The file.
        run: The run or its folder.
        force: Give class probabilities of a run that was trained on synthetic data.
        texts: Texts that the data set of the run brings along, such as a transcript, by the name of
            the input; one of these counts before the label store.
        views: Views that vote; None takes as many as the run was judged with.
        out: Folder for the page, its pictures, and everything as JSON; None writes nothing.
        faces: What pictures may show of people; None does as the run's config says.
        on_progress: Called after each chunk of frames that is extracted.

    Returns:
        `frames`, `seconds`, `parts` (one row per layout group), `verdict` in words, and `classes`,
        empty where the run has nothing to say about real people. With classes there are `run`,
        `scores`, `remarks`, `meaning`, `calibration`, `votes`, `relevance`, `moments`, `texts` and
        `notes`; docs/predict.md explains each.

    Raises:
        EmoframeError: The video cannot be used, the run speaks another layout, not one of its
            inputs is there, or the folder cannot be written.
    """
    run, video = run if isinstance(run, Run) else load_run(run), Path(video)
    if views is not None and views < 1:
        raise DataError(f"{views} views cannot vote; give at least 1")
    seen = perceive(run, video, on_progress)
    told = {"video": str(video), **_told(video, seen), "classes": [], "run": about(run)}
    if run.synthetic and not force:
        if seen.failed:
            raise DataError(seen.failed)
        told["verdict"] = (
            "this run was trained on synthetic data and says nothing about people; "
            "--force prints its class probabilities all the same"
        )
    else:
        told |= _judged(run, gather(run, video, seen, texts or {}), seen, views)
    if out is not None:
        write(Told(told, video, seen, faces or run.experiment.privacy.faces), Path(out))
    return told


def _judged(run: Run, given: Given, seen: Perceived, views: int | None) -> dict[str, Any]:
    """Return what a run says of a video, with all that stands beside it."""
    asked = run.asked
    count = views or asked.view.votes
    run = replace(run, asked=replace(asked, view=replace(asked.view, votes=count)))
    mended, rows = calibration(run), standing(run)
    raw = predict_clips(run, given.clips(run))[0]
    (found,) = mended.of([raw])
    named = zip(run.classes, found.probability, raw.probability, strict=True)
    verdict = "SYNTHETIC, means nothing:" if run.synthetic else f"protocol {run.card['protocol']}:"
    return {
        "verdict": verdict,
        "classes": [
            {"class": name, "probability": float(share), "uncalibrated": float(before)}
            for name, share, before in named
        ],
        "scores": rows,
        "remarks": remarks(run, rows),
        "meaning": meaning(run),
        "calibration": asdict(mended),
        "votes": votes(raw, run.classes, alike=_alike(run, given)),
        **_hangs_on(run, given, seen, mended, found.predicted),
        "texts": {name: asdict(one) for name, one in given.texts.items()},
        "notes": notes(run, given),
    }


def _hangs_on(
    run: Run, given: Given, seen: Perceived, mended: Calibration, named: int
) -> dict[str, Any]:
    """Return which moments an answer hangs on, `relevance`, and which to show, `moments`."""
    whole, windows = moments.occlusion(run, given, mended, named)
    spans = [(one.start_s, one.end_s) for one in windows]
    pooling = moments.weights(run, given, spans) if windows else {}
    relevance = {
        "class": run.classes[named],
        "whole": float(whole.probability[named]),
        "windows": [
            asdict(one) | {"probability": dict(zip(run.classes, one.probability, strict=True))}
            for one in windows
        ],
        "pooling": pooling,
        "said": moments.said(run.classes[named], windows, pooling),
    }
    shown = [
        {
            "start_s": one.start_s,
            "end_s": one.end_s,
            "change": one.change,
            **_frame(seen.person, one),
        }
        for one in moments.strongest(windows)
    ]
    return {"relevance": relevance, "moments": shown}


def _frame(person: Keypoints | None, window: moments.Window) -> dict[str, Any]:
    """Return number and time of the frame to show of a window; nothing where nobody is known."""
    if person is None:
        return {}
    frame = moments.frame_of(person, window)
    return {"frame": frame, "time_s": float(person.time_s[frame])}


def _alike(run: Run, given: Given) -> bool:
    """Whether all views of a video are the same, since it is no longer than one."""
    view = run.experiment.view
    return all(len(one) == moments.seen(one, view) for one in timed(given.inputs).values())


def _told(video: Path, seen: Perceived) -> dict[str, Any]:
    """Return how long a video is, and quality and motion of its keypoints."""
    keypoints = seen.keypoints
    if keypoints is None:
        info = probe(video)
        length = {"frames": info.frames_estimate or 0, "seconds": info.duration_s or 0.0}
        return {**length, "parts": []}
    return {
        "frames": len(keypoints),
        "seconds": float(keypoints.time_s[-1] - keypoints.time_s[0]),
        "parts": part_rows(keypoints, layout(keypoints.layout)),
    }


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


def _width(keypoints: Keypoints) -> NDArray[Any]:
    if keypoints.box is None:
        return np.ones(len(keypoints))
    return keypoints.box[:, 2] - keypoints.box[:, 0]

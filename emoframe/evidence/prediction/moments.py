"""Which moments of a video a run's answer hangs on.

Decided here: a moment counts as much as the answer changes without it. The video is cut into
windows, all inputs that last are masked in one of them at a time, as where nobody is seen, and what
the class that is named loses in probability is the relevance of that window (occlusion; Zeiler and
Fergus 2014). That works with every model, reads nothing into its insides, and is said in the unit
of the answer. The weights of the pooling, where they are not all alike, stand beside it and are no
more than that: a token has attended to all others before it is weighed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from emoframe.evidence.prediction.inputs import Given
from emoframe.evidence.prediction.standing import Calibration
from emoframe.learning.clips import collate
from emoframe.learning.experiment import ViewSettings
from emoframe.learning.judge import predict_clips
from emoframe.learning.run import Run
from emoframe.learning.scope import timed
from emoframe.perception.draw import READABLE_HEIGHT, overlay
from emoframe.perception.faces import shown
from emoframe.perception.settings import Faces
from emoframe.perception.video import read
from emoframe.records import Features, Input, Keypoints, Output, Prediction
from emoframe.skeleton import SkeletonLayout

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rgb = NDArray[np.uint8]

Shares: TypeAlias = list[float | None] | None
"""The weight of each window in a pooling; None where all weigh the same."""
WINDOWS, MOMENTS = 16, 4
"""Windows of a video, and most moments that are shown of it."""
SMALL = 0.01
"""A change of probability that is said to be next to nothing."""
LEAST = 1e-6
"""Weights that differ by less, relative to their mean, are all alike."""


@dataclass(frozen=True)
class Window:
    """A stretch of a video, and the answer without it.

    Attributes:
        start_s: Its first second, on the clock of the video.
        end_s: Its end.
        probability: Of each class, where nothing of it is seen, (K,).
        change: What the named class loses by that; above 0 the window speaks for it. None where
            nothing was measured in the window.
    """

    start_s: float
    end_s: float
    probability: tuple[float, ...]
    change: float | None


def seen(found: Keypoints | Features, view: ViewSettings) -> int:
    """Return how many frames or tokens of an input one view shows."""
    most = view.keypoints.frames if isinstance(found, Keypoints) else view.frames.frames
    return min(len(found), most)


def cut(inputs: Mapping[str, Input], view: ViewSettings) -> list[tuple[float, float]]:
    """Return start and end of the windows of a video; none where it cannot be cut in two.

    Never more windows than half the frames (or tokens) that a view shows of the input that has
    most: what it does not look at would seem to be irrelevant.
    """
    lasting = timed(inputs).values()
    count = min(WINDOWS, max((seen(one, view) for one in lasting), default=0) // 2)
    if count < 2:
        return []
    start = min(float(one.time_s[0]) for one in lasting)
    end = max(float(one.time_s[-1]) for one in lasting)
    edges = np.linspace(start, np.nextafter(end, np.inf), count + 1)
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


def without(found: Input, start_s: float, end_s: float) -> Input:
    """Return an input as if nobody had been seen for a while; a text stays."""
    if isinstance(found, str):
        return found
    inside = _inside(found, start_s, end_s)
    gone = inside.reshape(-1, *[1] * (found.valid.ndim - 1))
    return replace(found, valid=found.valid & ~gone)


def occlusion(
    run: Run, given: Given, calibration: Calibration, named: int
) -> tuple[Prediction, list[Window]]:
    """Judge a video, and again without each window of it.

    Args:
        run: The run.
        given: What it reads.
        calibration: Of its probabilities.
        named: The class whose probability is followed.

    Returns:
        What the run says of the whole video in one view, calibrated, and the windows; none where
        the run reads nothing that lasts, or too little of it.
    """
    spans = cut(given.inputs, run.experiment.view)
    others = {
        f"{given.ref.id} without {number}": {
            name: without(one, *span) for name, one in given.inputs.items()
        }
        for number, span in enumerate(spans)
    }
    once = replace(run, asked=replace(run.asked, view=replace(run.asked.view, votes=1)))
    whole, *rest = calibration.of(predict_clips(once, given.clips(once, others)))
    windows = [
        Window(
            *span,
            tuple(one.probability.tolist()),
            float(whole.probability[named] - one.probability[named])
            if _measured(given.inputs, *span)
            else None,
        )
        for span, one in zip(spans, rest, strict=True)
    ]
    return whole, windows


def strongest(windows: Sequence[Window], most: int = MOMENTS) -> list[Window]:
    """Return the windows that speak most for the named class, the first first; none against it."""
    found = [one for one in windows if one.change is not None and one.change > 0]
    return sorted(found, key=lambda one: (-(one.change or 0), one.start_s))[:most]


def said(named: str, windows: Sequence[Window], pooling: Mapping[str, Shares]) -> list[str]:
    """Say what was found, in sentences.

    Args:
        named: The class that is followed.
        windows: What `occlusion` found.
        pooling: What `weights` found.
    """
    known = [one for one in windows if one.change is not None]
    if not known:
        return ["The run reads nothing that lasts, or too little of it to tell moments apart."]
    most = max(known, key=lambda one: abs(one.change or 0))
    change = most.change or 0.0
    falls = "falls" if change > 0 else "rises"
    where = f"Without {most.start_s:.2f} to {most.end_s:.2f} s"
    told = [f"{where} P({named}) {falls} by {abs(change):.3f}, the most of any window."]
    if abs(change) < SMALL:
        told.append("That is next to nothing: the answer hangs on no single window.")
    if left := len(windows) - len(known):
        told.append(f"In {left} of {len(windows)} windows nothing was measured.")
    if pooling and not any(pooling.values()):
        told.append("The pooling of this run weighs all moments alike, so that it tells of none.")
    return told


def weights(run: Run, given: Given, spans: Sequence[tuple[float, float]]) -> dict[str, Shares]:
    """Return the share that the tokens of each window have in the pooling.

    Returns:
        By branch and group the share of each window, where 1 is as much as its tokens would have if
        all weighed the same, and None where it has none; None in place of all where they do.
    """
    told: dict[str, Shares] = {}
    output = _output(run, given)
    for name, weight_NS in output.relevance.items():
        weight, span = weight_NS[0].cpu().numpy(), output.span[name][0].cpu().numpy()
        counted = weight > 0
        first = timed(given.inputs)[name.partition(".")[0]].time_s[0]
        if not counted.any() or np.ptp(weight[counted]) <= LEAST * weight[counted].mean():
            told[name] = None
            continue
        at, of = span[counted].mean(-1) + first, weight[counted]
        told[name] = [_relative(of, (at >= start) & (at < end)) for start, end in spans]
    return told


def _output(run: Run, given: Given) -> Output:
    """Return what the model says about one view of a video, its insides included."""
    model, batch = run.model(), collate([given.clips(run)[0]])
    with torch.inference_mode():
        moved: Any = model.data_preprocessor(batch)  # mmengine's: to where the model is
        return model(**moved)


def _relative(weight: NDArray[np.floating[Any]], inside: NDArray[np.bool_]) -> float | None:
    return float(weight[inside].mean() / weight.mean()) if inside.any() else None


def _inside(found: Keypoints | Features, start_s: float, end_s: float) -> NDArray[np.bool_]:
    return (found.time_s >= start_s) & (found.time_s < end_s)


def _measured(inputs: Mapping[str, Input], start_s: float, end_s: float) -> bool:
    """Whether anything was measured in a window."""
    return any(
        bool(one.valid[_inside(one, start_s, end_s)].any()) for one in timed(inputs).values()
    )


def frame_of(person: Keypoints, window: Window) -> int:
    """Return the frame to show of a window: the one next to its middle that shows the person."""
    inside = np.flatnonzero((person.time_s >= window.start_s) & (person.time_s < window.end_s))
    if not len(inside):
        return int(np.abs(person.time_s - window.start_s).argmin())
    seen = person.valid[inside].any(1)
    if person.box is not None:
        seen |= np.isfinite(person.box[inside]).all(1)
    choice = inside[seen] if seen.any() else inside
    middle = (window.start_s + window.end_s) / 2
    return int(choice[np.abs(person.time_s[choice] - middle).argmin()])


def pictures(
    video: Path, person: Keypoints, layout: SkeletonLayout, wanted: Iterable[int], faces: Faces
) -> dict[int, Rgb]:
    """Return frames of a video with the person drawn in.

    Args:
        video: The file.
        person: Who was followed.
        layout: Names the joints.
        wanted: Numbers of the frames.
        faces: What of the person may be seen, see `emoframe.perception.faces`.
    """
    left, found = set(wanted), dict[int, Any]()
    for frames in read(video, chunk=16) if left else ():
        for t, rgb in zip(frames.index.tolist(), frames.rgb, strict=True):
            if t in left:
                scale = -(-READABLE_HEIGHT // rgb.shape[0])
                found[t] = overlay(shown(rgb, person, t, layout, faces), person, t, layout, scale)
        left -= set(found)
        if not left:
            break
    return found

"""What tells of the class and has nothing to do with it: how a clip was made and measured.

Decided here: nuisance is whatever describes a clip and not what is seen in it: its length, its
size, how bright it is, how much of each input was measured and is there at all. Missing data are
taken alone, too, since a network that is given masks can learn from where they lie. A network that
does no better than these has not been shown to see anything in faces.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, get_args

import numpy as np
import pandas as pd

from emoframe.core.errors import DataError
from emoframe.core.registry import create
from emoframe.evidence.beside.bench import Array, Bench, Cut, regression
from emoframe.evidence.pictures.survey import joints_of, video_numbers
from emoframe.evidence.tables.judged import Judged
from emoframe.interfaces import Dataset, Split
from emoframe.learning.checks import AbsentError
from emoframe.learning.data import shuffled as dealt
from emoframe.learning.experiment import Experiment
from emoframe.learning.sources import loaders
from emoframe.perception.video import probe, read
from emoframe.records import Features, Input, Keypoints, SampleRef

log = logging.getLogger(__name__)
DECILES, LOOKED_AT = 10, 16
"""Parts of a clip that masks are counted in; frames of a video whose brightness is measured."""
NUISANCE, MASKS, SHUFFLED = "nuisance", "masks only", "nuisance, labels shuffled"


def nuisance(bench: Bench) -> Judged:
    """Judge by nuisance variables alone: a logistic regression on `nuisance_table`."""
    return bench.judged(NUISANCE, regression(bench.table(nuisance_table), len(bench.classes)))


def shuffled(bench: Bench) -> Judged:
    """Judge by the same regression, taught labels that were dealt to items at random.

    A control in which nothing can be learned: what beats chance here has seen the answers. One deal
    is one draw, which varies by more than its interval says: take several seeds. The control of the
    network itself is a run with `train.shuffle_labels=true`.
    """
    fit = regression(bench.table(nuisance_table), len(bench.classes))

    def deal(cut: Cut) -> Array:
        return fit(replace(cut, learn=dealt(cut.learn, cut.seed)))

    return bench.judged(SHUFFLED, deal)


def masks_only(bench: Bench) -> Judged:
    """Judge by what was measured and not by what it was: a regression on `masks_table`."""
    return bench.judged(MASKS, regression(bench.table(masks_table), len(bench.classes)))


def nuisance_table(experiment: Experiment, refs: Sequence[SampleRef] | None = None) -> pd.DataFrame:
    """Measure what describes the clips of an experiment.

    Args:
        experiment: Its inputs are measured, and the videos where they are here.
        refs: The items; None takes those of both splits.

    Returns:
        One row per item, by its id; NaN where a number is not known. Of each input `INPUT.present`;
        of keypoints `frames`, `seconds`, `cuts`, `box` (square root of the median area, in pixels)
        and `valid_PART`, shares of measured joints; of frame features `tokens`, `seconds` and
        `valid`; of a text `characters` and `words`; of a video that is here `seconds`, `fps`,
        `pixels` and `brightness`, the mean of its first 16 frames in [0, 1].

    Raises:
        EmoframeError: The data set or an input cannot be read.
    """
    dataset: Dataset = create("dataset", experiment.dataset)

    def of_input(name: str, found: Input) -> dict[str, float]:
        if isinstance(found, Keypoints):
            numbers = _of_keypoints(found, dataset)
        elif isinstance(found, Features):
            seconds = float(found.time_s[-1] - found.time_s[0])
            valid = float(found.valid.mean())
            numbers = {"tokens": len(found), "seconds": seconds, "valid": valid}
        else:
            numbers = {"characters": len(found), "words": len(found.split())}
        return {f"{name}.{key}": float(value) for key, value in numbers.items()}

    return _table(experiment, dataset, refs, of_input, _of_video)


def masks_table(experiment: Experiment, refs: Sequence[SampleRef] | None = None) -> pd.DataFrame:
    """Count what was measured, joint by joint and tenth by tenth of each clip.

    Args:
        experiment: Its inputs are measured.
        refs: The items; None takes those of both splits.

    Returns:
        One row per item, by its id: `INPUT.present`, and `INPUT.TENTH.JOINT`, the share of frames
        of that tenth with the joint; frame features have no joint. NaN where a clip has too few
        frames for that.

    Raises:
        EmoframeError: The data set or an input cannot be read.
    """
    dataset: Dataset = create("dataset", experiment.dataset)

    def of_input(name: str, found: Input) -> dict[str, float]:
        if isinstance(found, str):
            return {}
        valid = found.valid.reshape(len(found), -1).astype(float)
        edges = np.linspace(0, len(valid), DECILES + 1).astype(int)
        shares = [
            valid[a:b].mean(0) if b > a else np.full(valid.shape[1], np.nan)
            for a, b in pairwise(edges)
        ]
        return {
            f"{name}.{tenth}.{joint}": float(share)
            for tenth, row in enumerate(shares)
            for joint, share in enumerate(row)
        }

    return _table(experiment, dataset, refs, of_input, lambda ref: {})


def _table(
    experiment: Experiment,
    dataset: Dataset,
    refs: Sequence[SampleRef] | None,
    of_input: Callable[[str, Input], dict[str, float]],
    of_video: Callable[[SampleRef], dict[str, float]],
) -> pd.DataFrame:
    """Measure items one by one; the inputs of one are in memory at a time."""
    load = loaders(experiment, dataset)
    if refs is None:
        refs = [ref for split in get_args(Split) for ref in dataset.samples(split)]
    rows: dict[str, dict[str, float]] = {}
    for ref in refs:
        row = of_video(ref)
        for name, fetch in load.items():
            row[f"{name}.present"] = 1.0
            try:
                row |= of_input(name, fetch(ref))
            except AbsentError:
                row[f"{name}.present"] = 0.0
        rows[ref.id] = row
    return pd.DataFrame.from_dict(rows, orient="index", dtype=float)


def _of_keypoints(found: Keypoints, dataset: Dataset) -> dict[str, Any]:
    joints = joints_of(found, dataset)
    numbers = video_numbers(found, joints)
    box = np.nan
    if found.box is not None and np.isfinite(found.box).all(1).any():
        area = np.prod(found.box[:, 2:] - found.box[:, :2], axis=1)
        box = float(np.sqrt(np.nanmedian(area)))
    return {
        "frames": numbers["frames"],
        "seconds": numbers["seconds"],
        "cuts": np.nan if found.cut is None else numbers["cuts"],
        "box": box,
        **{f"valid_{part}": numbers[f"{part}_joints"] for part in joints.groups},
    }


def _of_video(ref: SampleRef) -> dict[str, float]:
    """Measure a video file; features may travel without theirs."""
    if ref.video is None or not ref.video.is_file():
        return {}
    try:
        said, first = probe(ref.video), next(read(ref.video, LOOKED_AT))
    except DataError as error:  # its inputs may come from elsewhere, and decide whether it is used
        log.warning("%s: nothing is known of its video: %s", ref.id, error)
        return {}
    return {
        "video.seconds": np.nan if said.duration_s is None else said.duration_s,
        "video.fps": np.nan if said.fps is None else said.fps,
        "video.pixels": float(said.width * said.height),
        "video.brightness": float(first.rgb.mean()) / 255,
    }

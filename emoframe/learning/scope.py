"""What the training clips were like, in a few numbers, so that a video of another sort is noticed.

A network gives probabilities for anything. Decided here: what is kept of each number is its range
over training clips without one per cent at either end, which for fewer than a hundred clips is all
of it; nothing of a single clip is kept but that. Of many clips so many are looked at, evenly
spread, since long ones take time to read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from emoframe.learning.checks import AbsentError
from emoframe.learning.data import Data
from emoframe.learning.experiment import Experiment
from emoframe.learning.sources import name_of
from emoframe.records import Features, Input, Keypoints, SampleRef
from emoframe.skeleton import SkeletonLayout

MOST = 500
"""Most training clips that are looked at."""
TAIL = 0.01
"""Share of the clips that is left out at either end of a range."""
SECONDS, RATE, NOBODY, VALID = "seconds", "per second", "nobody", "valid "
"""Length; frames or tokens a second; share of them without any; the prefix of a group's share."""


def scope_of(data: Data) -> dict[str, Any]:
    """Return what the training clips of a run are like, as plain data.

    Args:
        data: What the run learns from.

    Returns:
        `clips`, how many were looked at, and `inputs`: by the name of an input the share of clips
        that lack it (`absent`), and of each of its numbers (see `numbers`) the least and the most,
        without `TAIL` at either end.
    """
    refs = spread(data.train.refs)
    inputs: dict[str, Any] = {}
    for name in data.train.loaders:
        found: list[dict[str, float]] = []
        for ref in refs:
            try:
                found.append(numbers(data.train.fetch_one(name, ref), data.wiring.layout))
            except AbsentError:
                continue
        inputs[name] = {"absent": 1 - len(found) / len(refs), **_ranges(found)}
    return {"clips": len(refs), "inputs": inputs}


def seen_of(experiment: Experiment, data: Data) -> dict[str, Any]:
    """Return which gold the weights have learned from or were selected by, of whom, and whom else.

    `weak` names the subjects of weak labels.
    """
    goals = data.train.goals
    gold = [ref for ref in data.train.refs if ref.id in goals and not goals[ref.id].weak]
    weak = [ref for ref in data.train.refs if ref.id in goals and goals[ref.id].weak]
    return {
        "dataset": name_of(experiment, data.dataset),
        "train": sorted(ref.id for ref in gold),
        "val": sorted(ref.id for ref in data.val.refs),
        "subjects": sorted({r.subject for r in [*gold, *data.val.refs] if r.subject is not None}),
        "weak": sorted({ref.subject for ref in weak if ref.subject is not None}),
    }


def spread(refs: Sequence[SampleRef]) -> list[SampleRef]:
    """Return all items, or `MOST` of them, evenly spread."""
    if len(refs) <= MOST:
        return list(refs)
    return [refs[n] for n in np.linspace(0, len(refs) - 1, MOST).round().astype(int)]


def numbers(found: Input, layout: SkeletonLayout | None) -> dict[str, float]:
    """Return what is compared of one input of one clip.

    Args:
        found: The input.
        layout: Names the groups of the joints.

    Returns:
        `seconds` from the first frame (or token) to the last, frames `per second`, and shares:
        `nobody` of the frames in which nothing was measured, and of keypoints `valid GROUP`, the
        joints of a group that were. A rate is left out for a single frame; a text has no numbers.
    """
    if isinstance(found, str):
        return {}
    told = {SECONDS: float(found.time_s[-1] - found.time_s[0])}
    if len(found) > 1 and (step := float(np.median(np.diff(found.time_s)))) > 0:
        told[RATE] = 1 / step
    measured = found.valid.reshape(len(found), -1)
    told[NOBODY] = float(1 - measured.any(1).mean())
    if isinstance(found, Keypoints) and layout is not None:
        for group, joints in layout.groups.items():
            told[f"{VALID}{group}"] = float(measured[:, list(joints)].mean())
    return told


def timed(found: Mapping[str, Input]) -> dict[str, Keypoints | Features]:
    """Return the inputs that last: all but texts."""
    return {name: one for name, one in found.items() if not isinstance(one, str)}


def _ranges(found: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """Return the least and the most of each number."""
    names = dict.fromkeys(name for one in found for name in one)
    ranges: dict[str, list[float]] = {}
    for name in names:
        values = np.array([one[name] for one in found if name in one])
        # of the values themselves, never between two: so a hundred clips or fewer lose none
        low = np.quantile(values, TAIL, method="inverted_cdf")
        high = np.quantile(values, 1 - TAIL, method="inverted_cdf")
        ranges[name] = [round(float(low), 4), round(float(high), 4)]
    return ranges

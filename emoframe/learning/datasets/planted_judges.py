"""What is scored on planted videos by who looks for the right form: the matched filter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from emoframe.learning.datasets.planted_worlds import World

Found = Mapping[str, Sequence[NDArray[np.float64]]]


def matched_filter(world: World, found: Found, labels: Mapping[str, NDArray[np.int64]]) -> float:
    """Return the accuracy on test of who learns from train which height counts.

    Args:
        world: Knows how to turn what was found into a score.
        found: What was found in each video of `train` and `test`, see `World.evidence`.
        labels: True class of each.
    """
    train, test = labels["train"], labels["test"]
    best = (-1.0, 0.0)
    for threshold in world.thresholds:
        scores, judged = (
            np.array([world.score(evidence, threshold) for evidence in found[split]])
            for split in ("train", "test")
        )
        fit = _balanced(_nearest_mean(scores, train, scores), train)
        if fit > best[0]:
            best = fit, float(np.mean(_nearest_mean(scores, train, judged) == test))
    return best[1]


def _nearest_mean(
    scores: NDArray[np.float64], labels: NDArray[np.int64], judged: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return for each judged score the class whose mean over labelled scores is nearest."""
    present = np.unique(labels)
    means = [scores[labels == k].mean() for k in present]
    return present[np.abs(judged[:, None] - means).argmin(1)]


def _balanced(judged: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    return float(np.mean([np.mean(judged[labels == k] == k) for k in np.unique(labels)]))

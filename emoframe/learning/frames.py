"""Frame features as the model sees them: which tokens of a clip a view has (W2S-10).

Decided here: the least gap between two chosen tokens is given in seconds, as lags are: the paper's
6 frames at 25 a second. Tokens come with times and not with frame numbers, and an encoder may have
seen every sixth frame only. A clip that is too short for the gap is sampled with a smaller one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray

from emoframe.records import Features


@dataclass(frozen=True)
class FrameView:
    """How the frame features of a clip are sampled.

    Attributes:
        frames: Most tokens a view has; longer clips are sampled, stratified.
        min_gap_s: Least seconds between two tokens that are chosen; rounded to whole tokens, and
            less where the clip is too short for it.
    """

    frames: Annotated[int, Gt(0)] = 800
    min_gap_s: Annotated[float, Ge(0)] = 0.24


def sample_tokens(
    time_s: NDArray[np.float64], view: FrameView, generator: np.random.Generator | None
) -> NDArray[np.int64]:
    """Choose tokens in order: all of them, or so many, one from each of as many equal strata.

    Args:
        time_s: Time of each token.
        view: How many, and how far apart.
        generator: Draws inside each stratum; None takes the middle of each.

    Returns:
        Indices, each at least the gap after the one before.
    """
    total, wanted = len(time_s), view.frames
    if total <= wanted:
        return np.arange(total)
    step = float(np.median(np.diff(time_s)))
    widest = (total - 1) // max(wanted - 1, 1)
    gap = int(np.clip(round(view.min_gap_s / step) if step > 0 else 1, 1, widest))
    # strata over what the gaps leave free, and the gaps between them put back
    edges = np.linspace(0, total - gap * (wanted - 1), wanted + 1)
    inside = np.full(wanted, 0.5) if generator is None else generator.random(wanted)
    chosen = np.floor(edges[:-1] + inside * np.diff(edges)).astype(np.int64)
    return np.minimum(chosen + gap * np.arange(wanted), total - 1)


def frame_features(
    features: Features, tokens: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the vectors of chosen tokens, x_TD with zeros where there is none, and mask_T."""
    mask = features.valid[tokens]
    return np.where(mask[:, None], features.x[tokens], 0).astype(np.float32), mask

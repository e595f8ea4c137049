"""Planted frame features: coloured noise in which short moments tell of the class.

Decided here: noise and the subject's offset are taken out of the mean along the planted direction,
so that over all valid tokens this mean is the planted amount exactly; what makes it hard is to find
one direction among many, and few moments among many tokens.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from emoframe.records import Features

COLOUR = 0.7
"""Correlation of a number of one token with that of the next; its standard deviation is 1."""
OFFSET = 0.3
"""Standard deviation between subjects, in each number."""
LEVEL = 1.0
"""Mean over the tokens of what an amount of 1 adds along the planted direction."""
MOMENTS, MOMENT = 0.2, 4
"""Share of the tokens that tell of the class; how many of them follow one another."""
LOST = 0.1
"""Share of the tokens that were not computed."""


def direction(generator: np.random.Generator, width: int) -> NDArray[np.float64]:
    """Draw the direction in which classes differ, of length 1, (D,)."""
    drawn = generator.standard_normal(width)
    return drawn / np.linalg.norm(drawn)


def frame_features(
    generator: np.random.Generator,
    amount: float,
    subject: np.random.Generator,
    along: NDArray[np.float64],
    time_s: NDArray[np.float64],
) -> Features:
    """Return the tokens of a video.

    Args:
        generator: The video's own.
        amount: What it tells of its class.
        subject: Draws what its subject differs by, which no class does.
        along: The planted direction, (D,).
        time_s: Seconds of each token, (T,).
    """
    x = _noise(generator, len(time_s), len(along))
    valid = generator.random(len(time_s)) >= LOST
    moment = _moments(generator, len(time_s))
    valid[np.argmax(moment)] = True  # one that tells is seen in every video
    offset = OFFSET * subject.standard_normal(len(along))
    x += offset - (x[valid].mean(0) + offset) @ along * along
    x[moment] += LEVEL * amount * valid.sum() / (moment & valid).sum() * along
    x[~valid] = np.nan
    return Features(x.astype(np.float32), valid, time_s)


def _noise(generator: np.random.Generator, count: int, width: int) -> NDArray[np.float64]:
    """Return noise in which each token resembles the one before, (count, width)."""
    fresh = generator.standard_normal((count, width))
    fresh[1:] *= np.sqrt(1 - COLOUR**2)
    return np.asarray(lfilter([1.0], [1.0, -COLOUR], fresh, axis=0))


def _moments(generator: np.random.Generator, count: int) -> NDArray[np.bool_]:
    """Choose the tokens that tell of the class, in stretches, (count,)."""
    places = max(count // MOMENT, 1)
    chosen = generator.permutation(places)[: max(round(MOMENTS * places), 1)]
    moment = np.zeros(count, bool)
    moment[(chosen[:, None] * MOMENT + np.arange(MOMENT)).clip(max=count - 1)] = True
    return moment

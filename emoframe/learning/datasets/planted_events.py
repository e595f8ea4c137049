"""Planted worlds of rare, short events, of which the class decides the rate.

Decided here: an event goes up or down by chance, so that mean positions tell nothing; what moves
beside the events (decoys) says nothing about the class that the events do not say, so that the
oracle, who counts events, is a ceiling.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d
from scipy.signal import find_peaks
from scipy.stats import poisson

from emoframe.learning.datasets.planted_figure import BROWS, FACE, face_joints
from emoframe.learning.datasets.planted_worlds import (
    DECOY,
    EVENT,
    LONGEST,
    SHORTEST,
    Plant,
    World,
)
from emoframe.skeleton import OPENPOSE_137

PAUSE = 5
"""Frames between two movements while there is room."""


class _Counted(World):
    """A world of short events of which the class decides the rate."""

    thresholds = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)

    def log_likelihood(self, known: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return that of each count."""
        return poisson.logpmf(known[:, None], self.rates)

    def score(self, evidence: NDArray[np.float64], threshold: float) -> float:
        """Return the root of the count of peaks, whose spread is the same for every rate."""
        return math.sqrt(np.count_nonzero(evidence > threshold))

    def starts(self, generator: np.random.Generator, count: int) -> NDArray[np.int64]:
        """Place movements so that none overlap while there is room, in order, (count,)."""
        slots = max(count, self.frames // (LONGEST + PAUSE), 1)
        width = self.frames / slots
        chosen = np.sort(generator.permutation(slots)[:count])
        first = chosen * width + generator.random(count) * max(width - LONGEST, 0)
        return np.minimum(first.astype(np.int64), self.frames - LONGEST)


class CrossPart(_Counted):
    """Brows, eyes and corners of the mouth twitch together; each also twitches alone.

    No skeleton edge joins one of these parts to another. How often they twitch alone is a matter of
    the video, drawn uniformly up to the highest rate of events, and not of its class.
    """

    PARTS = (
        BROWS,
        face_joints("right_eye", "right_pupil", "left_eye", "left_pupil"),
        face_joints("outer_lip_0", "outer_lip_6", "inner_lip_0", "inner_lip_4"),
    )

    def plant(self, generator: np.random.Generator, label: int) -> Plant:
        """Plant twitches of all parts, and of single ones."""
        alone = generator.poisson(generator.uniform(0, self.rates.max()), len(self.PARTS))
        together = generator.poisson(self.rates[label])
        everything = sum(self.PARTS, ())
        who = [everything] * together
        for part, count in zip(self.PARTS, alone.tolist(), strict=True):
            who += [part] * count
        order = generator.permutation(len(who))
        starts = self.starts(generator, len(who))
        lengths = generator.integers(SHORTEST, LONGEST + 1, len(who))
        signs = generator.choice([-1.0, 1.0], len(who))
        up = np.zeros((self.frames, 70), np.float32)
        for first, length, sign, n in zip(starts, lengths, signs, order, strict=True):
            up[first : first + length, list(who[n])] += sign * _bump(length)[:, None]
        kinds = np.where(order < together, EVENT, DECOY)
        return Plant(up, np.stack([starts, lengths, kinds], 1), together)

    def evidence(self, up: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the heights at which all parts agree, peak by peak."""
        height = np.stack([up[:, list(part)].mean(1) for part in self.PARTS], 1)
        found = correlate1d(height, _filter(9), axis=0)
        return _peaks(np.maximum(found.min(1), -found.max(1)))


class AlongEdge(_Counted):
    """Waves run over four neighbouring joints; decoys run over joints of four different pieces.

    A wave takes a random chain or ring of the face (not the lips, which speak), a random start and
    direction; its joints rise one after another, two or three at once. A decoy visits four pieces
    in random order, at each the joint that a wave would have reached there at that step. Every
    joint therefore moves equally often, in the same way and at the same step in waves and decoys.
    The number of both together is the same in every video, so that decoys complement the waves and
    tell no more than they do.
    """

    STEP, BUMPS = 2, (4, 5)
    """Frames from one joint to the next; frames that a joint is displaced."""

    def __init__(self, rates: Sequence[float], frames: int) -> None:
        super().__init__(rates, frames)
        most = float(self.rates.max())
        self.total = math.ceil(most + 3 * math.sqrt(most))
        self.paths = _paths(4)

    def plant(self, generator: np.random.Generator, label: int) -> Plant:
        """Plant waves, and decoys up to the constant total."""
        waves = int(generator.poisson(self.rates[label]))
        total = max(self.total, waves)
        order = generator.permutation(total)
        starts = self.starts(generator, total)
        bumps = generator.choice(self.BUMPS, total)
        signs = generator.choice([-1.0, 1.0], total)
        up = np.zeros((self.frames, 70), np.float32)
        for first, length, sign, n in zip(starts, bumps, signs, order, strict=True):
            bump = sign * _bump(length)
            for step, joint in enumerate(self._joints(generator, wave=bool(n < waves))):
                begin = first + step * self.STEP
                up[begin : begin + length, joint] += bump
        kinds = np.where(order < waves, EVENT, DECOY)
        return Plant(up, np.stack([starts, bumps + 3 * self.STEP, kinds], 1), waves)

    def _joints(self, generator: np.random.Generator, *, wave: bool) -> list[int]:
        """Draw the joints of a wave or of a decoy, in the order in which they move."""
        pieces = generator.permutation(len(self.paths))[: 1 if wave else 4]
        drawn = [self.paths[p][generator.integers(len(self.paths[p]))] for p in pieces]
        return [int(drawn[0 if wave else step][step]) for step in range(4)]

    def evidence(self, up: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return how far the four joints of some path moved one after another, peak by peak."""
        found = correlate1d(up, _filter(5), axis=0)
        span = len(found) - 3 * self.STEP
        paths = np.concatenate(self.paths)
        along = sum(found[step * self.STEP :][:span][:, paths[:, step]] / 4 for step in range(4))
        return _peaks(np.abs(along).max(1))


class Null(CrossPart):
    """As `CrossPart`, with the mean rate in every class."""

    def __init__(self, rates: Sequence[float], frames: int) -> None:
        super().__init__([sum(rates) / len(rates)] * len(rates), frames)


def _bump(length: int) -> NDArray[np.float32]:
    return np.sin(np.pi * (np.arange(length) + 0.5) / length).astype(np.float32)


def _filter(length: int) -> NDArray[np.float64]:
    """Return a bump less its mean over three times its length; 1 is what it makes of itself."""
    template = np.zeros(3 * length)
    template[length : 2 * length] = _bump(length)
    kernel = template - template.mean()
    return kernel / (kernel @ template)


def _peaks(height: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the heights of the peaks, no two of them within the shortest event."""
    return height[find_peaks(height, distance=SHORTEST)[0]].astype(float)


def _paths(length: int) -> list[NDArray[np.int64]]:
    """Return all walks over `length` different neighbours, one array (walks, length) per piece."""
    near: dict[int, list[int]] = {}
    for a, b in OPENPOSE_137.group_edges("face"):
        near.setdefault(a, []).append(b)
        near.setdefault(b, []).append(a)
    walks = [[joint] for joint in sorted(set(near) - set(face_joints("outer_lip", "inner_lip")))]
    for _ in range(length - 1):
        walks = [[*walk, n] for walk in walks for n in near[walk[-1]] if n not in walk]
    pieces: dict[str, list[list[int]]] = {}
    names = OPENPOSE_137.joints[FACE]
    for walk in walks:
        pieces.setdefault(names[walk[0]].rsplit("_", 1)[0], []).append(walk)
    return [np.array(piece) for piece in pieces.values()]

"""Planted worlds: their form, and the two in which something is held for long.

Decided here: everything planted is a vertical movement of the 70 joints of the face. The same class
that plants it knows what follows from it: for who knows the truth (`log_likelihood`), and for who
knows only its form (`evidence`, `score`: the matched filter).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from emoframe.core.errors import DataError
from emoframe.learning.datasets.planted_amounts import Amounts
from emoframe.learning.datasets.planted_figure import BROWS

EVENT, DECOY = 0, 1
"""The kinds in the third column of the planted truth."""
SHORTEST, LONGEST = 6, 11
"""Frames of a short event, below the half second of a micro-gesture (W2S-03)."""
ORACLE, DISTANCE = 0.90, 1.2816
"""What who knows the truth scores; how many standard deviations off the middle that takes."""


@dataclass(frozen=True)
class Plant:
    """What is planted in one video.

    Attributes:
        up: How far each joint of the face is raised, in amplitudes, (T, 70).
        truth: First frame, length and kind (`EVENT` or `DECOY`) of each movement, (movements, 3).
        known: What the oracle is told: a count, an amount, or whether there is an episode.
    """

    up: NDArray[np.float32]
    truth: NDArray[np.int64]
    known: float


class World(ABC):
    """One sort of planted truth.

    Args:
        rates: Mean number of events in a video of each class.
        frames: Frames of a video.

    Raises:
        DataError: The world cannot be had in so few frames or with so many classes.
    """

    thresholds: ClassVar[tuple[float, ...]] = (0.0,)
    """Heights in amplitudes among which the matched filter chooses on train."""

    def __init__(self, rates: Sequence[float], frames: int) -> None:
        if frames < LONGEST:
            raise DataError(
                f"planted: frames is {frames}, and an event takes up to {LONGEST}; "
                f"take at least {LONGEST} frames"
            )
        self.rates, self.frames = np.asarray(rates, float), frames

    @abstractmethod
    def plant(self, generator: np.random.Generator, label: int) -> Plant:
        """Plant a video of a class."""

    @abstractmethod
    def log_likelihood(self, known: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how likely each class makes what the oracle knows of videos, (videos, K)."""

    @abstractmethod
    def evidence(self, up: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return what the matched filter finds in measured heights (T, 70), in their unit."""

    def score(self, evidence: NDArray[np.float64], threshold: float) -> float:
        """Return the number by which the matched filter tells the classes apart."""
        return float(evidence[0])


class _Held(World):
    """A world in which the brows are held higher or lower for long."""

    def evidence(self, up: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the mean height of the brows, in which slow drift cancels out."""
        return np.array([up[:, list(BROWS)].mean()], np.float64)


class StaticPosture(_Held):
    """The brows are held at a height of which the class decides the mean.

    The amount is normal, its standard deviation `SHARE` of the amplitude, and the means of
    neighbouring classes are so far apart that who knows the amount is right in `ORACLE` of the
    videos of two classes.
    """

    SHARE = 0.5

    def __init__(self, rates: Sequence[float], frames: int) -> None:
        super().__init__(rates, frames)
        self.amounts = Amounts(2 * DISTANCE, len(rates))

    def plant(self, generator: np.random.Generator, label: int) -> Plant:
        """Plant one height for the whole video."""
        amount = self.amounts.draw(generator, label)
        up = np.zeros((self.frames, 70), np.float32)
        up[:, list(BROWS)] = self.SHARE * amount
        return Plant(up, np.array([[0, self.frames, EVENT]]), amount)

    def log_likelihood(self, known: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the normal distribution's."""
        return self.amounts.log_likelihood(known, np.eye(len(self.rates)))


class Slow(_Held):
    """The brows are raised for about a third of the video, in most videos of the second class."""

    def __init__(self, rates: Sequence[float], frames: int) -> None:
        super().__init__(rates, frames)
        if len(self.rates) != 2:
            raise DataError(
                f"planted: world 'slow' has two classes, with the episode and without it, and "
                f"events names {len(self.rates)}; give two"
            )

    def plant(self, generator: np.random.Generator, label: int) -> Plant:
        """Plant one episode or none."""
        present = bool(generator.random() < (ORACLE if label else 1 - ORACLE))
        length = round(self.frames * generator.uniform(0.28, 0.38))
        first = int(generator.integers(self.frames - length + 1))
        up = np.zeros((self.frames, 70), np.float32)
        if present:
            edge = np.minimum(np.arange(length) + 0.5, length - 0.5 - np.arange(length))
            rise = np.sin(0.5 * np.pi * np.minimum(edge / (length / 6), 1)) ** 2
            up[first : first + length, list(BROWS)] = rise[:, None]
        truth = np.array([[first, length, EVENT]] * present, np.int64).reshape(-1, 3)
        return Plant(up, truth, present)

    def log_likelihood(self, known: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return that of an episode, or of none."""
        agrees = known[:, None].astype(np.int64) == np.arange(2)
        return np.log(np.where(agrees, ORACLE, 1 - ORACLE))

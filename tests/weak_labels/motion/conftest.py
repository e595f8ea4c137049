"""A person of 137 points who does what a test says, at any number of frames per second."""

from __future__ import annotations

import numpy as np
import pytest

from emoframe.labelling import Unit
from emoframe.learning.datasets.planted_figure import HEAD, LEGS, figure
from emoframe.records import Keypoints
from emoframe.skeleton import OPENPOSE_137
from emoframe.weak_labels.codebook import load_codebooks
from emoframe.weak_labels.motion.describe import signals_of, units_of, unmeasured
from emoframe.weak_labels.motion.thresholds import load_thresholds
from emoframe.weak_labels.motion.track import track_of

FACE, HEIGHT = 25, 59.0
"""First point of the face; pixels from the figure's eyes to its chin, a face height."""
SHOULDERS = 130.0
HANDS = {"left": slice(95, 116), "right": slice(116, 137)}
ARMS = {"left": (6, 7), "right": (3, 4)}
OUTWARD = {"left": 1 + 0j, "right": -1 + 0j}


class Person:
    """Sits still but for what is asked, which begins and ends within 0.2 s.

    Args:
        seconds: Length of the clip.
        fps: Frames per second.
    """

    def __init__(self, seconds: float = 6.0, fps: float = 25.0) -> None:
        self.time = np.arange(round(seconds * fps)) / fps
        rest = figure().astype(float) @ np.array([1, 1j])
        rest[FACE + 60 : FACE + 68].imag = rest[FACE + 48].imag
        self.z = np.repeat(rest[None], len(self.time), 0)
        self.valid = np.ones(self.z.shape, bool)
        self.valid[:, LEGS] = False
        self.yaw, self.pitch, self.roll = (np.zeros(len(self.time)) for _ in range(3))
        self.shift = np.zeros(len(self.time), complex)

    def level(self, start: float, end: float) -> np.ndarray:
        """Return 0 outside of a time and 1 inside."""
        rise = np.minimum(self.time - start, end - self.time) / 0.2 + 0.5
        return np.clip(rise, 0, 1)

    def face(self, *points: int) -> list[int]:
        return [FACE + point for point in points]

    def move(self, points: list[int], way: complex, start: float, end: float) -> Person:
        """Move points of the face by a way in face heights."""
        self.z[:, points] += HEIGHT * way * self.level(start, end)[:, None]
        return self

    def brows(self, inner: float, outer: float, start: float = 2, end: float = 4) -> Person:
        self.move(self.face(20, 21, 22, 23), -1j * inner, start, end)
        return self.move(self.face(17, 18, 25, 26), -1j * outer, start, end)

    def lids(self, left_open: float, start: float = 2, end: float = 4) -> Person:
        for first in (36, 42):
            rim = self.face(*range(first, first + 6))
            middle = self.z[:, rim].imag.mean(1, keepdims=True)
            share = 1 - (1 - left_open) * self.level(start, end)[:, None]
            self.z[:, rim] = self.z[:, rim].real + 1j * (
                middle + (self.z[:, rim].imag - middle) * share
            )
        return self

    def lips_apart(self, gap: float, start: float = 2, end: float = 4) -> Person:
        return self.move(self.face(*range(55, 60), 65, 66, 67), 1j * gap, start, end)

    def corners(self, out: float, up: float, start: float = 2, end: float = 4) -> Person:
        for side, points in ((-1, (48, 60)), (1, (54, 64))):
            self.move(self.face(*points), side * out - 1j * up, start, end)
        return self

    def press(self, thinner: float, start: float = 2, end: float = 4) -> Person:
        lips = self.face(*range(49, 54), *range(55, 60))
        middle = self.z[:, self.face(48)].imag
        share = 1 - thinner * self.level(start, end)[:, None]
        self.z[:, lips] = self.z[:, lips].real + 1j * (
            middle + (self.z[:, lips].imag - middle) * share
        )
        return self

    def turn(
        self, yaw: float = 0, pitch: float = 0, roll: float = 0, start: float = 2, end: float = 4
    ) -> Person:
        """Turn the head: to its left, up, to its left shoulder, in degrees."""
        level = self.level(start, end)
        self.yaw, self.pitch = self.yaw + yaw * level, self.pitch + pitch * level
        self.roll = self.roll + roll * level
        return self

    def swing(self, hz: float, yaw: float = 0, pitch: float = 0) -> Person:
        """Turn the head to and fro from second 2 to 4."""
        wave = np.sin(2 * np.pi * hz * (self.time - 2)) * ((self.time >= 2) & (self.time <= 4))
        self.yaw, self.pitch = self.yaw + yaw * wave, self.pitch + pitch * wave
        return self

    def shrug(self, way: float, hz: float, in_turn: bool = False) -> Person:
        """Move the shoulders up and down from second 2 to 4, by a share of their width."""
        wave = np.sin(2 * np.pi * hz * (self.time - 2)) * ((self.time >= 2) & (self.time <= 4))
        self.z[:, [2]] -= 1j * way * SHOULDERS * wave[:, None]
        self.z[:, [5]] -= 1j * way * SHOULDERS * wave[:, None] * (-1 if in_turn else 1)
        return self

    def at(self, point: int) -> complex:
        """Return where a point of the face rests."""
        return complex(self.z[0, FACE + point])

    def touch(
        self,
        side: str,
        place: complex,
        start: float = 2,
        end: float = 4,
        toward: complex | None = None,
        found: bool = True,
    ) -> Person:
        """Bring the tip of the index finger to a place; the arm lies `toward` from there."""
        way = OUTWARD[side] if toward is None else toward
        level = self.level(start, end)
        wrist = place + 65 * way
        self._bring(side, wrist + 100 * way, wrist, level)
        own = HANDS[side]
        pose = np.array([0, *(20 + 4 * n for f in range(5) for n in range(4))]) + 0j
        pose[5:9] = 30, 45, 55, 65  # the index finger is stretched, the others are curled
        pose += 1j * np.array([0, *(5.0 * (f - 1) for f in range(5) for _ in range(4))])
        target = wrist - way * pose
        self.z[:, own] += (target - self.z[:, own]) * level[:, None]
        self.valid[:, own] &= found
        return self

    def _bring(self, side: str, elbow: complex, wrist: complex, level: np.ndarray) -> None:
        before = self.z[:, ARMS[side][1]].copy()
        for joint, place in zip(ARMS[side], (elbow, wrist), strict=True):
            self.z[:, joint] += (place - self.z[:, joint]) * level
        self.z[:, HANDS[side]] += (self.z[:, ARMS[side][1]] - before)[:, None]

    def arms(
        self, right: tuple[complex, complex], left: tuple[complex, complex],
        start: float = 2, end: float = 4,
    ) -> Person:  # fmt: skip
        """Bring elbow and wrist of each arm, with its hand, to places in the picture."""
        for side, (elbow, wrist) in (("right", right), ("left", left)):
            self._bring(side, elbow, wrist, self.level(start, end))
        return self

    def fold(self, start: float = 2, end: float = 4) -> Person:
        return self.arms((225 + 310j, 395 + 318j), (415 + 310j, 245 + 322j), start, end)

    def lean(self, way: complex, start: float = 2, end: float = 4) -> Person:
        """Move everything by a way in shoulder widths, within half a second."""
        rise = np.clip(np.minimum(self.time - start, end - self.time) / 0.5 + 0.5, 0, 1)
        self.shift = self.shift + SHOULDERS * way * rise
        return self

    def hide(self, points: list[int] | slice, start: float = -1, end: float = 99) -> Person:
        here = (self.time >= start) & (self.time < end)
        hidden = np.zeros(self.valid.shape[1], bool)
        hidden[points] = True
        self.valid &= ~(here[:, None] & hidden)
        return self

    def keypoints(self) -> Keypoints:
        """Return the clip; what is hidden lies at 0, 0, where nobody may read it."""
        z = self._turned() + self.shift[:, None]
        xy = np.stack([z.real, z.imag], -1).astype(np.float32)
        xy[~self.valid] = 0
        confidence = np.where(self.valid, np.float32(0.9), np.float32(0))
        return Keypoints(xy, confidence, self.valid, self.time, OPENPOSE_137.name)

    def _turned(self) -> np.ndarray:
        """Turn the head about the middle of the ears, with the nose a face height before them."""
        head = list(HEAD)
        ears = self.z[:, [FACE, FACE + 16]].mean(1, keepdims=True)
        local = self.z[:, head] - ears
        depth = 0.75 * HEIGHT * np.sqrt(np.clip(1 - (local.real / 42) ** 2, 0, 1))
        depth[:, [head.index(0), head.index(FACE + 30)]] = HEIGHT
        yaw, pitch, roll = (np.deg2rad(a)[:, None] for a in (self.yaw, self.pitch, self.roll))
        across = local.real * np.cos(yaw) + depth * np.sin(yaw)
        depth = depth * np.cos(yaw) - local.real * np.sin(yaw)
        down = local.imag * np.cos(pitch) - depth * np.sin(pitch)
        z = self.z.copy()
        z[:, head] = ears + (across + 1j * down) * np.exp(1j * roll)
        return z


class Told:
    """What the shipped thresholds tell of keypoints, in the words of both codebooks."""

    def __init__(self) -> None:
        books = load_codebooks(("facs", "imigue"))
        self.thresholds = load_thresholds()
        self.codes = {b.system: {n: entry.name for n, entry in b.codes.items()} for b in books}

    def units(self, keypoints: Keypoints) -> list[Unit]:
        track = track_of(keypoints)
        return units_of(track, signals_of(track, self.thresholds), self.thresholds, self.codes)

    def of(self, code: str, keypoints: Keypoints) -> list[Unit]:
        return [unit for unit in self.units(keypoints) if f"{unit.system} {unit.code}" == code]

    def unmeasured(self, keypoints: Keypoints) -> str:
        return unmeasured(signals_of(track_of(keypoints), self.thresholds), self.thresholds)


@pytest.fixture(scope="session")
def told() -> Told:
    """What is told of keypoints."""
    return Told()


@pytest.fixture
def person() -> type[Person]:
    """The class of people, to be made with a length and frames per second."""
    return Person

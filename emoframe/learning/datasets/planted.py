"""Generated 137-point videos with a planted, known truth, to test claims without any data.

Somebody sits at a table, sways, talks, and loses a hand now and then. Short events (brows and hands
twitch together, shorter than half a second) happen at a rate that depends on the class; nothing
else does. Event times and the score of an oracle that counts them are outputs, so that a trained
network has a ceiling to be held against. Nothing here says anything about real people.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Annotated
from zlib import crc32

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.stats import poisson

from emoframe.interfaces import Split
from emoframe.records import Keypoints, SampleRef
from emoframe.skeleton import OPENPOSE_137, SkeletonLayout

FPS = 25.0
SHORTEST, LONGEST = 6, 11
"""Frames of an event: below the half second of a micro-gesture (W2S-03)."""

LEGS = (10, 11, 13, 14, *range(19, 25))
BROWS = tuple(range(25 + 17, 25 + 27))
LIPS = tuple(range(25 + 48, 25 + 68))
LEFT_HAND, RIGHT_HAND = tuple(range(95, 116)), tuple(range(116, 137))
MOVED = (*BROWS, 4, 7, *LEFT_HAND, *RIGHT_HAND)


class Planted:
    """Videos whose class is the rate of rare, short events.

    Args:
        train: Training videos.
        test: Test videos.
        videos_per_subject: Videos of each subject; no subject is in both splits.
        frames: Frames of a video, at 25 per second.
        events: Mean number of events in a video of each class; its length is the number of classes.
        amplitude: Height of an event in pixels; the sway has a standard deviation of 6.
        seed: Decides every video.
    """

    layout: SkeletonLayout = OPENPOSE_137
    protocol = "planted"
    synthetic = True

    def __init__(
        self,
        *,
        train: Annotated[int, Gt(0)] = 200,
        test: Annotated[int, Gt(0)] = 100,
        videos_per_subject: Annotated[int, Gt(0)] = 5,
        frames: Annotated[int, Gt(0)] = 512,
        events: tuple[float, ...] = (4.0, 11.0),
        amplitude: Annotated[float, Ge(0)] = 6.0,
        seed: Annotated[int, Ge(0)] = 0,
    ) -> None:
        self.sizes: dict[Split, int] = {"train": train, "test": test}
        self.videos_per_subject, self.frames = videos_per_subject, frames
        self.events, self.amplitude, self.seed = events, amplitude, seed
        self.classes = tuple(f"rate_{k}" for k in range(len(events)))

    def samples(self, split: Split) -> list[SampleRef]:
        """Return the items of a split; those of `test` without labels."""
        return [
            SampleRef(id_, label if split == "train" else None, self._subject(id_))
            for id_, label in self._labels(split).items()
        ]

    def test_labels(self) -> Mapping[str, int]:
        """Return the sealed labels."""
        return self._labels("test")

    def load(self, ref: SampleRef) -> Mapping[str, Keypoints]:
        """Generate the keypoints of an item."""
        return {"keypoints": self._video(ref.id)}

    def event_frames(self, item: str) -> NDArray[np.int64]:
        """Return the planted truth: the first frame and the length of each event, (events, 2)."""
        generator = self._generator(item, "events")
        count = generator.poisson(self.events[self._label(item)])
        starts = np.sort(generator.integers(0, max(self.frames - LONGEST, 1), count))
        return np.stack([starts, generator.integers(SHORTEST, LONGEST + 1, count)], -1)

    def oracle_accuracy(self) -> float:
        """Return the accuracy on test of a judge that knows the number of events of each video."""
        labels = self._labels("test")
        right = [
            int(np.argmax(poisson.pmf(len(self.event_frames(item)), self.events))) == label
            for item, label in labels.items()
        ]
        return float(np.mean(right))

    def _labels(self, split: Split) -> dict[str, int]:
        """Give each class its share, in an order that only the seed decides."""
        size = self.sizes[split]
        labels = np.arange(size) % len(self.events)
        np.random.default_rng([self.seed, crc32(split.encode())]).shuffle(labels)
        return {f"{split}-{n:05d}": int(label) for n, label in enumerate(labels)}

    def _label(self, item: str) -> int:
        return self._labels("train" if item.startswith("train") else "test")[item]

    def _subject(self, item: str) -> str:
        split, _, number = item.partition("-")
        return f"{split}-subject-{int(number) // self.videos_per_subject:03d}"

    def _generator(self, item: str, purpose: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, crc32(item.encode()), crc32(purpose.encode())])

    def _video(self, item: str) -> Keypoints:
        motion = self._generator(item, "motion")
        posture = self._generator(self._subject(item), "posture").normal(0, 8, (137, 2))
        xy = figure() + gaussian_filter1d(posture, 20, axis=0, mode="nearest")
        xy = xy + _sway(motion, self.frames) + motion.normal(0, 0.5, (self.frames, 137, 2))
        xy[:, list(LIPS), 1] += _talk(motion, self.frames)[:, None] * _opening()
        for start, length in self.event_frames(item):
            bump = np.sin(np.pi * (np.arange(length) + 0.5) / length)
            window = slice(start, min(start + length, self.frames))
            xy[window, MOVED, 1] -= self.amplitude * bump[: window.stop - start, None]
        valid = np.ones((self.frames, 137), bool)
        valid[:, LEGS] = False
        for hand in (LEFT_HAND, RIGHT_HAND):
            valid[:, hand] = _seen(motion, self.frames)[:, None]
        xy = np.where(valid[..., None], xy, np.nan).astype(np.float32)
        confidence = np.where(valid, 0.9, 0.0).astype(np.float32)
        return Keypoints(xy, confidence, valid, np.arange(self.frames) / FPS, self.layout.name)


def _sway(generator: np.random.Generator, frames: int) -> NDArray[np.float64]:
    """Slow movement of the whole body and of head and arms, (T, 137, 2), 6 pixels deep."""
    tracks = generator.normal(size=(frames, 4, 2))
    smooth = gaussian_filter1d(tracks, 30, axis=0, mode="reflect")
    smooth *= 6.0 / np.maximum(smooth.std(0, keepdims=True), 1e-9) / np.sqrt(2)
    part = np.zeros(137, int)
    part[[0, 15, 16, 17, 18, *range(25, 95)]] = 1
    part[[3, 4, *RIGHT_HAND]] = 2
    part[[6, 7, *LEFT_HAND]] = 3
    return smooth[:, [0]] + np.where((part > 0)[:, None], smooth[:, part], 0)


def _talk(generator: np.random.Generator, frames: int) -> NDArray[np.float64]:
    """How far the mouth is open, in pixels: syllables inside of phrases, (T,)."""
    syllables = np.abs(np.sin(np.cumsum(generator.uniform(0.3, 0.8, frames))))
    phrases = gaussian_filter1d(generator.normal(size=frames), 25, mode="reflect") > 0
    return 5.0 * syllables * phrases


def _opening() -> NDArray[np.float64]:
    """Which way each lip point moves when the mouth opens: the lower lip down, the upper still."""
    lower = np.zeros(20)
    lower[[7, 8, 9, 10, 11, 17, 18, 19]] = 1.0
    return lower


def _seen(generator: np.random.Generator, frames: int) -> NDArray[np.bool_]:
    """Whether a hand is seen: lost in long stretches, a quarter of the time, (T,)."""
    return gaussian_filter1d(generator.normal(size=frames), 15, mode="reflect") > -0.1


@functools.cache
def figure() -> NDArray[np.float64]:
    """Return a person at rest, upper body, in a picture of 640 x 480 pixels, (137, 2)."""
    xy = np.zeros((137, 2))
    xy[:25] = [
        (320, 150), (320, 215), (255, 220), (225, 310), (260, 385), (385, 220), (415, 310),
        (380, 385), (320, 400), (285, 400), (285, 470), (285, 475), (355, 400), (355, 470),
        (355, 475), (305, 138), (335, 138), (285, 145), (355, 145), (365, 478), (370, 478),
        (350, 478), (275, 478), (270, 478), (290, 478),
    ]  # fmt: skip
    xy[25:95] = (320, 150) + _face()
    hand = np.array([(0.0, 0.0), *((f * 6 - 12, -8 - 7 * j) for f in range(5) for j in range(4))])
    xy[list(LEFT_HAND)] = (380, 385) + hand * (-1, 1)
    xy[list(RIGHT_HAND)] = (260, 385) + hand
    return xy


def _face() -> NDArray[np.float64]:
    """Return the 70 points of a face around the nose, (70, 2)."""

    def arc(
        count: int, x: float, y: float, width: float, height: float, start: float, stop: float
    ) -> NDArray[np.float64]:
        angle = np.linspace(start, stop, count)
        return np.stack([x + width * np.cos(angle), y + height * np.sin(angle)], -1)

    pi = np.pi
    return np.concatenate(
        [
            arc(17, 0, -5, 42, 52, pi, 0),
            arc(5, -18, -22, 13, 6, pi, 2 * pi),
            arc(5, 18, -22, 13, 6, pi, 2 * pi),
            np.stack([np.zeros(4), np.linspace(-14, 2, 4)], -1),
            np.stack([np.linspace(-7, 7, 5), np.array([6, 8, 9, 8, 6.0])], -1),
            arc(7, -16, -12, 7, 3.5, pi, 3 * pi)[:6],
            arc(7, 16, -12, 7, 3.5, pi, 3 * pi)[:6],
            arc(13, 0, 23, 15, 6, pi, 3 * pi)[:12],
            arc(9, 0, 23, 11, 2.5, pi, 3 * pi)[:8],
            [(-16.0, -12.0), (16.0, -12.0)],
        ]
    )

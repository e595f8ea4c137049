"""A small data set, as a plugin file, that brings along every sort of input; some items lack some.

Class 1 shows in each of them: a joint moves faster, a frame vector has a larger first number, and
the text says so. Validation and test items say words that no training item says.
"""

from __future__ import annotations

from collections.abc import Mapping
from zlib import crc32

import numpy as np

from emoframe import component
from emoframe.records import Features, Keypoints, SampleRef
from emoframe.skeleton import SkeletonLayout

WORDS = (("calm", "slow", "still"), ("quick", "restless", "moving"))


@component("dataset", "brought")
class Brought:
    """Sixteen training items of eight people, and four test items.

    Args:
        frames: Frames of each clip.
        gaps: Whether items 0 and 1 have no frame features, and 2 and 3 no text.
        word: Said in every text.
        dim: Width of the frame features.
        joints: Whether the frame features are of joints.
    """

    classes = ("calm", "quick")
    layout = SkeletonLayout("two", joints=("a", "b"), edges=((0, 1),))
    protocol = "brought"
    synthetic = False

    def __init__(
        self,
        *,
        frames: int = 30,
        gaps: bool = True,
        word: str = "person",
        dim: int = 5,
        joints: bool = False,
    ) -> None:
        self.frames, self.gaps, self.word, self.dim, self.joints = frames, gaps, word, dim, joints

    def samples(self, split: str) -> list[SampleRef]:
        """Return the items; the number in an id says its class."""
        numbers = range(16) if split == "train" else range(16, 20)
        return [
            SampleRef(f"i{n}", n % 2 if split == "train" else None, f"s{n // 2}") for n in numbers
        ]

    def test_labels(self) -> Mapping[str, int]:
        """Return the labels of the test items."""
        return {f"i{n}": n % 2 for n in range(16, 20)}

    def fingerprint(self) -> dict[str, str]:
        """Return what decides the data."""
        return {"word": self.word, "frames": str(self.frames)}

    def load(self, ref: SampleRef) -> Mapping[str, Keypoints | Features | str]:
        """Make the inputs of an item."""
        n = int(ref.id[1:])
        label, generator = n % 2, np.random.default_rng(crc32(ref.id.encode()))
        time_s = np.arange(self.frames) / 25
        xy = generator.normal(0, 0.1, (self.frames, 2, 2)).astype(np.float32)
        xy[:, 0, 0] += np.sin(time_s * 10) * label
        valid = np.ones((self.frames, 2), bool)
        x = generator.normal(0, 0.5, (self.frames, self.dim)).astype(np.float16)
        x[:, 0] += label
        seen = generator.random(self.frames) > 0.2
        x[~seen] = np.nan
        found: dict[str, Keypoints | Features | str] = {
            "keypoints": Keypoints(xy, valid * 1.0, valid, time_s, "two"),
            "frames": Features(x, seen, time_s),
            "text": f"The {self.word} of item {ref.id} is {' and '.join(WORDS[label])}.",
        }
        if self.joints:
            found["frames"] = Features(np.ones((self.frames, 2, 3)), valid, time_s)
        if self.gaps and n < 4:
            del found["frames" if n < 2 else "text"]
        return found

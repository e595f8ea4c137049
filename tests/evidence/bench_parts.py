"""A data set whose clips are made as a file says, as a plugin file, for the tests of baselines."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

import emoframe
from emoframe.interfaces import Split
from emoframe.records import Keypoints, SampleRef
from emoframe.skeleton import SkeletonLayout

JOINTS = ("head", "neck", "left", "right")


@emoframe.component("dataset", "made_clips")
class MadeClips:
    """Noise that moves nowhere, as long and as well measured as a file says.

    Args:
        file: JSON: of each item `id`, `label`, `subject`, `split`, and where it differs from the
            others `frames`, `seen` (share of frames in which the head was measured) and `video`.
    """

    name, protocol, classes, synthetic = "made_clips", "made", ("lose", "win"), True
    layout = SkeletonLayout("made_clips", JOINTS, groups={"upper": (0, 1), "lower": (2, 3)})

    def __init__(self, *, file: Path) -> None:
        self.file = file

    @cached_property
    def _rows(self) -> dict[str, dict[str, Any]]:
        return {row["id"]: row for row in json.loads(self.file.read_text())}

    def samples(self, split: Split) -> list[SampleRef]:
        """Return the items, those of test without labels."""
        return [
            SampleRef(
                row["id"],
                row["label"] if split == "train" else None,
                row["subject"],
                Path(row["video"]) if "video" in row else None,
            )
            for row in self._rows.values()
            if row["split"] == split
        ]

    def load(self, ref: SampleRef) -> dict[str, Keypoints]:
        """Return noise."""
        row = self._rows[ref.id]
        frames, generator = row.get("frames", 30), np.random.default_rng(crc32(ref.id.encode()))
        xy = generator.normal(size=(frames, len(JOINTS), 2)).astype(np.float32)
        valid = np.ones((frames, len(JOINTS)), bool)
        valid[:, 0] = generator.random(frames) < row.get("seen", 1.0)
        sure = valid.astype(np.float32)
        return {"keypoints": Keypoints(xy, sure, valid, np.arange(frames) / 25, self.layout.name)}

    def test_labels(self) -> dict[str, int]:
        """Break: no baseline may ask."""
        raise AssertionError("the test labels were asked for")

"""A data set of frame features, as a plugin file, of which one token overflows in what follows."""

from __future__ import annotations

from collections.abc import Mapping
from zlib import crc32

import numpy as np

from emoframe import component
from emoframe.records import Features, SampleRef


@component("dataset", "overflowing")
class Overflowing:
    """Twelve training items of twelve people and two test items.

    Args:
        item: Number of the item whose last token is finite, and its square is not; -1 for none.
    """

    classes = ("calm", "quick")
    layout = None
    protocol = "overflowing"
    synthetic = False

    def __init__(self, *, item: int = -1) -> None:
        self.item = item

    def samples(self, split: str) -> list[SampleRef]:
        """Return the items; the number in an id says its class."""
        numbers = range(12) if split == "train" else range(12, 14)
        return [SampleRef(f"i{n}", n % 2 if split == "train" else None, f"s{n}") for n in numbers]

    def test_labels(self) -> Mapping[str, int]:
        """Return the labels of the test items."""
        return {f"i{n}": n % 2 for n in range(12, 14)}

    def load(self, ref: SampleRef) -> Mapping[str, Features]:
        """Make forty tokens of an item."""
        x = np.random.default_rng(crc32(ref.id.encode())).normal(0, 1, (40, 3)).astype(np.float32)
        if ref.id == f"i{self.item}":
            x[-1] = 1e30
        return {"frames": Features(x, np.ones(40, bool), np.arange(40) / 25)}

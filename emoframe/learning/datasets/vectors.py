"""Sequences of vectors with labels, from one npz file: frame features that another tool made.

Decided here: a frame of which any number is NaN was not measured. Without `split`, every item is
one of train, to be judged by folds; there is no test then.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Gt

from emoframe.core.errors import DataError
from emoframe.interfaces import Split
from emoframe.learning.datasets.npz import Arrays, ids_of, labels_of, read_npz, subjects_of
from emoframe.records import Features, SampleRef

SHAPE = ("items", "frames", "numbers")


class Vectors:
    """Frame features with labels.

    An npz holds `x` (items, frames, numbers) with NaN where nothing was measured, `y` with labels
    and, if known, `length`, `subject`, `class_names`, and `split` with `train` and `test`.

    Args:
        path: The npz file.
        fps: Frames per second.

    Shape:
        load: x (frames, numbers), valid (frames,)
    """

    synthetic = False
    layout = None

    def __init__(self, *, path: Path, fps: Annotated[float, Gt(0)] = 25.0) -> None:
        self.path, self.fps = path, fps

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return labels_of(self.path, self._data)[1]

    @property
    def protocol(self) -> str:
        """The file's own split, or that all of it is for folds."""
        return f"vectors:{self.path.stem}"

    def samples(self, split: Split) -> list[SampleRef]:
        """Return the items of a split; those of `test` without labels."""
        labels, classes = labels_of(self.path, self._data)
        rows = zip(
            ids_of(self.path, self._data),
            labels,
            subjects_of(self._data),
            self._splits,
            strict=True,
        )
        return [
            SampleRef(item, classes.index(label) if split == "train" else None, subject)
            for item, label, subject, own in rows
            if own == split
        ]

    def test_labels(self) -> Mapping[str, int]:
        """Return the sealed labels."""
        labels, classes = labels_of(self.path, self._data)
        rows = zip(ids_of(self.path, self._data), labels, self._splits, strict=True)
        return {item: classes.index(label) for item, label, own in rows if own == "test"}

    def load(self, ref: SampleRef) -> Mapping[str, Features]:
        """Return the frame features of an item, as the input `frames`."""
        row = ids_of(self.path, self._data).index(ref.id)
        stop = int(self._data["length"][row]) if "length" in self._data else None
        x = self._data["x"][row, :stop].astype(np.float32)
        valid: Any = np.isfinite(x).all(-1)
        return {"frames": Features(x, valid, np.arange(len(x)) / self.fps)}

    def fingerprint(self) -> dict[str, str]:
        """Return the hash of the data, so that a run knows when it changed."""
        return {"vectors": hashlib.sha256(self.path.read_bytes()).hexdigest()}

    @property
    def _data(self) -> Arrays:
        if not self.path.is_file():
            raise DataError(f"{self.path}: there is no such file of vectors")
        return read_npz(self.path, ("x", "y"), SHAPE)

    @functools.cached_property
    def _splits(self) -> list[str]:
        splits = [str(one) for one in self._data.get("split", ["train"] * len(self._data["x"]))]
        if wrong := sorted(set(splits) - {"train", "test"}):
            raise DataError(f"{self.path}: split {wrong[0]!r} is neither 'train' nor 'test'")
        return splits

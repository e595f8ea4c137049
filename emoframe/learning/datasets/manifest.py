"""Videos listed in a table: the door for a data set of one's own.

CSV or JSONL with `video` (relative to the file), `label`, `split` and, if known, `subject` and `id`.
The keypoints are extracted into the store; the table brings none along.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from emoframe.core.errors import DataError
from emoframe.interfaces import Split
from emoframe.records import Keypoints, SampleRef
from emoframe.skeleton import SkeletonLayout


class Manifest:
    """Videos, labels, splits and subjects from a CSV or JSONL file.

    Args:
        path: The table.
        classes: Names of the classes in the order of their index; null sorts the labels of train.
        protocol: Name of the evaluation protocol that the split follows; null takes the file's name.
    """

    synthetic = False
    layout: SkeletonLayout | None = None

    def __init__(
        self, *, path: Path, classes: list[str] | None = None, protocol: str | None = None
    ) -> None:
        self.path = path
        self.protocol = protocol or f"manifest:{path.stem}"
        self._given_classes = classes

    @functools.cached_property
    def _rows(self) -> pd.DataFrame:
        rows = _read(self.path)
        lacking = [key for key in ("video", "label", "split") if key not in rows]
        if lacking or rows.empty:
            raise DataError(
                f"{self.path}: needs rows with video, label and split; lacks {lacking or 'rows'}"
            )
        wrong = rows[~rows["split"].isin(["train", "test"])]
        if len(wrong):
            line, split = wrong.index[0] + 1, wrong["split"].iloc[0]
            raise DataError(
                f"{self.path}, row {line}: split {split!r} is neither 'train' nor 'test'"
            )
        if "id" not in rows:
            rows["id"] = rows["video"]
        absent = [video for video in rows["video"] if not (self.path.parent / video).is_file()]
        if absent:
            raise DataError(
                f"{self.path}: {absent[0]} is not beside it ({len(absent)} videos are missing)"
            )
        return rows

    @functools.cached_property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        rows = self._rows
        labels = rows["label"][rows["split"] == "train"].dropna()
        classes = tuple(self._given_classes or sorted(set(labels)))
        strange = sorted(set(rows["label"].dropna()) - set(classes))
        if strange:
            raise DataError(
                f"{self.path}: label {strange[0]!r} is not among the classes {list(classes)}"
            )
        return classes

    def samples(self, split: Split) -> list[SampleRef]:
        """Return the items of a split; those of `test` without labels."""
        rows = self._rows[self._rows["split"] == split].to_dict("records")
        return [
            SampleRef(
                row["id"],
                None
                if split == "test" or pd.isna(row["label"])
                else self.classes.index(row["label"]),
                None if pd.isna(row.get("subject")) else row["subject"],
                self.path.parent / row["video"],
            )
            for row in rows
        ]

    def test_labels(self) -> Mapping[str, int]:
        """Return the sealed labels; a test item without a label is not judged."""
        rows = self._rows[self._rows["split"] == "test"].dropna(subset=["label"])
        return {
            id_: self.classes.index(label)
            for id_, label in zip(rows["id"], rows["label"], strict=True)
        }

    def load(self, ref: SampleRef) -> Mapping[str, Keypoints]:
        """Return nothing: everything is extracted from the video."""
        return {}


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise DataError(f"{path}: there is no such manifest")
    try:
        if path.suffix == ".jsonl":
            return pd.read_json(path, lines=True, dtype=False).map(
                lambda value: value if pd.isna(value) else str(value)
            )
        return pd.read_csv(path, dtype=str)
    except ValueError as error:  # pandas' parse errors are ValueErrors
        raise DataError(f"{path}: cannot be read as a table: {error}") from error

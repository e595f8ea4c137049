"""Videos listed in a table: the door for a data set of one's own.

CSV or JSONL with `video` (relative to the file), `label`, `split` and, if known, `subject` and
`id`. The keypoints are extracted into the store; the table brings none along. What was said may
stand in it: `transcript`, a text or the name of a text file.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from emoframe.core.errors import DataError
from emoframe.core.files import file_hash
from emoframe.interfaces import Split
from emoframe.perception.video import video_hash
from emoframe.records import Input, SampleRef
from emoframe.skeleton import SkeletonLayout

TEXT_FILE = ".txt"


class Manifest:
    """Videos, labels, splits and subjects from a CSV or JSONL file.

    Columns: `video`, relative to the file; `label`; `split`, `train` or `test`; and, if known,
    `subject`, `id` and `transcript`: what was said, or the name of a `.txt` file with it, relative
    to the table. It is brought along as the input `transcript`.

    Args:
        path: The table.
        classes: Names of the classes in the order of their index; null sorts the labels of train.
        protocol: Name of the evaluation protocol of the split; null takes the file's name.
        name: What the stores call this data set; null takes the file's name. Tables of one name
            that hold other videos need names of their own, or stores.
    """

    synthetic = False
    layout: SkeletonLayout | None = None

    def __init__(
        self,
        *,
        path: Path,
        classes: list[str] | None = None,
        protocol: str | None = None,
        name: str | None = None,
    ) -> None:
        self.path = path
        self.name = name or f"manifest:{path.stem}"
        self.protocol = protocol or f"manifest:{path.stem}"
        self._given_classes = classes

    @functools.cached_property
    def _rows(self) -> list[dict[str, str | None]]:
        rows = _read(self.path)
        lacking = [key for key in ("video", "label", "split") if rows and key not in rows[0]]
        if lacking or not rows:
            raise DataError(
                f"{self.path}: needs rows with video, label and split; lacks "
                f"{', '.join(lacking) or 'rows'}"
            )
        for number, row in enumerate(rows, 1):
            if row["split"] not in ("train", "test"):
                raise DataError(
                    f"{self.path}, row {number}: split {row['split']!r} is neither 'train' "
                    "nor 'test'"
                )
        return rows

    @functools.cached_property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        told = {row["label"]: row["split"] for row in self._rows if row["label"] is not None}
        learnt = {row["label"] for row in self._rows if row["split"] == "train"} - {None}
        classes = tuple(self._given_classes or sorted(map(str, learnt)))
        strange = sorted(set(told) - set(classes))
        if strange:
            raise DataError(
                f"{self.path}: label {strange[0]!r} is not among the classes {list(classes)}"
            )
        return classes

    def samples(self, split: Split) -> list[SampleRef]:
        """Return the items of a split; those of `test` without labels."""
        return [
            SampleRef(
                _id(row),
                None if split == "test" else self._label(row),
                row.get("subject"),
                self._video(row),
            )
            for row in self._rows
            if row["split"] == split
        ]

    def test_labels(self) -> Mapping[str, int]:
        """Return the sealed labels; a test item without a label is not judged."""
        test = [row for row in self._rows if row["split"] == "test"]
        labels = {_id(row): self._label(row) for row in test}
        return {item: label for item, label in labels.items() if label is not None}

    def load(self, ref: SampleRef) -> Mapping[str, Input]:
        """Return what was said, where the table tells it; all else is extracted from the video.

        Raises:
            DataError: The text file cannot be read.
        """
        said = self._transcripts.get(ref.id)
        if said is None:
            return {}
        if not said.endswith(TEXT_FILE):
            return {"transcript": said}
        try:
            return {"transcript": (self.path.parent / said).read_text(encoding="utf-8")}
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"{self.path}: the transcript {said!r} of {ref.id} cannot be read: {error}"
            ) from error

    def fingerprint(self) -> dict[str, str]:
        """Return the hash of the table, and of each video and text file that is here."""
        files = {_id(row): self._video(row) for row in self._rows}
        videos = {name: video_hash(file) for name, file in files.items() if file.is_file()}
        said = [text for text in self._transcripts.values() if text.endswith(TEXT_FILE)]
        texts = {
            name: file_hash(file) for name in said if (file := self.path.parent / name).is_file()
        }
        return {"table": hashlib.sha256(self.path.read_bytes()).hexdigest(), **videos, **texts}

    @functools.cached_property
    def _transcripts(self) -> dict[str, str]:
        return {_id(row): said for row in self._rows if (said := row.get("transcript"))}

    def _label(self, row: Mapping[str, str | None]) -> int | None:
        return None if row["label"] is None else self.classes.index(row["label"])

    def _video(self, row: Mapping[str, str | None]) -> Path:
        return self.path.parent / str(row["video"])


def _id(row: Mapping[str, str | None]) -> str:
    return str(row.get("id") or row["video"])


def _read(path: Path) -> list[dict[str, str | None]]:
    """Read a table as text, None where a cell is empty."""
    if not path.is_file():
        raise DataError(f"{path}: there is no such manifest")
    try:
        if path.suffix == ".jsonl":
            rows = [
                json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line
            ]
        else:
            # an empty cell is missing; the words NA, None and null are labels like any other
            rows = pd.read_csv(path, dtype=str, keep_default_na=False).to_dict("records")
    except ValueError as error:  # both parsers' errors are ValueErrors
        raise DataError(f"{path}: cannot be read as a table: {error}") from error
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise DataError(f"{path}, row {number}: is no mapping of columns to values")
    keys = dict.fromkeys(str(key) for row in rows for key in row)
    return [{key: _text(row.get(key)) for key in keys} for row in rows]


def _text(value: object) -> str | None:
    return None if value is None or value == "" else str(value)

"""Keypoint sequences in any layout, from one npz file or a folder: no code needed for a new one.

Decided here: NaN is the only mark of a missing joint in x; with `axes: xyc` a confidence of zero is
one as well, as OpenPose writes it.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from annotated_types import Gt
from numpy.typing import NDArray

from emoframe.core.errors import DataError, suggest
from emoframe.interfaces import Split
from emoframe.learning.datasets.npz import ids_of, labels_of, read_npz, subjects_of
from emoframe.records import Keypoints, SampleRef
from emoframe.skeleton import SkeletonLayout, partners

Axes = Literal["xy", "xyz", "xyc"]
NEEDED = ("x", "y", "split")
SHAPE = ("items", "frames", "joints", "2 or 3")


@dataclass(frozen=True)
class _Table:
    """The rows of either form: one entry per item."""

    ids: list[str]
    labels: list[str]
    splits: list[str]
    subjects: list[str | None]
    classes: tuple[str, ...]
    layout: SkeletonLayout


class Sequences:
    """Keypoint sequences with labels, from an npz file or a folder.

    An npz holds `x` (items, frames, joints, 2 or 3) with NaN where nothing was measured, `y` with
    labels, `split` with `train` and `test` and, if known, `length`, `subject`, `class_names`,
    `joint_names`, `edges`, `mirror`.

    A folder holds `index.csv` with the columns `file`, `label`, `split` and, if known, `subject`,
    one `.npy` (frames, joints, 2 or 3) per row and, if known, `layout.json` with any of `joints`,
    `edges`, `groups`, `mirror`. Where no `mirror` is given, the joints' names tell left from right.

    Args:
        path: An npz file or a folder.
        fps: Frames per second of the sequences.
        axes: Meaning of the last axis: coordinates, or `xyc` with a confidence at the end; null
            takes two numbers as xy and three as xyz.
        classes: Names of the classes in the order of their index; null takes those of the data.
    """

    synthetic = False

    def __init__(
        self,
        *,
        path: Path,
        fps: Annotated[float, Gt(0)] = 25.0,
        axes: Axes | None = None,
        classes: list[str] | None = None,
    ) -> None:
        self.path, self.fps, self.axes = path, fps, axes
        self._given_classes = classes

    @functools.cached_property
    def _table(self) -> _Table:
        if not self.path.exists():
            raise DataError(f"{self.path}: there is no such file or folder of sequences")
        table = _folder_table(self.path) if self.path.is_dir() else _npz_table(self.path)
        classes = tuple(self._given_classes or table.classes)
        strange = sorted(set(table.labels) - set(classes))
        if strange:
            raise DataError(
                f"{self.path}: label {strange[0]!r} is not among the classes {list(classes)}"
            )
        wrong = sorted(set(table.splits) - {"train", "test"})
        if wrong:
            raise DataError(f"{self.path}: split {wrong[0]!r} is neither 'train' nor 'test'")
        return _Table(table.ids, table.labels, table.splits, table.subjects, classes, table.layout)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self._table.classes

    @property
    def layout(self) -> SkeletonLayout:
        """Layout of the joints."""
        return self._table.layout

    @property
    def protocol(self) -> str:
        """The file's own split."""
        return f"sequences:{self.path.stem}"

    def samples(self, split: Split) -> list[SampleRef]:
        """Return the items of a split; those of `test` without labels."""
        table = self._table
        return [
            SampleRef(id_, table.classes.index(label) if split == "train" else None, subject)
            for id_, label, own, subject in zip(
                table.ids, table.labels, table.splits, table.subjects, strict=True
            )
            if own == split
        ]

    def test_labels(self) -> Mapping[str, int]:
        """Return the sealed labels."""
        table = self._table
        rows = zip(table.ids, table.labels, table.splits, strict=True)
        return {id_: table.classes.index(label) for id_, label, own in rows if own == "test"}

    def load(self, ref: SampleRef) -> Mapping[str, Keypoints]:
        """Return the keypoints of an item."""
        return {"keypoints": self._keypoints(self._array(ref.id), ref.id)}

    def fingerprint(self) -> dict[str, str]:
        """Return the hash of the data, so that a run knows when it changed."""
        inside = sorted(self.path.rglob("*")) if self.path.is_dir() else [self.path]
        files = [path for path in inside if path.is_file()]
        whole = hashlib.sha256()
        for file in files:
            whole.update(file.name.encode() + hashlib.sha256(file.read_bytes()).digest())
        return {"sequences": whole.hexdigest()}

    def _array(self, id_: str) -> NDArray[Any]:
        if not self.path.is_dir():
            data = read_npz(self.path, NEEDED, SHAPE)
            row = self._table.ids.index(id_)
            return data["x"][row, : int(data["length"][row]) if "length" in data else None]
        return _array(self.path / id_)

    def _keypoints(self, x: NDArray[Any], id_: str) -> Keypoints:
        width = x.shape[-1] if x.ndim == 3 else 0
        axes = self.axes or {2: "xy", 3: "xyz"}.get(width)
        if axes is None or len(axes) != width:
            raise DataError(
                f"{self.path.name}, {id_}: shape {x.shape} is not (frames, joints, "
                f"{len(self.axes) if self.axes else '2 or 3'})"
            )
        dims = 2 if axes == "xyc" else width
        xy = x[..., :dims].astype(np.float32)
        valid = np.all(np.isfinite(xy), -1)
        confidence = np.where(valid, 1, 0).astype(np.float32)
        if axes == "xyc":
            confidence = np.nan_to_num(x[..., 2]).astype(np.float32)
            valid &= confidence > 0
        return Keypoints(xy, confidence, valid, np.arange(len(x)) / self.fps, self.layout.name)


def _npz_table(path: Path) -> _Table:
    data = read_npz(path, NEEDED, SHAPE)
    labels, classes = labels_of(path, data)
    layout = _layout(
        path.stem,
        data["x"].shape[2],
        {key: data[key].tolist() for key in ("edges", "mirror") if key in data}
        | ({"joints": data["joint_names"].tolist()} if "joint_names" in data else {}),
    )
    splits = [str(s) for s in data["split"]]
    return _Table(ids_of(path, data), labels, splits, subjects_of(data), classes, layout)


def _folder_table(path: Path) -> _Table:
    index = path / "index.csv"
    if not index.is_file():
        raise DataError(f"{path}: a folder of sequences needs an index.csv")
    rows = pd.read_csv(index, dtype=str, keep_default_na=False)
    lacking = [key for key in ("file", "label", "split") if key not in rows]
    if lacking or rows.empty:
        raise DataError(
            f"{index}: needs rows with file, label and split; lacks {lacking or 'rows'}"
        )
    ids = rows["file"].tolist()
    absent = [id_ for id_ in ids if not (path / id_).is_file()]
    if absent:
        raise DataError(f"{index}: {absent[0]} is not there ({len(absent)} files are missing)")
    subjects: list[str | None] = [None] * len(ids)
    if "subject" in rows:
        subjects = [str(s) or None for s in rows["subject"]]
    labels = rows["label"].tolist()
    if "" in labels:
        raise DataError(f"{index}: {ids[labels.index('')]} has no label")
    return _Table(
        ids,
        labels,
        rows["split"].tolist(),
        subjects,
        tuple(sorted(set(labels))),
        _layout(path.name, _num_joints(path / ids[0]), _spec(path / "layout.json")),
    )


def _array(file: Path) -> NDArray[Any]:
    try:
        return np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{file}: cannot be read as .npy without pickles: {error}") from error


def _num_joints(file: Path) -> int:
    shape = _array(file).shape
    if len(shape) != 3:
        raise DataError(f"{file}: shape {shape} is not (frames, joints, 2 or 3)")
    return shape[1]


def _spec(file: Path) -> dict[str, Any]:
    """Read a layout.json, which may be absent but not wrong."""
    if not file.is_file():
        return {}
    try:
        spec = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{file}: is no JSON: {error}") from error
    known = ["joints", "edges", "groups", "mirror"]
    strange = [k for k in spec if k not in known] if isinstance(spec, dict) else ["no mapping"]
    if strange:
        raise DataError(
            f"{file}: unknown {strange[0]!r}{suggest(strange[0], known)} (takes {', '.join(known)})"
        )
    return spec


def _layout(name: str, num_joints: int, spec: Mapping[str, Any]) -> SkeletonLayout:
    joints = tuple(spec.get("joints") or (f"joint{n}" for n in range(num_joints)))
    return SkeletonLayout(
        name=name,
        joints=joints,
        edges=tuple((int(a), int(b)) for a, b in spec.get("edges", ())),
        groups={key: tuple(joints) for key, joints in spec.get("groups", {}).items()},
        mirror=tuple(spec.get("mirror") or partners(joints)),
    )

"""The skeletons of iMiGUE: converted once to `.npy`, and masked where nothing was measured.

Decided here: the 411 numbers of a row of xlsx are 137 times x, y, confidence in the order of
`openpose_137`, left hand before right (which the release does not state); a point whose confidence
or whose x and y are zero was not measured, and is masked before anything else sees it. The first
number of a row of MiGA's light CSV counts its frame.
"""

from __future__ import annotations

import functools
import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from emoframe.core.errors import DataError
from emoframe.learning.datasets.imigue_files import Tree
from emoframe.learning.datasets.imigue_tables import BROKEN, find_width, read_table, unreadable
from emoframe.perception.video import video_hash
from emoframe.records import Keypoints
from emoframe.skeleton import OPENPOSE_137, SkeletonLayout, partners

Form = Literal["openpose_137", "light_35"]
CONVERTED = "emoframe_npy"
EMPTY_IN_RELEASE = frozenset({347, 348})
_FINGERS = tuple(f"{side}_finger_{n}" for side in ("right", "left") for n in range(1, 6))
_LIGHT_JOINTS = (*OPENPOSE_137.joints[:25], *_FINGERS)

LIGHT_35 = SkeletonLayout(
    name="imigue_light_35",
    joints=_LIGHT_JOINTS,
    edges=tuple((a, b) for a, b in OPENPOSE_137.edges if a < 25 and b < 25)
    + tuple((wrist, first + n) for wrist, first in ((4, 25), (7, 30)) for n in range(5)),
    groups={"body": tuple(range(25)), "hands": tuple(range(25, 35))},
    mirror=partners(_LIGHT_JOINTS),
)
"""BODY_25 and five finger points of each hand, right before left, as MiGA's light CSV has them.

Which five of a hand's points they are is not published; each is joined to its wrist.
"""

LAYOUTS: Mapping[Form, SkeletonLayout] = {"openpose_137": OPENPOSE_137, "light_35": LIGHT_35}


class Skeletons:
    """The skeletons of a copy of iMiGUE in one of their two forms.

    Args:
        tree: Where the files lie.
        form: `openpose_137` (xlsx) or `light_35` (MiGA's CSV).
        folder: Where converted ones lie.
    """

    def __init__(self, tree: Tree, form: Form, folder: Path) -> None:
        self.form: Form = form
        self.folder = folder / form
        self.sources = tree.xlsx if form == "openpose_137" else tree.light
        self.layout = LAYOUTS[form]
        self.index = 0 if form == "openpose_137" else 1
        """Columns before the first joint."""

    @property
    def width(self) -> int:
        """Numbers per frame."""
        return self.index + 3 * self.layout.num_joints

    @functools.cached_property
    def ids(self) -> set[int]:
        """Ids of the videos of which there is a skeleton, converted or not."""
        names = [path.stem for path in self.folder.glob("[0-9]*.npy")]
        return {*self.sources, *(int(name) for name in names if name.isdecimal())}

    @property
    def unconverted(self) -> set[int]:
        """Ids of the videos whose skeletons are read from xlsx."""
        files = {video: self.file(video) for video in self.sources}
        return {video for video, file in files.items() if file and file.suffix.lower() == ".xlsx"}

    def npy(self, video: int) -> Path:
        """Return the place of a converted skeleton."""
        return self.folder / f"{video:04d}.npy"

    def origin_file(self, video: int) -> Path:
        """Return the place of what a converted skeleton was made of, and of its hash."""
        return self.folder / f"{video:04d}.origin"

    def origin(self, video: int) -> str:
        """Return the fingerprint of the source of a converted skeleton.

        Returns:
            Empty where none was noted, or the skeleton is not the one that was written then.
        """
        npy, noted = self.npy(video), self.origin_file(video)
        if not noted.is_file() or npy.stat().st_size == 0:
            return ""
        source, *written = noted.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
        return source if written == [video_hash(npy)] else ""

    def is_changed(self, video: int) -> bool:
        """Whether a converted skeleton is another than the one whose origin was noted."""
        return self.origin_file(video).is_file() and not self.origin(video)

    def file(self, video: int) -> Path | None:
        """Return the file to read: the converted one unless its source is newer, None if none."""
        source, npy = self.sources.get(video), self.npy(video)
        if not npy.is_file():
            return source
        stale = source is not None and source.stat().st_mtime_ns > npy.stat().st_mtime_ns
        return source if stale else npy

    def find_width(self, video: int) -> int | None:
        """Return the number of columns, and read no more than the first rows for it.

        Returns:
            None where the file holds no frame, as the xlsx of videos 347 and 348.

        Raises:
            DataError: The file is absent or cannot be read.
            ComponentError: It is an xlsx, and openpyxl is not installed.
        """
        path = self._need(video)
        if path.suffix != ".npy":
            return find_width(path, self.width)
        table = self.table(video)
        return table.shape[1] if len(table) else None

    def table(self, video: int) -> NDArray[np.float32]:
        """Return all numbers, (T, 411) or (T, 106); NaN where a cell is empty.

        A converted file is not read but mapped into memory.

        Raises:
            DataError: The file is absent, cannot be read, or has another width.
            ComponentError: It is an xlsx, and openpyxl is not installed.
        """
        path = self._need(video)
        if path.suffix != ".npy":
            return read_table(path, self.width)
        try:
            table = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{path}: cannot be read; delete it and convert again") from error
        if table.ndim != 2 or table.shape[1] != self.width:
            raise DataError(
                f"{path}: has shape {table.shape}, not (frames, {self.width}); delete it and "
                "convert again"
            )
        return table

    def keypoints(
        self, video: int, fps: float, first: int = 0, last: int | None = None
    ) -> Keypoints:
        """Return the keypoints of a video, or of its frames `first` to `last`, both included.

        Raises:
            DataError: As `table`; or there is no such frame, or the frame numbers do not rise.
        """
        table = self.table(video)
        rows = np.asarray(table[first : None if last is None else last + 1], np.float32)
        if len(rows) == 0:
            raise DataError(
                f"video {video:04d}: {self._need(video)} holds {len(table)} frames of keypoints, "
                f"none from frame {first} on"
            )
        number = rows[:, 0] if self.index else np.arange(first, first + len(rows))
        if not np.all(np.diff(number) > 0):
            raise DataError(f"{self._need(video)}: the frame numbers of column 0 do not rise")
        point = rows[:, self.index :].reshape(len(rows), -1, 3)
        xy, confidence = point[..., :2].copy(), np.nan_to_num(point[..., 2])
        valid = np.isfinite(point).all(-1) & (confidence > 0) & (xy != 0).any(-1)
        xy[~valid] = np.nan
        confidence = np.where(valid, confidence.clip(0, 1), 0).astype(np.float32)
        return Keypoints(xy, confidence, valid, number.astype(float) / fps, self.layout.name)

    def fingerprint(self, video: int) -> str:
        """Return what tells the content that is read from another.

        The same before and after a conversion, and after the source is gone: what a converted file
        was made of is noted beside it, with its hash.
        """
        path = self._need(video)
        if path.suffix != ".npy":
            return fingerprint(path)
        return self.origin(video) or f"npy {video_hash(path)}"

    def _need(self, video: int) -> Path:
        path = self.file(video)
        if path is None:
            raise DataError(f"video {video:04d}: there is no {self.form} skeleton of it")
        return path


def fingerprint(source: Path) -> str:
    """Return what tells the content of an xlsx or CSV from another.

    An xlsx keeps a checksum of its content in its directory, so that no gigabytes are read.

    Raises:
        DataError: It is damaged.
    """
    if source.stat().st_size == 0:
        return "empty"
    if source.suffix.lower() != ".xlsx":
        return video_hash(source)
    try:
        with zipfile.ZipFile(source) as file:
            content = " ".join(f"{i.filename}:{i.CRC:08x}" for i in file.infolist())
    except BROKEN as error:
        raise unreadable(source, error) from error
    return hashlib.sha256(content.encode()).hexdigest()

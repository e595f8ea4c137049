"""The skeletons of iMiGUE: converted once to `.npy`, and masked where nothing was measured.

Decided here: the 411 numbers of a row of xlsx are 137 times x, y, confidence in the order of
`openpose_137`, left hand before right (which the release does not state); a point whose confidence
or whose x and y are zero was not measured, and is masked before anything else sees it. The first
number of a row of MiGA's light CSV counts its frame.
"""

from __future__ import annotations

import multiprocessing
import os
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from emoframe.core.errors import DataError
from emoframe.core.files import replacing
from emoframe.learning.datasets.imigue_files import Tree, find_files
from emoframe.learning.datasets.imigue_tables import BROKEN, find_width, read_table, unreadable
from emoframe.perception.video import video_hash
from emoframe.records import Keypoints
from emoframe.skeleton import OPENPOSE_137, SkeletonLayout, partners

Form = Literal["openpose_137", "light_35"]
CONVERTED = "emoframe_npy"
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


@dataclass(frozen=True)
class Conversion:
    """What became of one skeleton file.

    Attributes:
        video: Id of its video.
        state: `done` now, `kept` from before, or `failed`.
        detail: Number of frames, or why it failed.
    """

    video: int
    state: Literal["done", "kept", "failed"]
    detail: str


class Skeletons:
    """The skeletons of a copy of iMiGUE in one of their two forms.

    Args:
        tree: Where the files lie.
        form: `openpose_137` (xlsx) or `light_35` (MiGA's CSV).
        folder: Where converted ones lie.
    """

    def __init__(self, tree: Tree, form: Form, folder: Path) -> None:
        self.form, self.folder = form, folder / form
        self.sources = tree.xlsx if form == "openpose_137" else tree.light
        self.layout = OPENPOSE_137 if form == "openpose_137" else LIGHT_35
        self.index = 0 if form == "openpose_137" else 1
        """Columns before the first joint."""

    @property
    def width(self) -> int:
        """Numbers per frame."""
        return self.index + 3 * self.layout.num_joints

    def file(self, video: int) -> Path | None:
        """Return the file to read: the converted one unless its source is newer, None if none."""
        source, npy = self.sources.get(video), self.folder / f"{video:04d}.npy"
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
        """Return what tells this content from another, the same before and after a conversion.

        An xlsx keeps a checksum of its content in its directory, so that no gigabytes are read.
        """
        source = self.sources.get(video)
        if source is not None and source.stat().st_size == 0:
            return "empty"
        if source is None or source.suffix != ".xlsx":
            return video_hash(source or self._need(video))
        try:
            with zipfile.ZipFile(source) as file:
                return " ".join(f"{i.filename}:{i.CRC:08x}" for i in file.infolist())
        except BROKEN as error:
            raise unreadable(source, error) from error

    def _need(self, video: int) -> Path:
        path = self.file(video)
        if path is None:
            raise DataError(f"video {video:04d}: there is no {self.form} skeleton of it")
        return path


def convert(
    root: Path,
    target: Path | None = None,
    form: Form = "openpose_137",
    each: Callable[[Conversion], object] | None = None,
    workers: int = 1,
) -> list[Conversion]:
    """Read each skeleton file once and write it as `.npy`, float32 (T, 411) or (T, 106).

    What was converted before and is newer than its source is kept, so a killed conversion resumes;
    a file is there whole or not at all. A file that cannot be read does not stop the others. An
    xlsx of six minutes takes about half a minute of one core.

    Args:
        root: Folder of the release.
        target: Folder to write to; null for `emoframe_npy` in the release.
        form: Which skeletons.
        each: Called with what became of each file, in the order of the ids.
        workers: Number of processes.

    Raises:
        DataError: There is no such folder, no skeleton in it, `target` cannot be written, or a
            worker died.
        ComponentError: The files are xlsx, and openpyxl is not installed.
    """
    skeletons = Skeletons(find_files(root), form, target or root / CONVERTED)
    if not skeletons.sources:
        raise DataError(f"{root}: holds no {form} skeletons to convert")
    found: list[Conversion] = []
    for one in _conversions(skeletons, workers):
        found.append(one)
        if each:
            each(one)
    return found


def _conversions(skeletons: Skeletons, workers: int) -> Iterator[Conversion]:
    """Convert each file here, or in processes where more than one is asked for."""
    videos, task = sorted(skeletons.sources), partial(_convert, skeletons)
    if workers <= 1:
        yield from map(task, videos)
        return
    try:
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
            yield from pool.map(task, videos)
    except BrokenProcessPool as error:
        raise DataError(
            f"{skeletons.folder}: a worker of the conversion died, perhaps for want of memory; run "
            "it again with fewer, what is converted is kept"
        ) from error


def _convert(skeletons: Skeletons, video: int) -> Conversion:
    npy = skeletons.folder / f"{video:04d}.npy"
    kept = skeletons.file(video) == npy
    try:
        table = skeletons.table(video)
    except DataError as error:
        return Conversion(video, "failed", str(error))
    if not kept:
        try:
            skeletons.folder.mkdir(parents=True, exist_ok=True)
            with replacing(npy) as partial, partial.open("wb") as file:
                np.save(file, table, allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise DataError(f"{npy}: cannot be written ({error.strerror})") from error
    return Conversion(video, "kept" if kept else "done", f"{len(table)} frames")

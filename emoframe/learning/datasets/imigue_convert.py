"""Reading each slow skeleton file of iMiGUE once, and keeping it as numbers.

Decided here: beside each `.npy` lies an `.origin` with the fingerprint of its source and its own
hash, so that data is known to be the same after the source is gone, and known to be other after the
numbers changed. It is written last: a conversion that was killed before is done again.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from emoframe.core.errors import DataError
from emoframe.core.files import replacing, write_text
from emoframe.learning.datasets.imigue_files import find_files
from emoframe.learning.datasets.imigue_skeletons import CONVERTED, Form, Skeletons, fingerprint
from emoframe.learning.datasets.imigue_tables import read_table
from emoframe.perception.video import video_hash


@dataclass(frozen=True)
class Conversion:
    """What became of one skeleton file.

    Attributes:
        form: Which skeletons it is of.
        video: Id of its video.
        state: `done` now, `kept` from before, or `failed`.
        detail: Number of frames, or why it failed.
    """

    form: Form
    video: int
    state: Literal["done", "kept", "failed"]
    detail: str


def convertible(root: Path, target: Path | None = None) -> list[Skeletons]:
    """Return the skeletons of a copy, in each form of which there are any.

    Raises:
        DataError: There is no such folder, or no skeleton in it.
    """
    tree, folder = find_files(root), target or root / CONVERTED
    found = [one for form in get_args(Form) if (one := Skeletons(tree, form, folder)).ids]
    if not found:
        raise DataError(f"{root}: holds no skeletons to convert, neither xlsx nor light CSV")
    return found


def convert(
    root: Path,
    target: Path | None = None,
    each: Callable[[Conversion], object] | None = None,
    workers: int = 1,
) -> list[Conversion]:
    """Read each skeleton file once and write it as `.npy`, float32 (T, 411) or (T, 106).

    What was converted before and is newer than its source is kept, so a killed conversion resumes;
    a file is there whole or not at all. A file that cannot be read does not stop the others. An
    xlsx of six minutes takes about half a minute of one core. Where the sources are gone, what was
    made of them is kept.

    Args:
        root: Folder of the release.
        target: Folder to write to; null for `emoframe_npy` in the release.
        each: Called with what became of each file, form by form, in the order of the ids.
        workers: Number of processes.

    Raises:
        DataError: There is no such folder, no skeleton in it, `target` cannot be written, or a
            worker died.
        ComponentError: The files are xlsx, and openpyxl is not installed.
    """
    found: list[Conversion] = []
    for skeletons in convertible(root, target):
        for one in _conversions(skeletons, workers):
            found.append(one)
            if each:
                each(one)
    return found


def _conversions(skeletons: Skeletons, workers: int) -> Iterator[Conversion]:
    """Convert each file here, or in processes where more than one is asked for."""
    videos, task = sorted(skeletons.ids), partial(_convert, skeletons)
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
    source = skeletons.sources.get(video)
    try:
        newest = skeletons.file(video) == skeletons.npy(video)
        if source is None or (newest and skeletons.origin(video)):
            return Conversion(
                skeletons.form, video, "kept", f"{len(skeletons.table(video))} frames"
            )
        origin = fingerprint(source)
        table = read_table(source, skeletons.width)
    except DataError as error:
        return Conversion(skeletons.form, video, "failed", str(error))
    npy = skeletons.npy(video)
    try:
        skeletons.folder.mkdir(parents=True, exist_ok=True)
        with replacing(npy) as partial, partial.open("wb") as file:
            np.save(file, table, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        write_text(skeletons.origin_file(video), f"{origin}\n{video_hash(npy)}\n")
    except OSError as error:
        raise DataError(f"{npy}: cannot be written ({error.strerror})") from error
    return Conversion(skeletons.form, video, "done", f"{len(table)} frames")

"""An npz file of sequences with labels, read once and without pickles."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from emoframe.core.errors import DataError

Arrays = Mapping[str, NDArray[Any]]


def read_npz(path: Path, needed: Sequence[str], shape: Sequence[str]) -> Arrays:
    """Read an npz, once as long as the file stays as it is.

    Args:
        path: The file.
        needed: Names of the arrays that it must hold.
        shape: What each axis of `x` is.

    Raises:
        DataError: It cannot be read, lacks something, or its arrays do not fit one another.
    """
    stat = path.stat()
    return _read(path.resolve(), tuple(needed), tuple(shape), stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=2)
def _read(path: Path, needed: tuple[str, ...], shape: tuple[str, ...], *state: int) -> Arrays:
    del state  # size and time of change are the cache's business
    try:
        with np.load(path, allow_pickle=False) as file:
            data = {key: file[key] for key in file.files}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise DataError(
            f"{path}: cannot be read as an npz file without pickles: {error}"
        ) from error
    lacking = [key for key in needed if key not in data]
    if lacking:
        raise DataError(f"{path}: lacks {', '.join(lacking)}; it has {', '.join(data)}")
    x = data["x"]
    for key in ("y", "split", "length", "subject"):
        if key in data and len(data[key]) != len(x):
            raise DataError(f"{path}: {key!r} has {len(data[key])} rows and x has {len(x)}")
    if x.ndim != len(shape):
        raise DataError(f"{path}: x has shape {x.shape}, not ({', '.join(shape)})")
    length = data.get("length", np.array([1]))
    if length.min() < 1 or length.max() > x.shape[1]:
        raise DataError(f"{path}: length must lie between 1 and the {x.shape[1]} frames")
    return data


def labels_of(path: Path, data: Arrays) -> tuple[list[str], tuple[str, ...]]:
    """Return the label of each item and the names of the classes.

    Raises:
        DataError: An item has none, or one that is no class.
    """
    y = data["y"]
    text = [str(label) for label in y] if y.ndim == 1 else []
    unknown = [n for n, label in enumerate(text) if label in ("", "nan", "None")]
    if not text or unknown:
        what = f"item {unknown[0]} has no label" if unknown else "y must hold one label per item"
        raise DataError(f"{path}: {what}")
    if "class_names" not in data:
        return text, tuple(map(str, sorted(set(y.tolist()))))
    classes = tuple(map(str, data["class_names"]))
    if not np.issubdtype(y.dtype, np.integer):
        raise DataError(f"{path}: with class_names, y must hold their indices, whole numbers")
    outside = [label for label in y.tolist() if not 0 <= label < len(classes)]
    if outside:
        raise DataError(
            f"{path}: label {outside[0]} is outside the classes 0 to {len(classes) - 1}"
        )
    return [classes[int(label)] for label in y], classes


def subjects_of(data: Arrays) -> list[str | None]:
    """Return who each item shows; None where that is not known."""
    if "subject" not in data:
        return [None] * len(data["x"])
    return [None if str(one) in ("", "nan") else str(one) for one in data["subject"]]


def ids_of(path: Path, data: Arrays) -> list[str]:
    """Return the id of each item: the file's name and its row."""
    return [f"{path.stem}-{n:05d}" for n in range(len(data["x"]))]

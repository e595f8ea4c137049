"""Skeletons as pyskl hands them on, one pickle, turned into an npz of the data set `sequences`.

Why not `pickle.load`: a pickle names the functions that rebuild it, and they run. Here only those
are found that rebuild numpy's arrays and plain containers; still nothing is read before its user
has said that its origin is trusted, because numpy itself does not promise to survive any bytes.

Decided here: of several people the one with the largest sum of confidence is kept; a joint whose
confidence, or whose every coordinate, is zero was not measured; confidence goes no further.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoframe.core.errors import DataError
from emoframe.core.files import replacing

HARMLESS = frozenset(
    {
        *((f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")),
        *((f"numpy.{core}.multiarray", "scalar") for core in ("core", "_core")),
        *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
        *(("numpy", name) for name in ("ndarray", "dtype")),
        *(("_codecs", "encode"), ("collections", "OrderedDict")),
        *(
            (builtins, name)
            for builtins in ("builtins", "__builtin__")
            for name in ("set", "frozenset")
        ),
    }
)
"""All that a pickle of arrays and plain containers has to name, by module and name."""
BROKEN = (
    *(pickle.UnpicklingError, EOFError, OSError, AttributeError, ImportError, LookupError),
    *(ValueError, TypeError, ArithmeticError, MemoryError, RecursionError),
)


@dataclass(frozen=True)
class Pickled:
    """What was made of a pickle.

    Attributes:
        train: Number of training items.
        test: Number of test items.
        left_out: Number of items that the two splits do not name.
        crowded: Number of items with several people, of whom one was kept.
    """

    train: int
    test: int
    left_out: int
    crowded: int


class _Plain(pickle.Unpickler):
    """Finds what is harmless and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in HARMLESS:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no array needs")
        return OrderedDict if name == "OrderedDict" else super().find_class(module, name)


def convert_pickle(
    path: Path, target: Path, splits: tuple[str, str] | None = None, *, unsafe: bool = False
) -> Pickled:
    """Turn a pickle of pyskl into an npz that the data set `sequences` reads.

    Args:
        path: A pickle of `{annotations: [{frame_dir, keypoint (M, T, V, 2 or 3), keypoint_score
            (M, T, V), label, total_frames}], split: {name: [frame_dir]}}`.
        target: The npz to write.
        splits: Names of its splits that are train and test; None where there are but two.
        unsafe: Whether its user trusts its origin.

    Raises:
        DataError: That was not said, it names code, is damaged, or is not of pyskl's form; or
            `target` cannot be written.
    """
    if not unsafe:
        raise DataError(
            f"{path}: a pickle may run any code when it is read; only where you trust who made it, "
            "say so with --unsafe"
        )
    if target.suffix != ".npz":
        raise DataError(f"{target}: name a file that ends in .npz")
    whole = read_pickle(path)
    items = _annotations(path, whole)
    named = _splits(path, whole["split"], splits)
    lost = [name for ids in named.values() for name in ids if name not in items]
    if lost:
        raise DataError(f"{path}: a split names {lost[0]!r}, which is no annotation")
    wanted = {name: split for split, ids in named.items() for name in ids}
    x, length, crowded = _stack(path, {name: items[name] for name in wanted})
    columns = {
        "x": x, "length": length, "y": _labels(path, [items[name] for name in wanted]),
        "split": np.array(list(wanted.values())), "name": np.array(list(wanted)),
    }  # fmt: skip
    try:
        with replacing(target) as partial, partial.open("wb") as file:
            np.savez_compressed(file, **columns)
    except OSError as error:
        raise DataError(f"{target}: cannot be written ({error.strerror})") from error
    left_out = len(items) - len(wanted)
    return Pickled(len(named["train"]), len(named["test"]), left_out, crowded)


def read_pickle(path: Path) -> Any:
    """Read a pickle of arrays and plain containers, and run nothing that it names besides.

    Raises:
        DataError: It names something else, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            return _Plain(file).load()
    except BROKEN as error:
        raise DataError(f"{path}: cannot be read as a pickle of arrays ({error})") from error


def _annotations(path: Path, whole: Any) -> dict[str, Mapping[str, Any]]:
    """Return the annotations by `frame_dir`."""
    keys = ("annotations", "split")
    lacking = [key for key in keys if not isinstance(whole, dict) or key not in whole]
    if lacking or not isinstance(whole["annotations"], Sequence):
        raise DataError(f"{path}: is not of pyskl's form, a mapping with annotations and split")
    found: dict[str, Mapping[str, Any]] = {}
    for number, one in enumerate(whole["annotations"]):
        wanted = ("frame_dir", "keypoint", "label")
        lacking = [key for key in wanted if not isinstance(one, dict) or key not in one]
        if lacking:
            raise DataError(f"{path}: annotation {number} lacks {', '.join(lacking)}")
        if found.setdefault(str(one["frame_dir"]), one) is not one:
            raise DataError(f"{path}: {one['frame_dir']!r} is there twice")
    return found


def _splits(path: Path, given: Any, chosen: tuple[str, str] | None) -> dict[str, list[str]]:
    """Return the ids of train and of test."""
    names = [str(name) for name in given] if isinstance(given, dict) else []
    train, test = chosen or ("", "")
    if chosen is None and len(names) == 2:
        train = next((name for name in names if name.endswith("train")), "")
        test = next((name for name in names if name.endswith(("test", "val"))), "")
    if train not in names or test not in names or train == test:
        raise DataError(
            f"{path}: which of its splits {', '.join(names) or '(it has none)'} are train and "
            "test? say --splits TRAIN,TEST"
        )
    ids = {"train": [str(i) for i in given[train]], "test": [str(i) for i in given[test]]}
    both = {*ids["train"]} & {*ids["test"]}
    every = [*ids["train"], *ids["test"]]
    if both or len(set(every)) != len(every):
        raise DataError(f"{path}: an item is in {train!r} and {test!r}, or twice in one of them")
    return ids


def _labels(path: Path, items: Sequence[Mapping[str, Any]]) -> NDArray[Any]:
    labels = np.array([item["label"] for item in items])
    if labels.ndim != 1 or labels.dtype.kind not in "iuU":
        raise DataError(f"{path}: a label is neither a whole number nor a name")
    return labels


def _stack(
    path: Path, items: Mapping[str, Mapping[str, Any]]
) -> tuple[NDArray[np.float32], NDArray[np.int64], int]:
    """Return x (items, frames, joints, 2 or 3), the lengths, and how many show several people."""
    people = [_person(path, name, item) for name, item in items.items()]
    shapes = {one.shape[1:] for one, _ in people}
    if len(shapes) != 1:
        raise DataError(f"{path}: its items have different joints or coordinates: {shapes or '-'}")
    length = np.array([len(one) for one, _ in people])
    x = np.full((len(people), length.max(), *shapes.pop()), np.nan, np.float32)
    for row, (one, _) in zip(x, people, strict=True):
        row[: len(one)] = one
    return x, length, sum(several for _, several in people)


def _person(path: Path, name: str, item: Mapping[str, Any]) -> tuple[NDArray[np.float32], bool]:
    """Return the keypoints of the one who is seen best, (T, V, 2 or 3), and whether others are."""
    try:
        point = np.array(item["keypoint"], np.float32)
        given = item.get("keypoint_score")
        score = np.ones(point.shape[:-1]) if given is None else np.array(given, np.float32)
    except (ValueError, TypeError) as error:
        raise DataError(f"{path}, {name}: its keypoints are no numbers ({error})") from error
    frames = item.get("total_frames", point.shape[1] if point.ndim == 4 else 0)
    if point.ndim != 4 or point.shape[-1] not in (2, 3) or 0 in point.shape:
        raise DataError(f"{path}, {name}: keypoint {point.shape} is not (M, T, V, 2 or 3)")
    if score.shape != point.shape[:-1] or frames != point.shape[1]:
        raise DataError(
            f"{path}, {name}: keypoint {point.shape}, keypoint_score {score.shape} and "
            f"total_frames {frames} contradict one another"
        )
    seen = np.isfinite(point).all(-1) & (point != 0).any(-1) & (score > 0)
    point[~seen] = np.nan
    weight = np.where(seen, score, 0).sum((1, 2))
    return point[weight.argmax()], bool((weight > 0).sum() > 1)

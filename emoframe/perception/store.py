"""The feature store: what perception found, on disk, complete or not there at all.

Layout: `ROOT/<video hash>/<stage name>-<key>/{shard-00000.safetensors, ..., index.json}`, hash and
key shortened to 16 digits. The key is a hash of everything that the result depends on, so that a
stage is used only where nothing has changed. `index.json` is written last and by renaming: a stage
exists exactly where its index exists. A kill leaves at most a folder without one, which the next
run replaces. Shards hold at most `SHARD_FRAMES` frames, and safetensors cannot hold code.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from emoframe.core.errors import DataError, EmoframeError
from emoframe.core.files import replacing
from emoframe.perception.index import (
    FORMAT,
    INDEX,
    LOCK,
    SHORT,
    Index,
    Shard,
    Status,
    damaged,
    read_index,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]

SHARD_FRAMES = 2048


class StoreError(EmoframeError):
    """A store that cannot be written: nothing after it would be kept, so that work stops here."""


@dataclass(frozen=True)
class Store:
    """A folder of finished stages.

    Attributes:
        root: The folder; it is made when something is first written.
    """

    root: Path

    def stage(self, video_hash: str, name: str, key: str) -> Stage:
        """Return one stage of one video, finished or not."""
        return Stage(self.root / video_hash[:SHORT] / f"{name}-{key[:SHORT]}", name, key)

    @contextmanager
    def lock(self, video_hash: str) -> Iterator[None]:
        """Wait until no other process works at this video, then keep the others waiting.

        The operating system frees the lock of a killed process.

        Raises:
            StoreError: The store cannot be written.
        """
        folder = self.root / video_hash[:SHORT]
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            file = (folder / LOCK).open("w")
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


@dataclass(frozen=True)
class Stage:
    """What one stage found in one video.

    Attributes:
        folder: Where it is stored.
        name: Name of the part that made it.
        key: Full key, see `emoframe.perception.stages.StageKey`.
    """

    folder: Path
    name: str
    key: str

    @cached_property
    def _index(self) -> Index | None:
        """What the index says, read once; None where there is none."""
        index = read_index(self.folder)
        if index and index.key != self.key:
            raise damaged(self.folder, f"its {INDEX} belongs to something else")
        return index

    def exists(self) -> bool:
        """Whether the stage is finished, be it well or as a recorded failure."""
        return self._index is not None

    @property
    def status(self) -> Status | None:
        """How it ended; None where it has not."""
        return self._index.status if self._index else None

    @property
    def reason(self) -> str:
        """Why it failed; empty where it did not."""
        return self._index.reason if self._index else ""

    @property
    def frames(self) -> int:
        """Number of frames stored."""
        return self._index.frames if self._index else 0

    @property
    def meta(self) -> dict[str, Any]:
        """What was written along with the arrays; empty where nothing was."""
        return self._index.meta if self._index else {}

    def write(self, chunks: Iterable[Arrays], meta: Mapping[str, Any]) -> None:
        """Store a stage, whole or not at all; what was there of it is replaced.

        Args:
            chunks: Named arrays of consecutive frames, the frame on the first axis; the same names
                in each chunk, and at least one frame in all.
            meta: Plain data to keep along; read after the last chunk, so that what makes the
                chunks may fill it.

        Raises:
            StoreError: The store cannot be written.
            ValueError: There is not one frame.
            Exception: Whatever `chunks` raises; the stage then does not exist.
        """
        self._clear()
        shards = [
            self._save(number, arrays)
            for number, arrays in enumerate(_rechunk(chunks, SHARD_FRAMES))
        ]
        if not shards:
            raise ValueError(f"{self.name} made no frame at all; a stage holds at least one")
        self._finish("ok", "", shards, meta)

    def fail(self, reason: str, meta: Mapping[str, Any]) -> None:
        """Record that this video has no such stage, and why; no array is kept.

        Raises:
            StoreError: The store cannot be written.
        """
        self._clear()
        self._finish("failed", reason, [], meta)

    def shards(self) -> Iterator[Arrays]:
        """Yield the stored arrays shard by shard, each checked against its hash.

        Raises:
            DataError: The stage is not there or has failed.
            DamagedError: A shard is missing or has changed.
        """
        if self._index is None:
            raise DataError(f"{self.folder}: there is no such stage; run emoframe extract first")
        if self.status == "failed":
            raise DataError(f"{self.folder}: the stage failed: {self.reason}")
        for shard in self._index.shards:
            yield self._load(shard)

    def read(self) -> Arrays:
        """Return all stored arrays, the frame on the first axis.

        Raises:
            DataError: The stage is not there or has failed.
            DamagedError: A shard is missing or has changed.
        """
        shards = list(self.shards())
        return {name: np.concatenate([s[name] for s in shards]) for name in shards[0]}

    def _clear(self) -> None:
        clear(self.folder)
        self.__dict__.pop("_index", None)

    def _save(self, number: int, arrays: Arrays) -> Shard:
        """Write one shard and return its line in the index."""
        content = save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
        file = self.folder / f"shard-{number:05d}.safetensors"
        with writing(file), replacing(file) as partial:
            partial.write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        return Shard(file.name, _frames(arrays), len(content), sha256)

    def _finish(
        self, status: Status, reason: str, shards: list[Shard], meta: Mapping[str, Any]
    ) -> None:
        index = Index(FORMAT, self.name, self.key, status, reason, shards, dict(meta))
        finish(self.folder, json.dumps(asdict(index), indent=1).encode())
        self.__dict__.pop("_index", None)

    def _load(self, shard: Shard) -> Arrays:
        file = self.folder / shard.file
        try:
            content = file.read_bytes()
        except OSError as error:
            raise damaged(self.folder, f"{file.name} cannot be read ({error.strerror})") from error
        if hashlib.sha256(content).hexdigest() != shard.sha256:
            sizes = f"{len(content)} bytes, {shard.bytes} were written"
            why = f"{file.name} has changed since it was written ({sizes})"
            raise damaged(self.folder, why)
        try:
            return load(content)
        except SafetensorError as error:
            raise damaged(self.folder, f"{file.name} cannot be read ({error})") from error


def clear(folder: Path) -> None:
    """Make an empty folder for a stage; the index goes first: half of one must not look finished.

    Raises:
        StoreError: The store cannot be written.
    """
    with writing(folder):
        (folder / INDEX).unlink(missing_ok=True)
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)


def finish(folder: Path, index: bytes) -> None:
    """Write the index of a stage, of which all else is written: from now on it is there, durably.

    Raises:
        StoreError: The store cannot be written.
    """
    with writing(folder):
        with replacing(folder / INDEX) as partial:
            partial.write_bytes(index)
        handle = os.open(folder.parent, os.O_RDONLY)  # the name of the folder, too
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def writing(path: Path, what: str = "store") -> Iterator[None]:
    """Turn a full or read-only disk into a sentence.

    Args:
        path: What is written.
        what: What it belongs to.

    Raises:
        StoreError: The block could not write.
    """
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        why = getattr(error, "strerror", None) or error
        raise StoreError(
            f"{path}: the {what} cannot be written ({why}); free space or choose another folder, "
            "then run again: what is finished is kept"
        ) from error


def _rechunk(chunks: Iterable[Arrays], size: int) -> Iterator[Arrays]:
    """Cut a stream of chunks of any length into pieces of `size` frames and a last shorter one."""
    held: list[Arrays] = []
    count = 0
    for chunk in chunks:
        held.append(chunk)
        count += _frames(chunk)
        while count >= size:
            joined = _joined(held)
            yield {name: array[:size] for name, array in joined.items()}
            held = [{name: array[size:] for name, array in joined.items()}]
            count -= size
    if count:
        yield _joined(held)


def _joined(chunks: Sequence[Arrays]) -> Arrays:
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def _frames(arrays: Arrays) -> int:
    return len(next(iter(arrays.values())))

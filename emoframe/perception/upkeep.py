"""Keeping a store in order: is it whole, what does it hold, what can go.

Only an index makes a stage, so a folder without one is what a kill or a full disk leaves behind: it
is told of, and harms nothing. Damage is told of and never mended here, since to delete is the
user's decision. Nothing is touched of a video that a process has locked. The lock of a video stays
even where all its stages go: another process may be waiting for it.
"""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

import numpy as np

from emoframe.core.errors import DataError
from emoframe.core.files import file_hash
from emoframe.perception.entries import Entry, with_reads
from emoframe.perception.index import INDEX, LOCK, SHORT, DamagedError, Index, read_index
from emoframe.perception.inventory import stage_folders, video_folders
from emoframe.perception.ledger import Ledger, check, ledgers
from emoframe.perception.store import StoreError, writing

PARTIAL_AGE_S = 3600.0
"""How long nothing in a folder without an index must have changed before it may go."""
_STATUSES = ("done", "failed", "running", "interrupted")
_NOBODYS = "belongs to no stage; move it elsewhere or delete it"


@dataclass(frozen=True)
class Finding:
    """Something in a store that is not as it should be.

    Attributes:
        path: Where.
        text: What it is, and what to do.
        harmless: Whether the store is whole all the same.
    """

    path: Path
    text: str
    harmless: bool = False

    def __str__(self) -> str:
        """One line, the place first."""
        return f"{self.path}: {self.text}"


@dataclass(frozen=True)
class Garbage:
    """A folder that no longer serves.

    Attributes:
        folder: Where.
        bytes: Its size on disk.
        why: Why it may go.
        state: `found` where nothing was to be deleted; `in use` where a process works at the video.
    """

    folder: Path
    bytes: int
    why: str
    state: Literal["found", "deleted", "in use"]


@dataclass(frozen=True)
class StageStats:
    """What a store holds of one stage with one key.

    Attributes:
        stage: Name of the part; empty for files that are no readable video.
        key: Its key in 16 digits.
        done: Number of videos.
        failed: Number of videos.
        running: Number of videos.
        interrupted: Number of videos.
        frames: Number of frames stored.
        seconds: Time that they took, where a ledger knows.
        frames_per_s: Frames per second of that time; None where it is not known.
        bytes: Size on disk.
        valid: Mean over the videos of the share of frames with something measured, by body part.
    """

    stage: str
    key: str
    done: int
    failed: int
    running: int
    interrupted: int
    frames: int
    seconds: float
    frames_per_s: float | None
    bytes: int
    valid: dict[str, float]


def verify(store_root: Path) -> Iterator[Finding]:
    """Read everything in a store once and yield what is not as it was written.

    Files are read piece by piece, so that memory does not depend on their size.

    Raises:
        DataError: There is no store.
    """
    root = Path(store_root)
    videos, books = video_folders(root), ledgers(root)
    for file in books:
        try:
            check(file)
        except DataError as error:
            yield Finding(file, _reason(file, error))
    own = {*videos, *books, *(book.with_name(f"{book.name}-journal") for book in books)}
    for path in sorted({*root.iterdir()} - own):
        aside = ".db.damaged" in path.name
        text = "a ledger that was put aside; delete it" if aside else _NOBODYS
        yield Finding(path, text, harmless=aside)
    for video in videos:
        with _held(video) as free:
            if free:
                yield from _verify_video(video)
            else:
                yield Finding(video, "a process works here; verify again later", harmless=True)


def stats(store_root: Path, entries: Sequence[Entry]) -> list[StageStats]:
    """Sum a store up by stage and key.

    Args:
        store_root: Folder of the store.
        entries: `emoframe.perception.entries.entries` of it.
    """
    root = Path(store_root)
    # several items may be the same video
    once = {(e.stage, e.key[:SHORT], e.video_hash or (e.dataset, e.id)): e for e in entries}
    ordered = sorted(once.items(), key=lambda pair: pair[0][:2])
    sums = groupby(ordered, key=lambda pair: pair[0][:2])
    return [_sum(root, *name, [entry for _, entry in group]) for name, group in sums]


def gc(store_root: Path, keep: Collection[str], delete: bool = False) -> list[Garbage]:
    """Find, or delete, the stages of other settings and what killed processes left behind.

    Args:
        store_root: Folder of the store.
        keep: Keys of the stages that stay, or what they begin with; what they were made of stays.
        delete: Whether they go; otherwise nothing is changed.

    Raises:
        DataError: There is no store, or `keep` names nothing.
        StoreError: The store cannot be written.
    """
    root = Path(store_root)
    if not any(keep):
        raise DataError(f"{root}: nothing is to be kept; name a config with --keep")
    kept = tuple(key[:SHORT] for key in with_reads(root, keep))
    found = [one for video in video_folders(root) for one in _collect(video, kept, delete)]
    if deleted := [one.folder for one in found if one.state == "deleted"]:
        with Ledger(root) as ledger:
            for folder in deleted:
                name, _, key = folder.name.rpartition("-")
                ledger.forget(folder.parent.name, name, key)
    return found


def _collect(video: Path, kept: tuple[str, ...], delete: bool) -> Iterator[Garbage]:
    """Find, or delete, the garbage of one video."""
    garbage = [(folder, why) for folder in stage_folders(video) if (why := _why(folder, kept))]
    if not garbage:
        return
    if delete:
        _make_lock(video)
    with _held(video) as free:
        state = "in use" if not free else "deleted" if delete else "found"
        for folder, why in garbage:
            size = _size(folder)
            if state == "deleted":
                _delete(folder)
            yield Garbage(folder, size, why, state)


def _verify_video(video: Path) -> Iterator[Finding]:
    folders = stage_folders(video)
    for path in sorted({*video.iterdir()} - {*folders, video / LOCK}):
        yield Finding(path, _NOBODYS)
    for folder in folders:
        try:
            index = read_index(folder)
        except DamagedError as error:
            yield Finding(folder, _reason(folder, error))
            continue
        if index is None:
            text = "was left unfinished and counts for nothing; extract again, or emoframe store gc"
            yield Finding(folder, text, harmless=True)
        else:
            yield from _verify_stage(folder, index)


def _verify_stage(folder: Path, index: Index) -> Iterator[Finding]:
    """Hold every file of a finished stage to its index."""
    for path in sorted({*folder.iterdir()} - {folder / shard.file for shard in index.shards}):
        if path.name != INDEX:
            yield Finding(path, _NOBODYS)
    for shard in index.shards:
        try:
            changed = file_hash(folder / shard.file, fresh=True) != shard.sha256
            why = "has changed since it was written" if changed else ""
        except OSError as error:
            why = f"cannot be read ({error.strerror})"
        if why:
            yield Finding(folder, f"{shard.file} {why}; delete this folder and extract again")


def _reason(path: Path, error: DataError) -> str:
    """Return a message without the path that it begins with."""
    return str(error).removeprefix(f"{path}: ")


@contextmanager
def _held(video: Path) -> Iterator[bool]:
    """Keep others off a video for the block, unless one works at it, which is told by False."""
    lock = video / LOCK
    if not lock.is_file():  # nobody has ever worked here, as in a copied store
        yield True
        return
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _make_lock(video: Path) -> None:
    """Have something to hold on to before anything is deleted."""
    with writing(video):
        (video / LOCK).touch()


def _why(folder: Path, kept: tuple[str, ...]) -> str:
    """Say why a folder may go; empty where it stays. A damaged index is `verify`'s to tell."""
    if (folder / INDEX).exists():
        return "" if folder.name.rpartition("-")[2].startswith(kept) else "made with other settings"
    newest = max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
    return "left unfinished" if time.time() - newest > PARTIAL_AGE_S else ""


def _delete(folder: Path) -> None:
    """Delete a stage, its index first: half a folder must not look finished."""
    try:
        (folder / INDEX).unlink(missing_ok=True)
        shutil.rmtree(folder)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be deleted ({error.strerror})") from error


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _sum(root: Path, stage: str, key: str, group: Sequence[Entry]) -> StageStats:
    """Sum the videos of one stage up."""
    count = {status: sum(one.status == status for one in group) for status in _STATUSES}
    done = [one for one in group if one.status == "done"]
    timed = [one for one in done if one.seconds > 0]
    seconds = sum(one.seconds for one in timed)
    parts = dict.fromkeys(part for one in done for part in one.valid)
    folders = (root / one.video_hash[:SHORT] / f"{stage}-{key}" for one in group if stage)
    return StageStats(
        stage=stage,
        key=key,
        **count,
        frames=sum(one.frames for one in done),
        seconds=seconds,
        frames_per_s=sum(one.frames for one in timed) / seconds if timed else None,
        bytes=sum(map(_size, folders)),
        valid={p: float(np.mean([one.valid[p] for one in done if p in one.valid])) for p in parts},
    )

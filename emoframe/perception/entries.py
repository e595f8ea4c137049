"""What became of every stage of every video: the ledgers of a store merged, and held to the disk.

Where they differ the disk is right: a stage is done or failed where its index says so. A ledger
adds who it was, when and how long, what is running, and the failures that no stage was to remember.
"""

from __future__ import annotations

import json
import os
import socket
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from emoframe.core.errors import DataError, suggest
from emoframe.perception.index import INDEX, SHORT, DamagedError, Index
from emoframe.perception.inventory import stages
from emoframe.perception.ledger import GONE, as_text, select
from emoframe.perception.paths import last_name

Status = Literal["running", "done", "failed", "interrupted"]
_RUNNING = "running"


@dataclass(frozen=True)
class Entry:
    """One stage of one item; an item whose file is no readable video has one without a stage.

    Attributes:
        dataset: The data set; empty where no ledger knows the video.
        id: The item in it; empty where no ledger knows the video.
        video: The file, by the name that was used last.
        video_hash: Its hash, in 16 digits where only the disk knows it; empty where it has none.
        stage: Name of the part.
        key: Key of the stage, in 16 digits where its index is damaged.
        status: `interrupted` where the process that ran it is gone.
        reason: Why it failed; empty where it did not.
        seconds: Time that it took; 0 where it is not known.
        frames: Number of frames stored.
        valid: Share of the frames in which something was measured, by part of the body.
        started: When it was begun, in seconds since 1970; None where it is not known.
        finished: When it ended, likewise.
        host: Where it ran; empty where it is not known.
        pid: The process; None where it is not known.
    """

    dataset: str = ""
    id: str = ""
    video: str = ""
    video_hash: str = ""
    stage: str = ""
    key: str = ""
    status: Status = "done"
    reason: str = ""
    seconds: float = 0.0
    frames: int = 0
    valid: Mapping[str, float] = field(default_factory=dict)
    started: float | None = None
    finished: float | None = None
    host: str = ""
    pid: int | None = None


class Known(NamedTuple):
    """What a ledger knows of one item of a data set; without a hash it was refused."""

    dataset: str
    id: str
    video: str
    video_hash: str
    reason: str
    at: float


def entries(store_root: Path) -> list[Entry]:
    """Return every stage of every item, sorted by item and stage.

    Raises:
        DataError: There is no store, or a ledger cannot be read.
    """
    root = Path(store_root)
    works = _works(root)
    found = [_on_disk(folder, index, works) for folder, index in stages(root)]
    found += [replace(work, status=_status_now(work)) for work in works.values() if _tells(work)]
    known = items(root)
    named = [*_named(found, known), *_refused(known)]
    return sorted(named, key=lambda one: (one.dataset, one.id, one.video_hash, one.stage, one.key))


def items(store_root: Path) -> list[Known]:
    """Return every item that a ledger of the store knows, oldest first, each file once."""
    rows = select(store_root, "SELECT * FROM sample")
    newest = {
        (one.dataset, one.id, one.video_hash[:SHORT]): one
        for one in sorted((Known(**row) for row in rows), key=lambda one: one.at)
    }
    return list(newest.values())


def settings_of(store_root: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the name and the full settings of every stage key that a ledger of the store knows."""
    rows = select(store_root, "SELECT * FROM setting")
    return {row["key"]: (row["name"], json.loads(row["content"])) for row in rows}


def with_reads(store_root: Path, keys: Iterable[str]) -> set[str]:
    """Return keys, or what they begin with, and the keys of all that these stages were made of.

    What a stage was made of is the ledger's to know: from a key without settings nothing follows.
    """
    settings = settings_of(store_root)
    found: set[str] = set()
    todo = {*keys}
    while todo:
        start = todo.pop()
        found.add(start)
        for key, (_, content) in settings.items():
            reads = content.get("reads") if key.startswith(start) else None
            if isinstance(reads, list):  # it may come from a bundle, and hold anything
                todo |= {one for one in reads if isinstance(one, str) and one} - found
    return found


def find_hash(store_root: Path, dataset: str, id: str, *, file: str = "") -> str:  # noqa: A002
    """Return the hash of the video that an item of a data set stands for in a store.

    Where its video was replaced, the newest word counts. A refusal counts only where there is no
    video: the file may just not be here, and features come without theirs.

    Args:
        store_root: Folder of the store.
        dataset: Name of the data set.
        id: The item in it.
        file: Name of the video file that is looked for; empty for any. Two data sets may share
            their name and ids.

    Raises:
        DataError: The item is not known, was refused, stands for two videos of which none is newer,
            or for another file.
    """
    root = Path(store_root)
    query = "SELECT * FROM sample WHERE dataset = ? AND id = ?"
    rows = select(root, query, as_text(dataset), as_text(id))
    words = [Known(**row) for row in rows]
    if one := _standing(root, words):
        there, given = last_name(one.video), last_name(as_text(file))
        if given and there != given:
            raise DataError(
                f"{root}: knows {id!r} of data set {dataset!r} as {there!r}, so that the features "
                f"are those of another file than {given!r}; use the store that it was extracted to"
            )
        return one.video_hash
    if words:
        reason = max(words, key=lambda word: word.at).reason
        raise DataError(f"{root}: {id!r} of data set {dataset!r} was refused: {reason}")
    raise DataError(_unknown(root, dataset, id))


def standing(store_root: Path, dataset: str = "") -> list[Known]:
    """Return each item, of one data set or of all, that stands for a video: that of `find_hash`.

    Raises:
        DataError: An item stands for two videos of which none is newer.
    """
    root = Path(store_root)
    by_item = defaultdict[tuple[str, str], list[Known]](list)
    for one in items(root):
        if dataset in {"", one.dataset}:
            by_item[one.dataset, one.id].append(one)
    return [one for words in by_item.values() if (one := _standing(root, words))]


def _standing(root: Path, words: Iterable[Known]) -> Known | None:
    """Return the newest word on one item that names a video; None where none does."""
    videos = sorted((one for one in words if one.video_hash), key=lambda one: one.at)
    newest = {one.video_hash[:SHORT]: one for one in videos if one.at == videos[-1].at}
    if len(newest) > 1:
        with_stages = {v: one for v, one in newest.items() if any(root.glob(f"{v}/*/{INDEX}"))}
        newest = with_stages or newest
    if len(newest) > 1:
        one = videos[-1]
        raise DataError(
            f"{root}: {one.id!r} of data set {one.dataset!r} stands for {len(newest)} different "
            f"videos (folders {', '.join(sorted(newest))}), and no ledger knows which is newer; "
            "delete the folder of the wrong one"
        )
    return next(iter(newest.values()), None)


def _unknown(root: Path, dataset: str, id: str) -> str:  # noqa: A002
    """Say what is known instead."""
    by_dataset = defaultdict[str, list[str]](list)
    for one in items(root):
        by_dataset[one.dataset].append(one.id)
    what, given, known = "data set", dataset, sorted(by_dataset)
    if dataset in by_dataset:
        what, given, known = f"item of data set {dataset!r}", id, sorted(by_dataset[dataset])
    few = ", ".join(known[:8]) + (f" and {len(known) - 8} more" if len(known) > 8 else "")
    return (
        f"{root}: knows no {what} {given!r}{suggest(given, known)} (it knows {few or 'none'}); "
        "run emoframe extract or emoframe store import first"
    )


def _works(root: Path) -> dict[tuple[str, str, str], Entry]:
    """Merge what the ledgers say of each stage: the newest word counts."""
    rows = select(root, "SELECT * FROM work")
    rows.sort(key=lambda row: max(row["started"] or 0.0, row["finished"] or 0.0))
    found = (Entry(**row | {"valid": json.loads(row["valid"])}) for row in rows)
    return {(one.video_hash[:SHORT], one.stage, one.key[:SHORT]): one for one in found}


def _on_disk(
    folder: Path, index: Index | DamagedError, works: dict[tuple[str, str, str], Entry]
) -> Entry:
    """Say what the disk says of a stage, and take what the ledgers add to it out of `works`."""
    name, _, key = folder.name.rpartition("-")
    video = folder.parent.name
    work = works.pop((video, name, key), Entry(video_hash=video, stage=name, key=key))
    if isinstance(index, DamagedError):
        return replace(work, status="failed", reason=str(index))
    return replace(
        work,
        key=index.key,
        video=as_text(str(index.meta.get("video", ""))),
        status="done" if index.status == "ok" else "failed",
        reason=as_text(index.reason),
        frames=index.tokens,
        valid=_shares(index.meta.get("valid")),
    )


def _shares(valid: object) -> dict[str, float]:
    """Return the valid shares among the meta, which may hold anything."""
    if not isinstance(valid, Mapping):
        return {}
    return {str(k): float(v) for k, v in valid.items() if isinstance(v, int | float)}


def _tells(work: Entry) -> bool:
    """Whether a stage that is not on disk is to be told of: one that was done has been deleted."""
    return work.status not in {"done", GONE}


def _status_now(work: Entry) -> Status:
    """Say whether what was running still is; nobody can say that of another host."""
    if work.status != _RUNNING or work.host != socket.gethostname() or work.pid is None:
        return work.status
    try:
        os.kill(work.pid, 0)
    except ProcessLookupError:
        return "interrupted"
    except PermissionError:  # it lives, and is somebody else's
        return work.status
    return work.status


def _named(found: Iterable[Entry], known: Iterable[Known]) -> Iterator[Entry]:
    """Give each stage the item that its video stands for; once for each where it is several."""
    by_video = defaultdict[str, list[Known]](list)
    for one in known:
        by_video[one.video_hash[:SHORT]].append(one)
    for entry in found:
        named = by_video.get(entry.video_hash[:SHORT], [])
        for one in named:
            full = max(one.video_hash, entry.video_hash, key=len)
            yield replace(entry, dataset=one.dataset, id=one.id, video=one.video, video_hash=full)
        if not named:
            yield entry


def _refused(known: Iterable[Known]) -> Iterator[Entry]:
    """Yield the items of which the last word is that their file is no readable video."""
    last = {(one.dataset, one.id): one for one in known}
    for one in last.values():
        if not one.video_hash:
            yield Entry(
                one.dataset, one.id, one.video, status="failed", reason=one.reason, finished=one.at
            )

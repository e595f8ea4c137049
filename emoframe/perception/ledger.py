"""The ledger: what is known of a store beside its stages.

The stages on disk are the truth and equal from run to run. What may differ (seconds, when, where,
what is running), and what is not in them (which item of a data set a video's hash stands for, the
full settings of a key), stands in SQLite beside them: `ledger.db`, or `ledger-I-of-N.db` for one
job of an array, because SQLite with several writers does not belong on a network file system.
Readers merge all of them, and the disk overrules them: nothing here decides what is done. So a
damaged ledger is put aside when it is next written to, and only names and times are lost.

Each call is one statement, thus one transaction with SQLite's rollback journal: a kill leaves the
state before or after it. WAL would need memory shared between the readers of a network.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Self

from emoframe.core.errors import DataError
from emoframe.perception.index import DamagedError, damaged
from emoframe.perception.store import writing

FORMAT = 1
PATTERN = "ledger*.db"
GONE = "gone"
"""Status of a stage that was deleted, so that its past failure is not told for ever."""
_REMEDY = (
    "the next extraction or import begins a new one, and the names of videos come back with it"
)
_WAIT_S = 60.0
_DAMAGE = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS sample (
    dataset TEXT, id TEXT, video_hash TEXT, video TEXT, reason TEXT, at REAL,
    PRIMARY KEY (dataset, id, video_hash));
CREATE TABLE IF NOT EXISTS setting (key TEXT PRIMARY KEY, name TEXT, content TEXT);
CREATE TABLE IF NOT EXISTS work (
    video_hash TEXT, stage TEXT, key TEXT, status TEXT, reason TEXT DEFAULT '',
    seconds REAL DEFAULT 0, frames INTEGER DEFAULT 0, valid TEXT DEFAULT '{{}}',
    started REAL, finished REAL, host TEXT, pid INTEGER,
    PRIMARY KEY (video_hash, stage, key));
PRAGMA user_version = {FORMAT};
COMMIT;
"""
_SAMPLE = """
INSERT INTO sample (dataset, id, video_hash, video, reason, at) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET video = excluded.video, reason = excluded.reason, at = excluded.at
WHERE video IS NOT excluded.video OR reason IS NOT excluded.reason OR EXISTS (
    SELECT 1 FROM sample AS other WHERE other.dataset = excluded.dataset
    AND other.id = excluded.id AND other.at > sample.at)
"""
"""What is known already is not written again: a resumed run tells of thousands of items at once."""
_BEGIN = """
INSERT INTO work (video_hash, stage, key, status, started, host, pid)
VALUES (?, ?, ?, 'running', ?, ?, ?)
ON CONFLICT DO UPDATE SET status = 'running', reason = '', seconds = 0, frames = 0, valid = '{}',
    started = excluded.started, finished = NULL, host = excluded.host, pid = excluded.pid
"""
_END = """
INSERT INTO work (video_hash, stage, key, status, reason, seconds, frames, valid, finished, host,
    pid)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET status = excluded.status, reason = excluded.reason,
    seconds = excluded.seconds, frames = excluded.frames, valid = excluded.valid,
    finished = excluded.finished, host = excluded.host, pid = excluded.pid
"""


class Ledger:
    """The ledger of one process, open for writing; `with Ledger(root) as ledger:`.

    It may be used from several threads.

    Args:
        store_root: Folder of the store; it is made where it is missing.
        shard: Number and count of this job in an array of jobs, which then has its own file.
    """

    def __init__(self, store_root: Path, shard: tuple[int, int] | None = None) -> None:
        name = "ledger.db" if shard is None else f"ledger-{shard[0]}-of-{shard[1]}.db"
        self.file = Path(store_root) / name
        self._db: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        """Open the file; one that is damaged is put aside, and an empty one takes its place.

        Raises:
            StoreError: The store cannot be written.
            DataError: A newer emoframe wrote it.
        """
        with writing(self.file, "ledger"):
            self.file.parent.mkdir(parents=True, exist_ok=True)
        try:
            check(self.file)
        except DamagedError:
            _put_aside(self.file)
        with writing(self.file, "ledger"):
            self._db = _connect(self.file, "rwc")
            if not _version(self._db):
                self._db.executescript(_SCHEMA)
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def sample(self, dataset: str, id: str, video: Path, video_hash: str) -> None:  # noqa: A002
        """Remember what a video's hash stands for.

        Raises:
            StoreError: The store cannot be written; the same holds for every method.
        """
        self._write(_SAMPLE, dataset, id, video_hash, str(video), "", time.time())

    def refuse(self, dataset: str, id: str, video: Path, reason: str) -> None:  # noqa: A002
        """Remember an item whose file is no readable video, and so has no hash."""
        self._write(_SAMPLE, dataset, id, "", str(video), reason, time.time())

    def settings(self, name: str, key: str, content: Mapping[str, Any]) -> None:
        """Remember everything that a stage's key is a hash of; the first content stays."""
        text = json.dumps(dict(content), sort_keys=True, default=str)
        self._write("INSERT OR IGNORE INTO setting VALUES (?, ?, ?)", key, name, text)

    def begin(self, video_hash: str, stage: str, key: str) -> None:
        """Remember that this process works at a stage from now on."""
        here = (socket.gethostname(), os.getpid())
        self._write(_BEGIN, video_hash, stage, key, time.time(), *here)

    def end(
        self,
        video_hash: str,
        stage: str,
        key: str,
        status: Literal["done", "failed"],
        reason: str = "",
        seconds: float = 0.0,
        frames: int = 0,
        valid: Mapping[str, float] | None = None,
    ) -> None:
        """Remember how a stage ended.

        Args:
            video_hash: Hash of the video.
            stage: Name of the part.
            key: Key of the stage.
            status: How it ended.
            reason: Why it failed.
            seconds: Time that it took.
            frames: Number of frames stored.
            valid: Share of the frames in which something was measured, by part of the body.
        """
        told = (reason, seconds, frames, json.dumps(dict(valid or {})))
        here = (time.time(), socket.gethostname(), os.getpid())
        self._write(_END, video_hash, stage, key, status, *told, *here)

    def forget(self, video_hash: str, stage: str, key: str) -> None:
        """Remember that a stage was deleted."""
        here = (time.time(), socket.gethostname(), os.getpid())
        self._write(_END, video_hash, stage, key, GONE, "", 0.0, 0, "{}", *here)

    def _write(self, statement: str, *values: str | float | None) -> None:
        if self._db is None:
            raise ValueError("the ledger is not open; use it as `with Ledger(root) as ledger:`")
        with writing(self.file, "ledger"):
            self._db.execute(statement, [as_text(v) if isinstance(v, str) else v for v in values])


def as_text(value: str) -> str:
    r"""Write a name of undecodable bytes, which no database takes, as `\udcff` in letters."""
    return value.encode("utf-8", "backslashreplace").decode()


def ledgers(root: Path) -> list[Path]:
    """Return the ledgers of a store: one, or one per job of an array."""
    return sorted(Path(root).glob(PATTERN))


def select(root: Path, query: str, *values: str) -> list[dict[str, Any]]:
    """Ask every readable ledger of a store; a damaged one has nothing to say, see `check`."""
    found: list[dict[str, Any]] = []
    for file in ledgers(root):
        try:
            with reading(file) as db:
                if _version(db):
                    found += map(dict, db.execute(query, values))
        except DamagedError:
            continue  # the stages on disk say what is done, and `emoframe store verify` names it
    return found


def check(file: Path) -> None:
    """Look a whole ledger over; one that is not there is as good as an empty one.

    Raises:
        DamagedError: It is no readable ledger.
        DataError: It cannot be opened, or a newer emoframe wrote it.
    """
    if not file.exists():
        return
    with reading(file) as db:
        found = db.execute("PRAGMA quick_check").fetchone()[0]
        if found != "ok":
            raise damaged(file, f"the ledger is damaged ({found})", _REMEDY)
        if _version(db):
            db.execute("SELECT 1 FROM sample, setting, work LIMIT 0")


@contextmanager
def reading(file: Path) -> Iterator[sqlite3.Connection]:
    """Open a ledger for reading.

    Raises:
        DamagedError: It is no readable ledger.
        DataError: It cannot be opened, or a newer emoframe wrote it.
    """
    # not read-only: what a killed writer left half done must be rolled back before it is read
    db = None
    try:
        db = _connect(file, "rw")
        db.row_factory = sqlite3.Row
        if _version(db) > FORMAT:
            raise DataError(f"{file}: was written by a newer emoframe; use that version")
        yield db
    except sqlite3.Error as error:
        if _code(error) in _DAMAGE:
            raise damaged(file, f"the ledger is damaged ({error})", _REMEDY) from error
        raise DataError(f"{file}: cannot be read ({error}); try again") from error
    finally:
        if db is not None:
            db.close()


def _version(db: sqlite3.Connection) -> int:
    """Return the format of a ledger; 0 where it is as empty as a kill may leave a new one."""
    return db.execute("PRAGMA user_version").fetchone()[0]


def _connect(file: Path, mode: str) -> sqlite3.Connection:
    uri = f"{file.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(
        uri, uri=True, timeout=_WAIT_S, isolation_level=None, check_same_thread=False
    )


def _code(error: sqlite3.Error) -> int:
    """Return SQLite's primary error code."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _put_aside(file: Path) -> None:
    """Rename a damaged ledger, and its journal, which would damage the next one."""
    with writing(file, "ledger"):
        for end in ("", "-journal"):
            old = file.with_name(file.name + end)
            if old.exists():
                old.replace(file.with_name(f"{file.name}.damaged{end}"))

"""The SQLite file of a label store: its tables, its transactions, and its errors as sentences.

Decided here:

- **A rollback journal, not WAL.** A store is then one file whenever nobody writes, so that whoever
  copies it copies every paid answer; and it works on a network file system that locks, where the
  shared memory of WAL does not. Readers keep a writer waiting for milliseconds; a call takes
  seconds.
- **`synchronous=EXTRA`**, which is FULL and syncs the folder too: an answer that was stored is
  there after a power cut.
- **A connection of its own for each transaction**, so that none is shared between threads, none
  survives a fork, and none is left open. It costs 0.2 ms.
- **Every write is one `BEGIN IMMEDIATE`**: what is read in it stays true until it commits.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from emoframe.core.errors import DataError, EmoframeError

FORMAT = 1
APPLICATION = 0x656D6F4C
"""Tells a label store from any other SQLite file (`emoL`)."""
WAIT_S = 60.0
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS prompt (hash TEXT PRIMARY KEY, content TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS labeler (key TEXT PRIMARY KEY, content TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS item (
    n INTEGER PRIMARY KEY, dataset TEXT, item TEXT, clip TEXT, at TEXT,
    UNIQUE (dataset, item, clip, at));
CREATE TABLE IF NOT EXISTS call (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL UNIQUE,
    clip TEXT, prompt TEXT NOT NULL REFERENCES prompt, labeler TEXT NOT NULL REFERENCES labeler,
    sample INTEGER, state TEXT NOT NULL, reserved INTEGER NOT NULL, cost INTEGER,
    reason TEXT, at TEXT, ended_at TEXT, host TEXT, pid INTEGER, started TEXT);
CREATE INDEX IF NOT EXISTS call_state ON call (state);
CREATE TABLE IF NOT EXISTS answer (
    n INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL UNIQUE, call TEXT NOT NULL,
    clip TEXT, prompt TEXT NOT NULL REFERENCES prompt, labeler TEXT NOT NULL REFERENCES labeler,
    sample INTEGER, status TEXT NOT NULL, reason TEXT, reply TEXT, label TEXT, usd INTEGER,
    calls INTEGER, asked_at TEXT, answered_at TEXT, versions TEXT);
CREATE INDEX IF NOT EXISTS answer_key ON answer (prompt, labeler, clip, sample);
CREATE TABLE IF NOT EXISTS review (
    n INTEGER PRIMARY KEY, dataset TEXT, item TEXT, label TEXT, units TEXT, reviewer TEXT, at TEXT,
    rationale TEXT, UNIQUE (dataset, item, reviewer, at, units, rationale));
CREATE TABLE IF NOT EXISTS opening (
    n INTEGER PRIMARY KEY, dataset TEXT, run TEXT, prompt TEXT, at TEXT, UNIQUE (dataset, run, at));
CREATE TABLE IF NOT EXISTS consent (
    n INTEGER PRIMARY KEY, dataset TEXT, terms TEXT, at TEXT, UNIQUE (dataset, terms, at));
CREATE TABLE IF NOT EXISTS batch (
    name TEXT PRIMARY KEY, labeler TEXT NOT NULL REFERENCES labeler, keys TEXT, job TEXT, at TEXT,
    closed_at TEXT);
CREATE TABLE IF NOT EXISTS measure (
    n INTEGER PRIMARY KEY, dataset TEXT, prompt TEXT NOT NULL REFERENCES prompt,
    labeler TEXT NOT NULL REFERENCES labeler, what TEXT, content TEXT, at TEXT,
    UNIQUE (dataset, prompt, labeler, what, at));
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {FORMAT};
COMMIT;
"""


class LabelStoreError(EmoframeError):
    """A label store that cannot be read or written now: nothing more may be asked.

    Attributes:
        full: Whether the disk is full.
    """

    def __init__(self, text: str, *, full: bool = False) -> None:
        """Keep what decides whether making room helps."""
        self.full = full
        super().__init__(text)


class Database:
    """One file with the tables of a label store. May be used from several threads and processes.

    Args:
        path: The file.
        write: Whether it is made where it is missing; else a missing one is an error.

    Raises:
        LabelStoreError: It cannot be opened or made.
        DataError: It is something else, or a newer emoframe wrote it.
    """

    def __init__(self, path: Path | str, *, write: bool = True) -> None:
        self.path = Path(path)
        if not write and not self.path.is_file():
            raise DataError(f"{self.path}: there is no such label store; `emoframe label` makes it")
        with self._told():
            if write:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._connect("rwc" if write else "rw")) as db:
                if not self._is_ours(db):
                    db.executescript(_SCHEMA)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Look at one state of the store, whoever writes meanwhile."""
        with self._told(), closing(self._connect("rw")) as db:
            db.execute("BEGIN")
            yield db

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Change the store, whole and durably at the end of the block, or not at all."""
        with self._told(), closing(self._connect("rw")) as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")

    def _connect(self, mode: str) -> sqlite3.Connection:
        # not read-only: what a killed writer left half done must be rolled back before it is read;
        # SQLite itself falls back where the file is write-protected
        uri = f"{self.path.absolute().as_uri()}?mode={mode}"
        db = sqlite3.connect(uri, uri=True, timeout=WAIT_S, isolation_level=None)
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA synchronous = EXTRA")
        db.execute("PRAGMA foreign_keys = ON")
        return db

    def _is_ours(self, db: sqlite3.Connection) -> bool:
        """Say whether the tables are there; not in a new file, nor in one that a kill left empty.

        Raises:
            DataError: It is something else, or a newer emoframe wrote it.
        """
        (version,) = db.execute("PRAGMA user_version").fetchone()
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application != APPLICATION and (application or version or tables):
            raise DataError(
                f"{self.path}: is a SQLite database, but no label store; name another file"
            )
        if version > FORMAT:
            raise DataError(
                f"{self.path}: was written by a newer emoframe (format {version}, this one knows "
                f"{FORMAT}); use that version"
            )
        return application == APPLICATION

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what SQLite and the file system say into a sentence."""
        try:
            yield
        except sqlite3.Error as error:
            raise self._sentence(error) from error
        except OSError as error:
            why = error.strerror or error
            raise LabelStoreError(f"{self.path}: cannot be opened ({why})") from error

    def _sentence(self, error: sqlite3.Error) -> EmoframeError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _DAMAGE:
            return DataError(
                f"{self.path}: is no readable label store ({error}); name another file, or put a "
                "copy of it back: nothing was changed"
            )
        if code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}:  # the latter at a quota
            what = (
                "the disk is full" if code == sqlite3.SQLITE_FULL else f"the disk fails ({error})"
            )
            return LabelStoreError(
                f"{self.path}: {what}; free space, then run again: what is stored is kept",
                full=True,
            )
        if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}:
            return LabelStoreError(
                f"{self.path}: cannot be written ({error}); is its folder there, and may you write "
                "in it?"
            )
        if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            return LabelStoreError(
                f"{self.path}: another process has kept it locked for {WAIT_S:.0f} s; wait until "
                "it ends, then run again"
            )
        if code == sqlite3.SQLITE_CONSTRAINT:
            return DataError(
                f"{self.path}: does not hold the prompt or labeler that was named, or holds this "
                f"already ({error}); add_prompt and add_labeler come first"
            )
        return LabelStoreError(f"{self.path}: cannot be used ({error}); try again")

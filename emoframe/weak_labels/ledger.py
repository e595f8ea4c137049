"""The ledger of a label store: every call is in it before it is sent, with the most it may cost.

Decided here: what counts as spent is what was settled at its real cost, and, at the reserved cost,
what is in flight and what may have been paid without an answer (`unknown`). So a budget holds even
if every doubtful call was billed, and a kill between two statements errs to the user's purse, never
beyond it. A call that turns out dearer than reserved is recorded as it is; the next one sees it.
Answers are appended; of a call only its end is filled in.
"""

from __future__ import annotations

import json
import math
import sqlite3
import uuid
from dataclasses import replace
from pathlib import Path

from emoframe.core.errors import DataError, EmoframeError
from emoframe.weak_labels.asking.processes import Process, here
from emoframe.weak_labels.asking.unsaved import (
    UnsavedError,
    free_spare,
    make_spare,
    put_aside,
    waiting,
)
from emoframe.weak_labels.database import Database, LabelStoreError
from emoframe.weak_labels.exchange.tables import MICRO, insert, micro, select
from emoframe.weak_labels.plain import as_text, parsed
from emoframe.weak_labels.rows import Answer, Call, CallState, Kept, QuestionKey, now

GONE = "the process that sent it is gone; it may have been paid"
_END = """
UPDATE call SET state = ?, cost = ?, reason = ?, ended_at = ? WHERE id = ? AND state != 'done'
"""


class BudgetError(EmoframeError):
    """A call that would exceed the budget; it was not made."""


class Ledger(Database):
    """The calls of a label store and their answers; see `Database` for its arguments."""

    def __init__(self, path: Path | str, *, write: bool = True) -> None:
        super().__init__(path, write=write)
        self._may_write = write
        if write:
            self._take_in()

    def close(self) -> None:
        """Give back the room that was kept for answers in flight."""
        if not self._may_write:
            return
        with self.writing() as db:  # so that nobody reserves a call in between
            if not any(one.state == "open" for one in _open(db)):
                free_spare(self.path)

    def reserve(self, key: QuestionKey, usd: float, budget: float | None = None) -> int:
        """Enter a call before it is sent.

        Args:
            key: The question; its prompt and labeler are in the store.
            usd: The most that it may cost, US dollars.
            budget: The most that everything in this store may cost, US dollars; None for no limit.

        Returns:
            Its number, for `settle` or `fail`.

        Raises:
            BudgetError: The budget would be exceeded.
            LabelStoreError: The store cannot be written, or has no room for an answer.
            DataError: The prompt or the labeler is not in the store.
        """
        if not 0 <= usd < math.inf:
            raise ValueError(f"a call cannot cost {usd} dollars")
        asked = math.ceil(round(usd * MICRO, 3))
        with self.writing() as db:
            make_spare(self.path)
            if budget is not None and asked:
                _check_budget(db, asked, budget)
            call = _new(key, asked)
            insert(db, call)
            (number,) = db.execute("SELECT id FROM call WHERE uid = ?", (call.uid,)).fetchone()
        return number

    def settle(self, call: int, answer: Answer) -> None:
        """End a call with its answer, in one durable transaction; the same again changes nothing.

        Where `answer.usd` is None the call goes on to count as reserved.

        Raises:
            UnsavedError: The store cannot take the answer; the error says where it is instead.
        """
        kept = Kept(answer)
        try:
            kept = Kept(answer, self._uid(call))
            self._append(kept)
        except (LabelStoreError, DataError) as error:
            if not (getattr(error, "full", False) and self._append_in_spare(kept)):
                file = put_aside(self.path, kept)
                raise UnsavedError(self.path, kept, file, str(error)) from error

    def fail(self, call: int, reason: str, paid: bool = False) -> None:
        """End a call without an answer.

        Args:
            call: Its number.
            reason: Why there is none.
            paid: Whether the server may have done the work: it then stays spent, as `unknown`.
        """
        state, cost = ("unknown", None) if paid else ("failed", 0)
        with self.writing() as db:
            db.execute(_END, (state, cost, as_text(reason), now(), call))

    def orphaned(self) -> list[Call]:
        """Give up the calls in flight of dead processes: they become `unknown` and are returned.

        Questions of an open batch wait at the service, whoever lives.
        """
        with self.writing() as db:
            lost = [one for one in _open(db) if one.state == "unknown"]
            ended = now()
            db.executemany(_END, [("unknown", None, GONE, ended, one.id) for one in lost])
        return lost

    def calls(self, state: CallState | None = None) -> list[Call]:
        """Return calls; those in flight of dead processes are told as `unknown` already."""
        with self.reading() as db:
            found = [*select(db, "call", "state != 'open'"), *_open(db)]
        return sorted(
            (one for one in found if state in {None, one.state}),
            key=lambda one: (one.at, one.uid),
        )

    def spent(self) -> float:
        """Return what was settled, is in flight or may have been paid, in US dollars."""
        with self.reading() as db:
            return _spent(db) / MICRO

    def _append(self, kept: Kept) -> None:
        """Store an answer and end the call that it belongs to."""
        with self.writing() as db:
            take_in(db, kept)

    def _append_in_spare(self, kept: Kept) -> bool:
        """Store an answer in the room that was kept for it, and say whether there was any."""
        free_spare(self.path)
        try:
            self._append(kept)
        except (LabelStoreError, DataError):
            return False
        return True

    def _uid(self, call: int) -> str:
        with self.reading() as db:
            row = db.execute("SELECT uid FROM call WHERE id = ?", (call,)).fetchone()
        if row is None:
            raise DataError(f"{self.path}: has no call {call}")
        return row["uid"]

    def _take_in(self) -> None:
        """Store the answers that wait beside the store."""
        for file in waiting(self.path):
            try:
                data = json.loads(file.read_bytes())
                kept = parsed("answer", data, str(file))
            except FileNotFoundError:
                continue  # another process has taken it in meanwhile
            except (OSError, TypeError, ValueError, DataError) as error:
                raise DataError(
                    f"{file}: an answer that was paid for waits here and cannot be read ({error}); "
                    "mend the file, or move it away and ask again"
                ) from error
            self._append(kept)
            file.unlink(missing_ok=True)


def take_in(db: sqlite3.Connection, kept: Kept) -> bool:
    """Write an answer, end its call if this store knows it, and say whether it was new."""
    call = db.execute("SELECT id, reserved FROM call WHERE uid = ?", (kept.call,)).fetchone()
    if call is not None:
        usd = micro(kept.answer.usd)
        cost = call["reserved"] if usd is None else usd
        db.execute(_END, ("done", cost, "", now(), call["id"]))
    return insert(db, kept)


def take_call(db: sqlite3.Connection, call: Call) -> bool:
    """Write a call of another store, or its end where that is all that is missing here."""
    if insert(db, call):
        return True
    if call.state in {"done", "failed"}:
        (number,) = db.execute("SELECT id FROM call WHERE uid = ?", (call.uid,)).fetchone()
        db.execute(_END, (call.state, micro(call.usd), call.reason, call.ended_at, number))
    return False


def _check_budget(db: sqlite3.Connection, asked: int, budget: float) -> None:
    spent = _spent(db)
    if spent + asked > math.floor(round(budget * MICRO, 3)):
        raise BudgetError(
            f"the budget of ${budget:.4f} would be exceeded: ${spent / MICRO:.4f} are spent, in "
            f"flight or unknown, and this call may cost ${asked / MICRO:.4f}; raise --budget to go "
            "on, what is stored is kept"
        )


def _spent(db: sqlite3.Connection) -> int:
    return db.execute("SELECT coalesce(sum(coalesce(cost, reserved)), 0) FROM call").fetchone()[0]


def _new(key: QuestionKey, reserved: int) -> Call:
    me = here()
    return Call(
        uid=uuid.uuid4().hex, key=key, state="open", reserved_usd=reserved / MICRO, usd=None,
        reason="", at=now(), ended_at="", host=me.host, pid=me.pid, started=me.started,
    )  # fmt: skip


def _open(db: sqlite3.Connection) -> list[Call]:
    """Return the calls in flight; those that nobody waits for any more are `unknown`."""
    waits = {key for one in select(db, "batch", "closed_at = ''") for key in one.keys}
    return [
        one
        if one.key in waits or Process(one.host, one.pid, one.started).lives(one.at)
        else replace(one, state="unknown", reason=GONE)
        for one in select(db, "call", "state = 'open'")
    ]

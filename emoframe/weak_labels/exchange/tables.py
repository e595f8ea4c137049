"""Records as rows of a label store and back: the one place that knows the columns.

Decided here: money is an integer of micro-dollars in the file, so that sums are exact, and a part
of one counts as a whole, so that no sum is below what was paid; text is JSON where it has
structure. A row that is there already is left alone, so that whatever is written twice (a file
imported again, an answer taken in after a crash) is there once.
"""

from __future__ import annotations

import hashlib
import math
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from emoframe.labelling import Prompt, Reply, Unit, WeakLabel
from emoframe.weak_labels.plain import as_json, as_text, plain, read_json
from emoframe.weak_labels.rows import (
    Answer,
    Batch,
    Call,
    Consent,
    Item,
    Kept,
    LabelerRecord,
    Measure,
    Opening,
    QuestionKey,
    Review,
)

MICRO = 1_000_000
"""Micro-dollars in a dollar."""
ORDER = {
    "prompt": "hash", "labeler": "key", "item": "at, n", "call": "at, uid",
    "answer": "answered_at, uid", "review": "at, dataset, item, reviewer",
    "opening": "at, dataset, run", "consent": "at, dataset", "batch": "at, name",
    "measure": "at, dataset, prompt, labeler, what",
}  # fmt: skip
"""The order in which `select` returns the rows of a table: the same in two equal stores."""


def micro(usd: float | None) -> int | None:
    """Return dollars as micro-dollars, rounded up."""
    return None if usd is None else math.ceil(round(usd * MICRO, 3))  # 3: what a float adds


def dollars(count: int | None) -> float | None:
    """Return micro-dollars as dollars."""
    return None if count is None else count / MICRO


def insert(db: sqlite3.Connection, record: Any) -> bool:
    """Write a record where it is not there yet, and say whether it is new."""
    table, values = _row(record)
    names, marks = ", ".join(values), ", ".join("?" * len(values))
    values = [as_text(one) if isinstance(one, str) else one for one in values.values()]
    done = db.execute(f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})", values)
    return done.rowcount > 0


def select(db: sqlite3.Connection, table: str, where: str = "1", *values: Any) -> list[Any]:
    """Read the records of a table, in the order of `ORDER`.

    Raises:
        DataError: A row does not hold what this package writes.
    """
    rows = db.execute(f"SELECT * FROM {table} WHERE {where} ORDER BY {ORDER[table]}", values)
    return [_READERS[table](row) for row in rows]


def _row(record: Any) -> tuple[str, dict[str, Any]]:
    """Return the table and the columns of a record."""
    match record:
        case Prompt():
            return "prompt", {"hash": record.hash, "content": as_json(asdict(record))}
        case LabelerRecord():
            return "labeler", {"key": record.key, "content": as_json(asdict(record))}
        case Kept():
            return "answer", _answer_row(record)
        case Call():
            return "call", _call_row(record)
        case Review():
            return "review", {**_flat(record), "units": as_json(asdict(record)["units"])}
        case Batch():
            return "batch", {**_flat(record), "keys": as_json(record.keys)}
        case _:
            return type(record).__name__.lower(), _flat(record)


def _flat(record: Any) -> dict[str, Any]:
    return dict(vars(record))


def _call_row(call: Call) -> dict[str, Any]:
    told = {**call.key._asdict(), **_flat(call)}
    for name in ("id", "key", "reserved_usd", "usd"):
        del told[name]
    return {**told, "reserved": micro(call.reserved_usd), "cost": micro(call.usd)}


def _answer_row(kept: Kept) -> dict[str, Any]:
    one = kept.answer
    return {
        "uid": uid_of(one),
        "call": kept.call,
        **one.key._asdict(),
        "status": one.status,
        "reason": one.reason,
        "reply": as_json(asdict(one.reply)) if one.reply else None,
        "label": as_json(asdict(one.label)) if one.label else None,
        "usd": micro(one.usd),
        "calls": one.calls,
        "asked_at": one.asked_at,
        "answered_at": one.answered_at,
        "versions": as_json(dict(one.versions)),
    }


def uid_of(answer: Answer) -> str:
    """Return a hash over an answer as it will be read back."""
    kept = replace(answer, usd=dollars(micro(answer.usd)), reason=as_text(answer.reason))
    return hashlib.sha256(as_json(plain(kept)).encode()).hexdigest()


def _key(row: Mapping[str, Any]) -> QuestionKey:
    return QuestionKey(*(row[name] for name in QuestionKey._fields))


def _prompt(row: Mapping[str, Any]) -> Prompt:
    return read_json(Prompt, row["content"], f"prompt {row['hash'][:12]}")


def _labeler(row: Mapping[str, Any]) -> LabelerRecord:
    return read_json(LabelerRecord, row["content"], f"labeler {row['key'][:12]}")


def _call(row: Mapping[str, Any]) -> Call:
    names = ("uid", "state", "reason", "at", "ended_at", "host", "pid", "started", "id")
    told = {name: row[name] for name in names}
    return Call(
        key=_key(row), reserved_usd=row["reserved"] / MICRO, usd=dollars(row["cost"]), **told
    )


def _answer(row: Mapping[str, Any]) -> Kept:
    key, where = _key(row), f"answer {row['uid'][:12]}"
    names = ("status", "reason", "calls", "asked_at", "answered_at")
    answer = Answer(
        key=key,
        reply=read_json(Reply, row["reply"], where) if row["reply"] else None,
        label=read_json(WeakLabel, row["label"], where) if row["label"] else None,
        usd=dollars(row["usd"]),
        versions=read_json(dict[str, str], row["versions"], where),
        **{name: row[name] for name in names},
    )
    return Kept(answer, row["call"])


def _review(row: Mapping[str, Any]) -> Review:
    told = {name: row[name] for name in ("dataset", "item", "label", "reviewer", "at", "rationale")}
    return Review(
        units=read_json(tuple[Unit, ...], row["units"], f"review of {told['item']}"), **told
    )


def _batch(row: Mapping[str, Any]) -> Batch:
    told = {name: row[name] for name in ("name", "labeler", "job", "at", "closed_at")}
    where = f"batch {told['name']}"
    return Batch(keys=read_json(tuple[QuestionKey, ...], row["keys"], where), **told)


def _item(row: Mapping[str, Any]) -> Item:
    return Item(*(row[name] for name in ("dataset", "item", "clip", "at")))


def _opening(row: Mapping[str, Any]) -> Opening:
    return Opening(*(row[name] for name in ("dataset", "run", "prompt", "at")))


def _consent(row: Mapping[str, Any]) -> Consent:
    return Consent(*(row[name] for name in ("dataset", "terms", "at")))


def _measure(row: Mapping[str, Any]) -> Measure:
    names = ("dataset", "prompt", "labeler", "what", "content", "at")
    return Measure(*(row[name] for name in names))


_READERS = {
    "prompt": _prompt, "labeler": _labeler, "item": _item, "call": _call, "answer": _answer,
    "review": _review, "opening": _opening, "consent": _consent, "batch": _batch,
    "measure": _measure,
}  # fmt: skip

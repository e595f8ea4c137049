"""The records of a label store as plain data, for JSON and back.

Decided here: a line is flat and names its sort (`record`), so that `jq` and pandas can read it;
what is read back is judged by pydantic against the records themselves. What the record does not
know is left aside, so that a line may tell more, for people.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from emoframe.core.errors import DataError
from emoframe.labelling import Prompt
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
    is_time,
    now,
)

RECORDS: dict[str, type[Any]] = {
    "prompt": Prompt, "labeler": LabelerRecord, "item": Item, "call": Call, "answer": Kept,
    "review": Review, "opening": Opening, "consent": Consent, "batch": Batch,
    "measure": Measure,
}  # fmt: skip
"""Each sort of line by its name, which in `Contents` has a plural."""
_TIMES = {"at", "asked_at", "answered_at", "ended_at", "closed_at"}
_NOT_YET = {"asked_at", "ended_at", "closed_at"}


def plural(sort: str) -> str:
    """Return the field of `Contents` that holds a sort of record."""
    return f"{sort}es" if sort.endswith("ch") else f"{sort}s"


def as_json(value: Any) -> str:
    """Write plain data; what JSON has no word for becomes text, because nothing may be lost."""
    return json.dumps(value, sort_keys=True, default=str)


def as_text(value: str) -> str:
    r"""Write letters that no database takes, halves of a pair, as `\ud800`."""
    return value.encode("utf-8", "backslashreplace").decode()


def plain(record: Any) -> dict[str, Any]:
    """Write a record as a flat mapping of plain data, which `parsed` reads."""
    if isinstance(record, Kept):
        return {**plain(record.answer), "call": record.call}
    told = asdict(record)
    told.pop("id", None)
    key = told.pop("key", None)
    return {
        **(key._asdict() if isinstance(key, QuestionKey) else {"key": key} if key else {}),
        **told,
    }


def parsed(sort: str, data: Mapping[str, Any], where: str) -> Any:
    """Read a record that `plain` wrote.

    Args:
        sort: One of `RECORDS`.
        data: The mapping; what the record does not know is left aside.
        where: File and line, for the error.

    Raises:
        DataError: It is no such record.
    """
    given = dict(data)
    try:
        if sort in {"answer", "call"}:
            given["key"] = [given[name] for name in QuestionKey._fields]
        if sort == "answer":
            found = read(Answer, _known(Answer, given))
            record = Kept(found, str(given.get("call") or ""))
        else:
            record = found = read(RECORDS[sort], _known(RECORDS[sort], given))
    except KeyError as error:
        raise DataError(f"{where}: the {sort} has no {error.args[0]!r}") from error
    except ValidationError as error:
        raise DataError(f"{where}: is no {sort} ({mistakes(error)})") from error
    if wrong := _unsound(found):
        raise DataError(f"{where}: is no {sort} ({wrong})")
    return record


def read(kind: Any, data: Any) -> Any:
    """Build a record out of plain data, judged by its class.

    Raises:
        pydantic.ValidationError: It does not fit.
    """
    return _adapter(kind).validate_python(data)


def read_json(kind: Any, text: str, where: str) -> Any:
    """Build a record out of JSON that this package wrote.

    Raises:
        DataError: It does not fit.
    """
    try:
        return _adapter(kind).validate_python(json.loads(text))
    except (ValidationError, ValueError) as error:
        why = mistakes(error) if isinstance(error, ValidationError) else str(error)
        raise DataError(
            f"{where}: is not what was stored ({why}); was the store changed by hand?"
        ) from error


def mistakes(error: ValidationError, most: int = 3) -> str:
    """Say what is wrong, each mistake with its place, in one line."""
    told = error.errors(include_url=False)
    said = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}".removeprefix(": ") for one in told]
    more = [f"and {len(said) - most} more"] * (len(said) > most)
    return " ".join("; ".join(said[:most] + more).split())


def _known(kind: type[Any], given: Mapping[str, Any]) -> dict[str, Any]:
    names = {one.name for one in fields(kind)} - {"id"}
    return {name: value for name, value in given.items() if name in names}


def _unsound(record: Any) -> str:
    """Say what no field tells by itself; nothing where all is well."""
    for name in sorted(_TIMES & vars(record).keys()):
        at = getattr(record, name)
        if not is_time(at) and (at or name not in _NOT_YET):
            return f"{name}: {at!r} is no time as in {now()!r}"
    label = record.label if isinstance(record, Answer) else None
    if label is None:
        return ""
    if label.label is not None and not 0 <= label.label < len(label.classes):
        return f"label: there is no class number {label.label}"
    if label.confidence is not None and len(label.confidence) != len(label.classes):
        return "label: there must be one confidence for each class"
    return ""


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)

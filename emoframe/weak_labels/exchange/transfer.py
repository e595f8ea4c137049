"""Answers out of a label store: JSONL, CSV, Parquet; `intake` takes them in again.

Decided here: JSONL is the store itself, a record a line, prompts, calls and reviews included; a
store made from it equals the one that it came from. CSV and Parquet are one row per answer, for
looking at. Only in CSV, a cell that begins like a formula (= + - @, tab, return) gets a ' before
it, since spreadsheets would run it, and an answer is whatever a model wrote.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from emoframe.core.errors import DataError
from emoframe.core.files import replacing
from emoframe.weak_labels.exchange.listing import Listed, flat
from emoframe.weak_labels.plain import RECORDS, as_json, as_text, plain, plural
from emoframe.weak_labels.rows import Contents, Kept, QuestionKey
from emoframe.weak_labels.store import LabelStore

Form = Literal["jsonl", "csv", "parquet"]
FORMS: tuple[Form, ...] = ("jsonl", "csv", "parquet")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
PYARROW = "Parquet needs pyarrow; `pip install emoframe[parquet]`, or use .csv"


def form_of(file: Path) -> Form:
    """Return what a file's name says that it is.

    Raises:
        DataError: It says nothing that is known.
    """
    ending = file.suffix.lower().removeprefix(".")
    if ending not in FORMS:
        raise DataError(f"{file}: must end in .jsonl, .csv or .parquet")
    return ending


def export(contents: Contents, found: Sequence[Listed], file: Path) -> None:
    """Write answers into a file, whole or not at all.

    Args:
        contents: What a .jsonl file gets, but for consents: who uploads has to agree themselves.
        found: What a .csv or .parquet file gets, and what a .jsonl file says beside each answer.
        file: The file; its ending says the form.

    Raises:
        DataError: The file cannot be written, or pyarrow is missing.
    """
    form = form_of(file)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as partial:
            if form == "jsonl":
                _write_jsonl(replace(contents, consents=()), found, partial)
            else:
                _write_table(flat(found), form, partial)
    except OSError as error:
        raise DataError(f"{file}: cannot be written ({error.strerror or error})") from error


def selected(store: LabelStore, found: Sequence[Listed]) -> Contents:
    """Return the given answers with all that belongs to them, and nothing else of the store.

    What other answers cost, and reviews, are left out.
    """
    contents = store.contents()
    keys = {one.answer.key for one in found}
    prompts, labelers = {key.prompt for key in keys}, {key.labeler for key in keys}
    named = {(one.dataset, one.item) for one in found}
    return Contents(
        prompts=tuple(one for one in contents.prompts if one.hash in prompts),
        labelers=tuple(one for one in contents.labelers if one.key in labelers),
        items=tuple(one for one in contents.items if (one.dataset, one.item) in named),
        calls=tuple(one for one in contents.calls if one.key in keys),
        answers=tuple(one for one in contents.answers if one.answer.key in keys),
        openings=tuple(one for one in contents.openings if one.dataset in {d for d, _ in named}),
    )


def _write_jsonl(contents: Contents, found: Sequence[Listed], file: Path) -> None:
    marks: dict[QuestionKey, dict[str, None]] = {}
    for one in found:  # a clip may be in two data sets, and stamped in one
        marks.setdefault(one.answer.key, {}).update(dict.fromkeys(one.marks))
    with file.open("w", encoding="utf-8") as opened:
        for sort in RECORDS:
            for record in getattr(contents, plural(sort)):
                told = {"record": sort, **plain(record)}
                if isinstance(record, Kept):
                    told["marks"] = [*marks.get(record.answer.key, ())]
                opened.write(as_json(told) + "\n")


def _write_table(rows: Sequence[Mapping[str, Any]], form: Form, file: Path) -> None:
    import pandas as pd  # half a second that reading a store does not need

    table = pd.DataFrame([{name: _cell(one, form) for name, one in row.items()} for row in rows])
    if form == "csv":
        table.to_csv(file, index=False)
        return
    try:
        table.to_parquet(file, index=False)
    except ImportError as error:
        raise DataError(f"{file}: {PYARROW}") from error


def _cell(value: Any, form: Form) -> Any:
    """Write what a table can hold, and what a spreadsheet does not run."""
    if not isinstance(value, str):
        return value
    return ("'" if form == "csv" and value.startswith(_FORMULA) else "") + as_text(value)

"""Answers out of a label store and into it: JSONL, CSV, Parquet, and other stores.

Decided here: JSONL is the store itself, a record a line, prompts, calls and reviews included; a
store made from it equals the one that it came from. CSV and Parquet are one row per answer, for
looking at. Only in CSV, a cell that begins like a formula (= + - @, tab, return) gets a ' before
it, since spreadsheets would run it, and an answer is whatever a model wrote. An import is one
transaction; a line that cannot be used is told, and the others are taken; twice is once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from emoframe.core.errors import DataError
from emoframe.core.files import replacing
from emoframe.weak_labels.exchange.elsewhere import Elsewhere
from emoframe.weak_labels.exchange.listing import Listed, flat
from emoframe.weak_labels.plain import RECORDS, as_json, as_text, parsed, plain, plural
from emoframe.weak_labels.rows import Contents, Kept, QuestionKey
from emoframe.weak_labels.store import LabelStore

Form = Literal["jsonl", "csv", "parquet"]
FORMS: tuple[Form, ...] = ("jsonl", "csv", "parquet")
_SQLITE = b"SQLite format 3\0"
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_PYARROW = "Parquet needs pyarrow; `pip install emoframe[parquet]`, or use .csv"


@dataclass(frozen=True)
class Imported:
    """What an import did.

    Attributes:
        new: How many records of each sort were new.
        refused: What could not be used, a sentence each.
    """

    new: Mapping[str, int]
    refused: tuple[str, ...]


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


def import_file(store: LabelStore, file: Path, dataset: str = "", source: str = "") -> Imported:
    """Take the answers of another store, or labels that were made elsewhere, into a store.

    Args:
        store: Where they go.
        file: A label store, a .jsonl file, or a .csv or .parquet table; consents stay behind.
        dataset: The data set of rows that name none.
        source: Who made labels that were made elsewhere; the name of the file where it is empty.

    Raises:
        DataError: The file cannot be read, or holds nothing that could be used.
    """
    others = Elsewhere(source or file.stem, dataset, store.items(), _changed(file))
    contents, refused = _read(file, others)
    made = others.contents()
    for one in fields(contents):
        both = (*getattr(contents, one.name), *getattr(made, one.name))
        contents = replace(contents, **{one.name: both})
    contents, lonely = _without_lonely(store, replace(contents, consents=()))
    refused += [f"{file}: {text}" for text in lonely]
    if refused and not any(getattr(contents, one.name) for one in fields(contents)):
        raise DataError(f"{file}: holds nothing that can be taken in; {refused[0]}")
    return Imported(store.merge(contents), tuple(refused))


def read_contents(file: Path) -> Contents:
    """Return what a label store, or a .jsonl file that was exported from one, holds.

    Raises:
        DataError: The file cannot be read, or a line of it is something else.
    """
    contents, refused = _read(file, None)
    if refused:
        raise DataError("; ".join(refused[:3]))
    return contents


def _read(file: Path, others: Elsewhere | None) -> tuple[Contents, list[str]]:
    """Read a file: what is a record, and what is not, into `others`; say what cannot be used."""
    if is_store(file):
        return LabelStore(file, write=False).contents(), []
    found: dict[str, list[Any]] = {sort: [] for sort in RECORDS}
    refused: list[str] = []
    for where, data in _lines(file):
        try:
            if not isinstance(data, dict):
                raise DataError(f"{where}: is no JSON object")
            sort = data.get("record")
            if sort in RECORDS:
                found[sort].append(parsed(sort, data, where))
            elif others is not None and sort is None:
                others.add(data, where)
            else:
                raise DataError(f"{where}: is no record of a label store")
        except DataError as error:
            refused.append(str(error))
    return Contents(**{plural(sort): tuple(rows) for sort, rows in found.items()}), refused


def is_store(file: Path) -> bool:
    """Say whether a file is a SQLite database, whatever it is called.

    Raises:
        DataError: It cannot be read.
    """
    try:
        with file.open("rb") as opened:
            return opened.read(len(_SQLITE)) == _SQLITE
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from error


def _changed(file: Path) -> datetime:
    """Return when a file was written last; the same, however often it is imported."""
    try:
        return datetime.fromtimestamp(file.stat().st_mtime, UTC)
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from error


def _lines(file: Path) -> Iterator[tuple[str, Any]]:
    """Yield where each row stands, and the row; None where it is cut or no JSON."""
    if form_of(file) != "jsonl":
        yield from ((f"{file}:{n}", row) for n, row in enumerate(_read_table(file), 2))
        return
    with file.open(encoding="utf-8-sig", errors="surrogateescape") as opened:
        for n, text in enumerate(opened, 1):
            if text.strip():
                yield f"{file}:{n}", _object(text)


def _object(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _without_lonely(store: LabelStore, contents: Contents) -> tuple[Contents, list[str]]:
    """Take out what names a prompt or a labeler that neither the file nor the store has."""
    prompts = {one.hash for one in (*contents.prompts, *(use.prompt for use in store.prompts()))}
    labelers = {one.key for one in (*contents.labelers, *store.labelers())}

    def lonely(key: Any) -> bool:
        return key.prompt not in prompts or key.labeler not in labelers

    kept = replace(
        contents,
        answers=tuple(one for one in contents.answers if not lonely(one.answer.key)),
        calls=tuple(one for one in contents.calls if not lonely(one.key)),
        batches=tuple(one for one in contents.batches if one.labeler in labelers),
        measures=tuple(one for one in contents.measures if not lonely(one)),
    )
    left = sum(
        len(getattr(contents, one.name)) - len(getattr(kept, one.name)) for one in fields(kept)
    )
    return kept, [f"{left} records name a prompt or labeler that is not there"] if left else []


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
        raise DataError(f"{file}: {_PYARROW}") from error


def _read_table(file: Path) -> list[dict[str, Any]]:
    import pandas as pd

    try:
        if form_of(file) == "csv":
            return pd.read_csv(file, dtype=str, keep_default_na=False).to_dict("records")
        from pyarrow import parquet

        return parquet.read_table(file).to_pylist()  # pandas makes arrays of lists
    except ImportError as error:
        raise DataError(f"{file}: {_PYARROW}") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: is no readable table ({error})") from error


def _cell(value: Any, form: Form) -> Any:
    """Write what a table can hold, and what a spreadsheet does not run."""
    if not isinstance(value, str):
        return value
    return ("'" if form == "csv" and value.startswith(_FORMULA) else "") + as_text(value)

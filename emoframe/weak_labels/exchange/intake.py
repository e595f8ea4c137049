"""What a file brings into a label store: another store, its JSONL, or labels made elsewhere.

Decided here: an import is one transaction; a line that cannot be used is told, and the others are
taken; twice is once. Reading is apart from writing (`readable`), so that a file of which nothing
can be taken leaves no store behind.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from emoframe.core.errors import DataError
from emoframe.weak_labels.exchange.elsewhere import Elsewhere, Known
from emoframe.weak_labels.exchange.names import prompt_name
from emoframe.weak_labels.exchange.transfer import PYARROW, form_of
from emoframe.weak_labels.plain import RECORDS, parsed, plural
from emoframe.weak_labels.rows import Contents
from emoframe.weak_labels.store import LabelStore

_SQLITE = b"SQLite format 3\0"


@dataclass(frozen=True)
class Imported:
    """What an import did.

    Attributes:
        new: How many records of each sort were new.
        refused: What could not be used, a sentence each.
        made: Names of the prompt and the labeler of labels that were made elsewhere.
        unchecked: Classes that the file alone names, for want of anything known of its data set.
    """

    new: Mapping[str, int]
    refused: tuple[str, ...]
    made: tuple[tuple[str, str], ...] = ()
    unchecked: tuple[str, ...] = ()


@dataclass(frozen=True)
class Readable:
    """What of a file can be taken into a store.

    Attributes:
        contents: That.
        refused: What cannot, a sentence each.
        elsewhere: Its labels that were made elsewhere.
    """

    contents: Contents
    refused: tuple[str, ...]
    elsewhere: Elsewhere


def readable(file: Path, known: Known, dataset: str = "", source: str = "") -> Readable:
    """Read a file that is to be imported.

    Args:
        file: A label store, a .jsonl file, or a .csv or .parquet table.
        known: What is known of data sets.
        dataset: The data set of rows that name none.
        source: Who made labels that were made elsewhere; the name of the file where it is empty.

    Raises:
        DataError: It cannot be read, or holds nothing that could be used.
    """
    others = Elsewhere(source or file.stem, dataset, known, _changed(file))
    contents, refused = _read(file, others)
    made = others.contents()
    for one in fields(contents):
        both = (*getattr(contents, one.name), *getattr(made, one.name))
        contents = replace(contents, **{one.name: both})
    _something_or_error(file, contents, refused)
    return Readable(replace(contents, consents=()), tuple(refused), others)


def import_file(
    store: LabelStore, file: Path, dataset: str = "", source: str = "", known: Known | None = None
) -> Imported:
    """Take the answers of another store, or labels that were made elsewhere, into a store.

    Args:
        store: Where they go.
        file: A label store, a .jsonl file, or a .csv or .parquet table; consents stay behind.
        dataset: The data set of rows that name none.
        source: Who made labels that were made elsewhere; the name of the file where it is empty.
        known: What is known of data sets; None for what the store knows.

    Raises:
        DataError: The file cannot be read, or holds nothing that could be used.
    """
    read = readable(file, Known.of(store) if known is None else known, dataset, source)
    contents, lonely = _without_lonely(store, read.contents)
    refused = [*read.refused, *(f"{file}: {text}" for text in lonely)]
    _something_or_error(file, contents, refused)
    made = read.elsewhere.contents()
    prompts = {one.hash: prompt_name(one) for one in made.prompts}
    labelers = {one.key: one.name for one in made.labelers}
    named = {(prompts[key.prompt], labelers[key.labeler])
             for key in (one.answer.key for one in made.answers)}  # fmt: skip
    new = store.merge(contents)
    return Imported(new, tuple(refused), tuple(sorted(named)), read.elsewhere.unchecked)


def _something_or_error(file: Path, contents: Contents, refused: Sequence[str]) -> None:
    if refused and not any(getattr(contents, one.name) for one in fields(contents)):
        raise DataError(f"{file}: holds nothing that can be taken in; {refused[0]}")


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


def _read_table(file: Path) -> list[dict[str, Any]]:
    import pandas as pd

    try:
        if form_of(file) == "csv":
            return pd.read_csv(file, dtype=str, keep_default_na=False).to_dict("records")
        from pyarrow import parquet

        return parquet.read_table(file).to_pylist()  # pandas makes arrays of lists
    except ImportError as error:
        raise DataError(f"{file}: {PYARROW}") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: is no readable table ({error})") from error

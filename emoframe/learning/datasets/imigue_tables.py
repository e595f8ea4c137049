"""Rows of numbers from iMiGUE's xlsx and CSV files, which have no header.

Why not pandas: it reads a sheet of 21 MB whole before the first row can be looked at, and takes
the first frame for a header unless told otherwise, as one public loader did.
"""

from __future__ import annotations

import csv
import math
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import numpy as np
from numpy.typing import NDArray

from emoframe.core.errors import ComponentError, DataError

BROKEN = (
    *(zipfile.BadZipFile, zlib.error, ParseError, csv.Error),
    *(KeyError, IndexError, ValueError, EOFError, OSError),
)
"""What a damaged file raises, whichever of its layers is hit."""
LOOK = 250
"""Rows to look for the first full one in: ten seconds."""


def find_width(path: Path, wanted: int) -> int | None:
    """Return the number of columns, None where there is no row.

    Reads no further than to the first row of `wanted` columns or more, and `LOOK` rows at most:
    the cells of a frame without numbers, as at the start of a video, may not be written.

    Raises:
        DataError: It is damaged or holds text.
        ComponentError: It is an xlsx, and openpyxl is not installed.
    """
    widest = None
    for number, row in enumerate(islice(_rows(path), LOOK), 1):
        widest = max(widest or 0, len(_numbers(path, number, row)))
        if widest >= wanted:
            break
    return widest


def read_table(path: Path, width: int) -> NDArray[np.float32]:
    """Read every row, (T, `width`); NaN where a cell is empty.

    A row of xlsx may end early, since empty cells at its end are not written; one of CSV may not.

    Raises:
        DataError: It is damaged, holds text, or has another number of columns.
        ComponentError: It is an xlsx, and openpyxl is not installed.
    """
    table = [_numbers(path, number, row) for number, row in enumerate(_rows(path), 1)]
    widest = max((len(row) for row in table), default=width)
    for number, row in enumerate(table, 1):
        if widest != width or (len(row) != width and path.suffix != ".xlsx"):
            raise DataError(
                f"{path}: row {number} has {len(row)} columns and the longest {widest}; {width} "
                "are expected in each"
            )
    padded = [np.pad(row, (0, width - len(row)), constant_values=math.nan) for row in table]
    return np.stack(padded) if padded else np.zeros((0, width), np.float32)


def unreadable(path: Path, error: BaseException) -> DataError:
    """Return the sentence for a damaged file."""
    return DataError(f"{path}: cannot be read ({error}); it is damaged, copy it again")


def _numbers(path: Path, number: int, row: Sequence[Any]) -> NDArray[np.float32]:
    try:
        return np.array([math.nan if cell in (None, "") else cell for cell in row], np.float32)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{path}, row {number}: holds something that is no number; iMiGUE's skeletons have no "
            "header and no text"
        ) from error


def _rows(path: Path) -> Iterator[Sequence[Any]]:
    """Yield the rows; none where the file is empty."""
    if path.stat().st_size == 0:
        return
    try:
        yield from _xlsx_rows(path) if path.suffix.lower() == ".xlsx" else _csv_rows(path)
    except BROKEN as error:
        raise unreadable(path, error) from error


def _csv_rows(path: Path) -> Iterator[list[str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        yield from (row for row in csv.reader(file) if row)


def _xlsx_rows(path: Path) -> Iterator[Sequence[Any]]:
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise ComponentError(
            f"{path}: reading an xlsx needs the package openpyxl; run: pip install openpyxl"
        ) from error
    with path.open("rb") as file:
        sheet = load_workbook(file, read_only=True, data_only=True).worksheets[0]
        sheet.reset_dimensions()  # some writers state a wrong size, which would cut the sheet
        blank = 0
        for row in sheet.iter_rows(values_only=True):
            if all(cell is None for cell in row):
                blank += 1  # a frame without numbers, or formatting after the last one
                continue
            yield from [(None,)] * blank
            blank = 0
            yield row

"""Reports on weak labels: the same sections for the terminal, for programs and for a page.

Decided here: a mark that nobody may overlook (simulated labels; a prompt that came after a look at
the test labels) is put into every title, before every line, into every row of the data and onto
every picture in one place, so that no report can forget it. A page holds its pictures, which lie
beside it as PNG too, and so does all of it as JSON. What has no room in a table (how an interval
came about, columns beyond `Section.brief`) stands below it, or in the JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from emoframe.core.files import write_text
from emoframe.evidence.grouped import Told
from emoframe.evidence.pictures import figures
from emoframe.evidence.pictures.page import Drawing
from emoframe.evidence.stats import Interval

HOW, MARKS = "interval", "marks"
_COUNTS = re.compile(r" over \d+ subjects( \(\d+ items\))?")
ASIDE = (HOW, MARKS)
"""Columns that are the same in most rows, and stand outside of the table."""


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes:
        title: What it is about.
        lines: Sentences.
        rows: A table; every row has the same columns.
        drawing: A figure, for the page.
        brief: Columns that people are shown; empty for all.
    """

    title: str
    lines: tuple[str, ...] = ()
    rows: tuple[Mapping[str, Any], ...] = ()
    drawing: Drawing | None = None
    brief: tuple[str, ...] = ()

    @property
    def table(self) -> list[dict[str, str]]:
        """The table for people: its cells in words, without what stands below it."""
        return [
            {
                key: cell(value)
                for key, value in row.items()
                if key in self.brief or (not self.brief and key not in ASIDE)
            }
            for row in self.rows
        ]

    @property
    def below(self) -> list[str]:
        """What is said below the table: how its intervals came about."""
        how = [str(row[HOW]) for row in self.rows if row.get(HOW)]
        told = dict.fromkeys(_COUNTS.sub(" by subject", one) for one in how)
        return [f"Intervals: {'; '.join(told)}."] if told else []


@dataclass(frozen=True)
class Report:
    """What is told of weak labels.

    Attributes:
        title: What was asked about.
        about: Which labels, of whom, on what.
        plain: Its sections, unmarked.
        marks: What nobody may overlook.
        items: What is known of single items, for programs.
    """

    title: str
    about: str
    plain: tuple[Section, ...]
    marks: tuple[str, ...] = ()
    items: tuple[Mapping[str, Any], ...] = ()

    @property
    def sections(self) -> list[Section]:
        """The sections, with the marks in every title, before every line and in every row."""
        if not self.marks:
            return list(self.plain)
        marks = ", ".join(self.marks)
        return [
            replace(
                one,
                title=f"{one.title} ({marks})",
                lines=tuple(f"[{marks}] {line}" for line in one.lines),
                rows=tuple({MARKS: marks, **row} for row in one.rows),
            )
            for one in self.plain
        ]

    def data(self) -> dict[str, Any]:
        """Return everything as plain data."""
        sections = [
            {
                "title": one.title,
                "lines": list(one.lines),
                "rows": [{key: _data(value) for key, value in row.items()} for row in one.rows],
            }
            for one in self.sections
        ]
        about = {"title": self.title, "about": self.about, "marks": list(self.marks)}
        return {**about, "sections": sections, "items": [dict(one) for one in self.items]}

    def write(self, path: Path) -> Path:
        """Write the page, its pictures and its numbers as JSON beside it, and return its path."""
        templates = Environment(
            loader=PackageLoader("emoframe", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
        )
        drawn = [
            (one, one.drawing and _picture(one.drawing, path.parent, self.marks))
            for one in self.sections
        ]
        remarks = [REMARKS.get(mark, mark) for mark in self.marks]
        page = templates.get_template("labels.html").render(
            title=self.title, about=self.about, remarks=remarks, sections=drawn
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, page)
        write_text(path.with_suffix(".json"), json.dumps(self.data(), indent=1, default=str))
        return path


REMARKS = {
    "simulated": "Simulated labels: no model saw these videos, and no number here says anything "
    "about one.",
    "after test was opened": "The prompt was first used after the test labels of this data set had "
    "been opened: whoever wrote it may have learnt from them.",
}
"""What a mark means, for the page."""


def cell(value: Any) -> str:
    """Write a cell: a number with three digits, an interval, or words; nothing for None."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3f}" if isfinite(value) else "not measurable"
    return str(value)


def row_of(
    measure: str, value: Told, baseline: float | str = "", count: int | str = ""
) -> dict[str, Any]:
    """Return a row that says a number, its baseline, its n and how its interval was computed."""
    how = value.method if isinstance(value, Interval) else ""
    return {"measure": measure, "value": value, "baseline": baseline, "n": count, HOW: how}


def both(one: Told, other: Told) -> str:
    """Write two numbers beside each other."""
    return f"{cell(one)} against {cell(other)}"


def clear(one: Told, than: float = 0.0) -> bool:
    """Whether an interval lies above a number."""
    return isinstance(one, Interval) and one.low > than


def _data(value: Any) -> Any:
    if isinstance(value, Interval):
        return vars(value)
    if isinstance(value, float) and not isfinite(value):
        return "not measurable"
    return value


def _picture(drawing: Drawing, folder: Path, marks: Sequence[str]) -> str:
    if marks:
        drawing.figure.suptitle(", ".join(marks), color="#b00020", fontsize="medium")
    folder.mkdir(parents=True, exist_ok=True)
    return figures.data_url(figures.save(drawing.figure, folder / f"{drawing.name}.png"))

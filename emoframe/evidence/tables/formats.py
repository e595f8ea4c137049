"""A table of rows on a terminal, in Markdown, LaTeX and HTML, and in full as CSV and JSON.

Decided here: all formats print the same cells; what only a program reads (the value of each seed,
how an interval was computed) stays in CSV and JSON. A terminal of 100 columns is narrower than the
table, so that it is cut there in two: how good each row is, and how it stands against the first.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from emoframe.core.errors import RunError
from emoframe.core.files import replacing, write_text
from emoframe.core.schema import plain
from emoframe.evidence.significance import Test
from emoframe.evidence.stats import Interval

HOW_GOOD = ("accuracy", "balanced accuracy", "AUC", "ECE", "Brier", "majority", "mode", "failed")
STANDING = (
    "difference", "p", "p (Holm)", "McNemar", "published", "parameters", "ms per step",
)  # fmt: skip
PRINTED = (*HOW_GOOD[:-2], *STANDING, "mode", "comparable", "failed")
POINTS = ("difference", "difference over seeds")
LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip


@dataclass(frozen=True)
class Cells:
    """A table as texts.

    Attributes:
        head: Names of the columns.
        rows: One text per column.
        bold: Whether a row stands out.
    """

    head: list[str]
    rows: list[list[str]]
    bold: list[bool]


def cells(table: pd.DataFrame, columns: Sequence[str] = PRINTED) -> Cells:
    """Return what is printed of a table, of those of the columns that it has."""
    head = ["row", *(name for name in columns if name in table)]
    found: list[dict[str, Any]] = table.to_dict("records")
    rows = [[text(name, row[name]) for name in head] for row in found]
    return Cells(head, rows, [row["row"] in table.attrs["bold"] for row in found])


def text(column: str, value: Any) -> str:
    """Return a cell as it is printed; empty for what is not there."""
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return ""
    if isinstance(value, Interval):
        sign = "+" if column in POINTS and round(value.value, 3) > 0 else ""
        return f"{sign}{value}"
    if isinstance(value, Test):
        return _p(value.p)
    if column == "p (Holm)":
        return _p(value)
    if column == "published":
        return f"{value:g} %"
    if column in ("AUC", "ECE", "Brier") and isinstance(value, str):
        return "see notes"
    if column == "majority":
        return f"{value:.3f}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def terminal(table: pd.DataFrame) -> list[Cells]:
    """Return a table in parts that are no wider than 100 letters; an interval has its own line."""
    parts = [cells(table, HOW_GOOD)]
    if "difference" in table or "parameters" in table:
        parts.append(cells(table, STANDING))
    return [
        Cells(
            part.head, [[one.replace(" [", "\n[") for one in row] for row in part.rows], part.bold
        )
        for part in parts
    ]


def markdown(table: pd.DataFrame) -> str:
    """Return a table and its caption in Markdown."""
    found = cells(table)

    def line(items: Sequence[str]) -> str:
        return "| " + " | ".join(one.replace("|", "\\|").replace("\n", " ") for one in items) + " |"

    rows = [
        line([f"**{one}**" if bold and one else one for one in row])
        for row, bold in zip(found.rows, found.bold, strict=True)
    ]
    under = ["|" + "---|" * len(found.head)]
    said = [f"- {one}" for one in table.attrs["caption"].splitlines()]
    return "\n".join([line(found.head), *under, *rows, "", *said, ""])


def latex(table: pd.DataFrame) -> str:
    """Return a table and its caption in LaTeX, for the package booktabs."""
    found = cells(table)
    rows = [
        [rf"\textbf{{{_tex(one)}}}" if bold and one else _tex(one) for one in row]
        for row, bold in zip(found.rows, found.bold, strict=True)
    ]
    body = pd.DataFrame(rows, columns=[_tex(name) for name in found.head])
    said = "; ".join(_tex(one) for one in table.attrs["caption"].splitlines())
    return body.to_latex(index=False, escape=False, caption=f"{said}.", position="t")


def _tex(given: str) -> str:
    return "".join(LATEX.get(letter, letter) for letter in given.replace("\n", " "))


def html(table: pd.DataFrame, title: str) -> str:
    """Return a table and its caption as one page that needs nothing else."""
    environment = Environment(
        loader=PackageLoader("emoframe", "templates"), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("ablation.html").render(
        title=title, cells=cells(table), caption=table.attrs["caption"].splitlines()
    )


def save(table: pd.DataFrame, folder: Path, split: str) -> None:
    """Write a table as `ablation-SPLIT` in every format: csv, json, md, tex and html.

    Raises:
        RunError: The folder cannot be written to.
    """
    name = f"ablation-{split}"
    whole = {
        "caption": table.attrs["caption"],
        "first": table.attrs["first"],
        "bold": table.attrs["bold"],
        "rows": plain(table.to_dict("records")),
    }
    written = {
        "json": json.dumps(whole, indent=1),
        "md": markdown(table),
        "tex": latex(table),
        "html": html(table, f"{folder.resolve().name}, {split}"),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / f"{name}.csv") as partial:
            table.to_csv(partial, index=False)
        for suffix, content in written.items():
            write_text(folder / f"{name}.{suffix}", content)
    except OSError as error:
        raise RunError(f"{folder} cannot hold the table: {error}") from error

"""`emoframe compare A B...`: runs and tables of predictions side by side, paired by item."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from emoframe.cli.output import PIPED, Json, as_json, note, one_line

if TYPE_CHECKING:
    import pandas as pd


def command(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="A B...",
            help="Runs, rows of an ablation, or CSV files of video_id,prob; the first is what the "
            "others are compared with.",
        ),
    ],
    split: Annotated[
        Literal["val", "held", "test"] | None,
        typer.Option(help="What they are judged on; default: held where there are folds, or val."),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why the test labels are opened; recorded.")] = "",
    positive: Annotated[
        str, typer.Option(metavar="CLASS", help="Whose probability `prob` is; default: the second.")
    ] = "",
    json: Json = False,
) -> None:
    """Compare runs and CSV files by the items that all of them judged."""
    from emoframe import api
    from emoframe.core.schema import plain

    table = api.compare(sources, split or "", reason, positive)
    as_json(plain(table.to_dict("records"))) if json else show(table)
    note(table.attrs["caption"])


def show(table: pd.DataFrame) -> None:
    """Print a table of rows, in parts where it is wide."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from emoframe.evidence.tables.formats import terminal

    width = None if sys.stdout.isatty() else PIPED
    console = Console(width=width, highlight=False, markup=False)
    for part in terminal(table):
        shown = Table(box=None, pad_edge=False)
        for name in part.head:
            shown.add_column(name, overflow="fold", no_wrap=name not in ("row", "failed"))
        for row, bold in zip(part.rows, part.bold, strict=True):
            lines = ("\n".join(map(one_line, cell.split("\n"))) for cell in row)
            shown.add_row(*(Text(cell, style="bold" if bold else "") for cell in lines))
        console.print(shown)
    for row in table.to_dict("records"):
        if row.get("comparable"):
            note(f"{row['row']}, published: {row['comparable']}")

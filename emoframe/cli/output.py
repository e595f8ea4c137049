"""How commands print: a table for people, JSON for programs, plain lines where nobody watches.

Decided here: nothing that a model, a service or a file name says can do anything to a terminal:
whatever is printed goes through `harmless`.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

PIPED, SHORT = 240, 24
"""Width of a table that no terminal shows; most letters of a column that is not folded."""
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ConfigFile = Annotated[Path, typer.Argument(help="A config, or the name of a shipped one.")]
Overrides = Annotated[list[str] | None, typer.Argument(help="key=value, checked like the file.")]


def harmless(text: str) -> str:
    """Write text so that it can do nothing to a terminal; lines stay lines.

    Undecodable bytes of a file name, which no terminal takes, are written in letters, too.
    """
    return "".join(
        one if one.isprintable() or one == "\n" or unicodedata.category(one) == "Zs"
        else repr(one)[1:-1]
        for one in text
    )  # fmt: skip


def one_line(text: str) -> str:
    """Write text harmless and on one line."""
    return harmless(" ".join(text.split()))


def say(text: str) -> None:
    """Print to stdout."""
    typer.echo(harmless(text))


def note(text: str) -> None:
    """Print to stderr, so that stdout stays what a program reads."""
    typer.echo(harmless(text), err=True)


def as_json(value: Any) -> None:
    """Print plain data as JSON."""
    say(json.dumps(value, indent=2, default=str))


def rows(items: Sequence[Mapping[str, Any]]) -> None:
    """Print rows as a table; columns are the keys of the first.

    Where a terminal is too narrow, long columns are folded before short ones.
    """
    from rich.console import Console  # 50 ms that `--help` does not need
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else PIPED, highlight=False, markup=False)
    table = Table(box=None, pad_edge=False)
    names = list(items[0]) if items else []
    cells = [[_cell(item.get(name)) for name in names] for item in items]
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    short = [width if width <= SHORT else 0 for width in widths]
    fits = sum(short) + len(names) + SHORT <= console.width
    for name, width in zip(names, short, strict=True):
        table.add_column(name, overflow="fold", no_wrap=bool(width) and fits)
    for row in cells:
        table.add_row(*row)
    console.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return "" if value is None else one_line(str(value))


class Steps:
    """Progress that nobody watches: one plain line on stderr per finished step."""

    def __init__(self, what: str, total: int) -> None:
        """Start at nothing done."""
        self.what, self.total, self.done = what, total, 0

    def step(self, text: str, done: int | None = None) -> None:
        """Count one finished step, or say how many there are now, and say what it was."""
        self.done = self.done + 1 if done is None else done
        note(f"{self.what} {self.done}/{self.total} {one_line(text)}")

    def tell(self, text: str) -> None:
        """Say where the step in flight is; lines that nobody watches are left out."""


class Bar(Steps):
    """Progress on a terminal: one bar, with what is in flight beside it."""

    def __init__(self, what: str, total: int, bar: Any) -> None:
        """Draw the bar."""
        super().__init__(what, total)
        self.bar, self.task = bar, bar.add_task(what, total=total, text="")

    def step(self, text: str, done: int | None = None) -> None:
        """Move the bar on."""
        self.done = self.done + 1 if done is None else done
        self.bar.update(self.task, completed=self.done, text=one_line(text))

    def tell(self, text: str) -> None:
        """Change the text beside the bar."""
        self.bar.update(self.task, text=one_line(text))


@contextmanager
def progress(what: str, total: int) -> Iterator[Steps]:
    """Show progress while the block runs: a bar on a terminal, else plain lines."""
    if not sys.stderr.isatty():
        yield Steps(what, total)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[text]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield Bar(what, total, bar)

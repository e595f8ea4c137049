"""How commands print: a table for people, JSON for programs, plain lines where nobody watches."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Overrides = Annotated[list[str] | None, typer.Argument(help="key=value, checked like the file.")]


def say(text: str) -> None:
    """Print a line to stdout."""
    typer.echo(_printable(text))


def note(text: str) -> None:
    """Print a line to stderr, so that stdout stays what a program reads."""
    typer.echo(_printable(text), err=True)


def as_json(value: Any) -> None:
    """Print plain data as JSON."""
    say(json.dumps(value, indent=2, default=str))


def rows(items: Sequence[Mapping[str, Any]]) -> None:
    """Print rows as a table; columns are the keys of the first."""
    from rich.console import Console  # 50 ms that `--help` does not need
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for key in items[0] if items else ():
        table.add_column(key, overflow="fold")
    for item in items:
        table.add_row(*(_cell(value) for value in item.values()))
    width = None if sys.stdout.isatty() else 240
    Console(width=width, highlight=False, markup=False).print(table)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return "" if value is None else _printable(str(value))


def _printable(text: str) -> str:
    """Write a file name of undecodable bytes, which no terminal takes, in letters."""
    return text.encode("utf-8", "backslashreplace").decode()


class Steps:
    """Progress that nobody watches: one plain line on stderr per finished step."""

    def __init__(self, what: str, total: int) -> None:
        """Start at nothing done."""
        self.what, self.total, self.done = what, total, 0

    def step(self, text: str, done: int | None = None) -> None:
        """Count one finished step, or say how many there are now, and say what it was."""
        self.done = self.done + 1 if done is None else done
        note(f"{self.what} {self.done}/{self.total} {text}")

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
        self.bar.update(self.task, completed=self.done, text=text)

    def tell(self, text: str) -> None:
        """Change the text beside the bar."""
        self.bar.update(self.task, text=text)


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
        TextColumn("{task.fields[text]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield Bar(what, total, bar)

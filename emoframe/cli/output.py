"""How commands print: a table for people, JSON for programs, plain lines where nobody watches."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Overrides = Annotated[list[str] | None, typer.Argument(help="key=value, checked like the file.")]


def say(text: str) -> None:
    """Print a line to stdout."""
    typer.echo(text)


def note(text: str) -> None:
    """Print a line to stderr, so that stdout stays what a program reads."""
    typer.echo(text, err=True)


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
    return "" if value is None else str(value)


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[str], None]]:
    """Show progress while the block runs; call what it yields once per finished step.

    A bar on a terminal, else one plain line per step on stderr.
    """
    if not sys.stderr.isatty():
        done = 0

        def line(text: str) -> None:
            nonlocal done
            done += 1
            note(f"{what} {done}/{total} {text}")

        yield line
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
        task = bar.add_task(what, total=total, text="")
        yield lambda text: bar.update(task, advance=1, text=text)

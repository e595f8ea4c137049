"""`emoframe study noise`: how wrong weak labels may be, measured against theory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emoframe.cli.output import Json, as_json, note, progress, rows, say

commands = typer.Typer(
    help="Studies of a method on made-up data, where the truth is known.", no_args_is_help=True
)


@commands.callback()
def _commands() -> None:
    """Studies of a method on made-up data, where the truth is known."""


@commands.command()
def noise(
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder for the page, its figures and tables.")
    ] = Path("noise_study"),
    seeds: Annotated[int, typer.Option(min=2, help="Training sets of each point.")] = 100,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few rates and heads: a look, not a result.")
    ] = False,
    json: Json = False,
) -> None:
    """Measure what weak labels bring a linear head over noise rate, type, amount, weight and loss.

    Against n_eff(w) = (n + w m (1 - 2e))^2 / (n + w^2 m), and against correcting the prior alone.
    """
    from emoframe.evidence.noise_window.page import report, write
    from emoframe.evidence.noise_window.study import steps, study

    with progress("part", steps(quick=quick)) as bar:
        found = study(seeds, quick=quick, on_step=bar.step)
    told = report(found)
    if json:
        as_json(told.data())
    else:
        say(f"{told.title}: {told.about}")
        for section in told.sections:
            say(f"\n{section.title}")
            for line in section.lines:
                say(f"  {line}")
            if section.rows:
                rows(section.table)
    note(f"{write(told, out)}\nthe numbers are beside it: noise.csv, noise.json")

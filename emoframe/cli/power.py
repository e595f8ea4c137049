"""`emoframe power WHAT`: the smallest difference that could be detected, before anything is run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emoframe.cli.output import Json, Overrides, as_json, note, rows

if TYPE_CHECKING:
    from emoframe.evidence.sizes import Cohort


def command(
    what: Annotated[
        str,
        typer.Argument(help="A protocol of iMiGUE, as miga_emotion; a config; or a run folder."),
    ],
    overrides: Overrides = None,
    accuracy: Annotated[float, typer.Option(help="Assumed accuracy of the worse network.")] = 0.7,
    icc: Annotated[
        float, typer.Option(help="Assumed correlation of two items of one subject.")
    ] = 0.1,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds that a result is averaged over.")] = 1,
    json: Json = False,
) -> None:
    """Print which difference between two networks a test by subject would find."""
    from emoframe.evidence.power import power_table

    table = power_table(_judged(what, overrides or []), accuracy, icc, seeds)
    found = table.to_dict("records")
    as_json(found) if json else rows(found)
    note(table.attrs["caption"])


def _judged(what: str, overrides: list[str]) -> list[Cohort]:
    from emoframe import api
    from emoframe.core.registry import create
    from emoframe.evidence import sizes
    from emoframe.learning.run import CARD

    if what.removeprefix("imigue:") in sizes.names():
        return sizes.of_protocol(what)
    if (Path(what) / CARD).is_file():
        return sizes.of_run(Path(what))
    return sizes.of_dataset(create("dataset", api.load(what, overrides).dataset))

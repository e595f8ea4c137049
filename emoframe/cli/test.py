"""`emoframe test RUN...`: open the sealed test labels, write that down, and score."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emoframe.cli.output import Json, as_json, note, progress, rows


def command(
    runs: Annotated[list[Path], typer.Argument(help="Run folders; several are seeds of one.")],
    reason: Annotated[str, typer.Option(help="Why the test labels are opened; recorded.")],
    json: Json = False,
) -> None:
    """Score runs on test; each opening is recorded in the run."""
    from emoframe import api

    opened = [api.load_run(run) for run in runs]
    with progress("run", len(opened)) as bar:
        table = api.summary(opened, "test", reason, on_run=lambda run: bar.step(str(run.folder)))
    found = table.to_dict("records")
    as_json(found) if json else rows(found)
    note(table.attrs["caption"])

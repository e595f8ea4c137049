"""`emoframe reproduce RUN`: train a run again from its record, and say whether it is the same."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emoframe.cli.output import Json, as_json, note, progress, rows, say
from emoframe.core.errors import EXIT_SOME_FAILED


def command(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run.")],
    into: Annotated[
        Path | None, typer.Option(help="Folder of the second training; default RUN/reproduced.")
    ] = None,
    json: Json = False,
) -> None:
    """Train a run again; exit code 0 the same, 1 different, 2 impossible. Test is not opened."""
    from emoframe.core.schema import plain
    from emoframe.evidence.reproduce import reproduce
    from emoframe.learning.run import load_run

    opened = load_run(run)
    with progress("epoch", opened.asked.train.epochs) as bar:
        found = reproduce(
            opened,
            into,
            on_epoch=lambda row: bar.step(
                f"{row['stage']} validation loss {row['val_loss']:.3f}".strip(), int(row["epoch"])
            ),
        )
    if json:
        as_json({**plain(found), "verdict": found.verdict})
    else:
        rows(
            [
                {"what": one.what, "verdict": one.verdict, "detail": one.detail}
                for one in found.checks
            ]
        )
        say(
            f"{found.verdict}{f': {found.first.what}: {found.first.detail}' if found.first else ''}"
        )
    for change in found.environment:
        note(f"{change.what} was {change.was}, now {change.now}")
    note(f"the second training is in {found.folder}")
    if found.verdict == "different":
        raise typer.Exit(EXIT_SOME_FAILED)

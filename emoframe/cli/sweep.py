"""`emoframe sweep FILE`: train the rows of a sweep one by one and print them in one table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emoframe.cli.output import Json, Overrides, as_json, note, progress, rows
from emoframe.core.errors import EXIT_SOME_FAILED


def command(
    file: Annotated[Path, typer.Argument(help="A sweep file, or the name of a shipped one.")],
    overrides: Overrides = None,
    run: Annotated[
        Path | None, typer.Option(help="Folder of the rows and their seeds; default runs/FILE.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="How many seeds, instead of what FILE says.")
    ] = None,
    test: Annotated[
        str, typer.Option(metavar="REASON", help="Open test afterwards; say why.")
    ] = "",
    json: Json = False,
) -> None:
    """Train the rows of a sweep; what is finished is not trained again."""
    from emoframe import api
    from emoframe.core.schema import plain

    more = [f"seeds={seeds}"] if seeds else []
    sweep = api.load_sweep(file, [*(overrides or []), *more])
    folder = run or Path("runs") / file.stem
    with progress("run", sum(len(row) for row in sweep.values())) as bar:
        table = api.sweep(
            sweep,
            folder,
            test=test,
            on_epoch=lambda where, row: bar.tell(
                f"{where}: epoch {row['epoch']:g}, validation loss {row['val_loss']:.3f}, "
                f"accuracy {row['val_accuracy']:.3f}"
            ),
            on_run=lambda where, reason: bar.step(
                f"{where} {f'failed: {reason}' if reason else 'trained'}"
            ),
        )
    found = table.to_dict("records")
    as_json(plain(found)) if json else rows(found)
    note(f"{table.attrs['caption']}\nruns and the table are in {folder}")
    if "failed" in table:
        raise typer.Exit(EXIT_SOME_FAILED)

"""`emoframe ablate FILE`: train the rows of an ablation and print them in one table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from emoframe.cli.compare import show
from emoframe.cli.output import Json, Overrides, as_json, note, progress
from emoframe.core.errors import EXIT_SOME_FAILED


def command(
    file: Annotated[Path, typer.Argument(help="An ablation, or the name of a shipped one.")],
    overrides: Overrides = None,
    run: Annotated[
        Path | None, typer.Option(help="Folder of the rows and their seeds; default runs/FILE.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="How many seeds, instead of what FILE says.")
    ] = None,
    folds: Annotated[
        int | None, typer.Option(min=0, help="How many folds, instead of what FILE says.")
    ] = None,
    test: Annotated[
        str, typer.Option(metavar="REASON", help="Open test afterwards; say why.")
    ] = "",
    jobs: Annotated[int, typer.Option(min=1, help="How many train at once.")] = 1,
    executor: Annotated[
        Literal["local", "ray"], typer.Option(help="This machine, or a Ray cluster.")
    ] = "local",
    json: Json = False,
) -> None:
    """Train the rows of an ablation; what is finished is not trained again."""
    from emoframe import api
    from emoframe.core.schema import plain

    given = {"seeds": seeds, "folds": folds}
    more = [f"{name}={value}" for name, value in given.items() if value is not None]
    rows = api.load_ablation(file, [*(overrides or []), *more])
    folder = run or Path("runs") / file.stem
    with progress("run", sum(len(row.experiments) for row in rows.values())) as bar:
        table = api.ablate(
            rows,
            folder,
            test=test,
            on_epoch=lambda where, row: bar.tell(
                f"{where}: epoch {row['epoch']:g}, validation loss {row['val_loss']:.3f}, "
                f"accuracy {row['val_accuracy']:.3f}"
            ),
            on_run=lambda where, reason: bar.step(
                f"{where} {f'failed: {reason}' if reason else 'trained'}"
            ),
            jobs=jobs,
            executor=executor,
        )
    as_json(plain(table.to_dict("records"))) if json else show(table)
    note(f"{table.attrs['caption']}\nruns and the table, in five formats, are in {folder}")
    if "failed" in table:
        raise typer.Exit(EXIT_SOME_FAILED)

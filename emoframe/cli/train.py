"""`emoframe train CONFIG`: train one or several seeds, resuming whatever was interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emoframe.cli.output import Json, Overrides, as_json, note, progress, rows


def command(
    file: Annotated[Path, typer.Argument(help="A config, or the name of a shipped one.")],
    overrides: Overrides = None,
    run: Annotated[
        Path | None, typer.Option(help="Folder of the runs, one per seed; default runs/CONFIG.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, from `seed` on.")] = 1,
    test: Annotated[
        str, typer.Option(metavar="REASON", help="Open test afterwards; say why.")
    ] = "",
    json: Json = False,
) -> None:
    """Train a config; an interrupted run goes on where it stopped."""
    from emoframe import api

    experiment = api.load(file, overrides or [])
    if test:
        api.check_reason(test)
    folder = run or Path("runs") / file.stem
    runs: list[api.Run] = []
    for one in api.seeds_of(experiment, seeds):
        with progress(f"seed {one.seed}: epoch", one.train.epochs) as bar:
            runs.append(
                api.train(
                    one,
                    folder / f"seed-{one.seed}",
                    on_epoch=lambda row: bar.step(
                        f"train loss {row['train_loss']:.3f}, validation loss "
                        f"{row['val_loss']:.3f}, accuracy {row['val_accuracy']:.3f}",
                        int(row["epoch"]),
                    ),
                )
            )
    table = api.summary(runs, "test" if test else "val", test)
    found = table.to_dict("records")
    as_json(found) if json else rows(found)
    note(f"{table.attrs['caption']}\nruns are in {folder}")

"""`emoframe train CONFIG`: train one or several seeds, resuming whatever was interrupted.

`torchrun --nproc_per_node 2 -m -- emoframe train CONFIG --run R` shares each batch among two
processes. The lone `--` keeps torchrun from reading `--run` as an option of its own.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emoframe.cli.output import Json, Overrides, as_json, note, progress, rows
from emoframe.core.errors import EXIT_SOME_FAILED

if TYPE_CHECKING:
    from emoframe.learning.experiment import Experiment
    from emoframe.learning.run import Run


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
    if "LOCAL_RANK" in os.environ:  # else torch advises each process on how we call it
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    from emoframe import api
    from emoframe.learning.checkpoint import DivergedError
    from emoframe.learning.processes import joined

    folder = run or Path("runs") / file.stem
    try:
        with joined() as leads:
            experiment = api.load(file, overrides or [])
            if test:
                api.check_reason(test)
            runs = [
                _train(one, folder / f"seed-{one.seed}", watched=leads)
                for one in api.seeds_of(experiment, seeds)
            ]
    except DivergedError as error:
        if "--debug" in sys.argv:
            raise
        note(f"emoframe: {error}")
        raise typer.Exit(EXIT_SOME_FAILED) from error
    if not leads:
        return
    table = api.summary(runs, "test" if test else "val", test)
    found = table.to_dict("records")
    as_json(found) if json else rows(found)
    note(f"{table.attrs['caption']}\nruns are in {folder}")


def _train(one: Experiment, folder: Path, *, watched: bool) -> Run:
    """Train one seed, showing how far it is where somebody watches this process."""
    from emoframe import api

    if not watched:
        return api.train(one, folder)
    with progress(f"seed {one.seed}: epoch", one.train.epochs) as bar:
        return api.train(
            one,
            folder,
            on_epoch=lambda row: bar.step(
                f"train loss {row['train_loss']:.3f}, validation loss {row['val_loss']:.3f}, "
                f"accuracy {row['val_accuracy']:.3f}",
                int(row["epoch"]),
            ),
        )

"""`emoframe baselines CONFIG_OR_RUN`: what a result has to be better than."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emoframe.cli.output import Json, Overrides, as_json, note, rows, say
from emoframe.core.errors import DataError

if TYPE_CHECKING:
    from emoframe.evidence.beside.table import Beside


def command(
    what: Annotated[
        str,
        typer.Argument(metavar="CONFIG_OR_RUN", help="A config; or a run, or a folder of runs."),
    ],
    overrides: Overrides = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="How many seeds of a config, from `seed` on.")
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(min=0, help="Parts to judge in turn; 0: validation. Default: the config's."),
    ] = None,
    test: Annotated[
        bool, typer.Option("--test", help="On the test items of runs that were tested before.")
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    json: Json = False,
) -> None:
    """Judge by majority, nuisance variables, masks and the teacher, on the items of the runs.

    Runs stand in the first row, all other rows are then of their items, and it is told whether they
    just copy their teacher. Nothing here opens test.
    """
    from emoframe.cli.compare import show
    from emoframe.evidence.tables import formats

    found = _beside(what, overrides or [], seeds, folds, test=test)
    if json:
        as_json(found.data())
    elif markdown:
        say(formats.markdown(found.table))
    else:
        show(found.table)
        note(found.table.attrs["caption"])
    if found.copying is not None and not json:
        rows(found.copying.to_dict("records"))
        note(found.copying.attrs["caption"])


def _beside(
    what: str, overrides: list[str], seeds: int | None, folds: int | None, *, test: bool
) -> Beside:
    from emoframe import api
    from emoframe.evidence.beside.table import beside_config, beside_runs
    from emoframe.evidence.tables.sources import runs_in

    if not Path(what).is_dir():
        if test:
            raise DataError(
                f"{what} is no run folder, and test labels are opened for runs alone; leave --test "
                "out, or name a run that was tested"
            )
        return beside_config(api.load(what, overrides), seeds or 1, folds, on_row=note)
    if overrides or seeds is not None or folds is not None:
        raise DataError(
            f"{what} is a folder of runs, which have their own config, seeds and folds; leave the "
            "other arguments out, or name a config"
        )
    return beside_runs(what, runs_in(Path(what)), test=test, on_row=note)

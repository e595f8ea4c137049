"""A config or runs with their baselines beside them: what `emoframe baselines` prints.

Decided here: runs are read as they were scored, and their baselines are judged on their very items,
so that every difference is paired. Test labels are those that were opened when the runs were
tested; this opens none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from emoframe.core.errors import DataError
from emoframe.core.schema import plain
from emoframe.evidence.beside.baselines import baselines
from emoframe.evidence.beside.bench import Bench
from emoframe.evidence.beside.copying import against_teacher, untold
from emoframe.evidence.beside.teacher import teacher
from emoframe.evidence.tables.compare import side_by_side
from emoframe.evidence.tables.judged import Judged, of_runs
from emoframe.learning.experiment import Experiment
from emoframe.learning.run import Run

OnRow = Callable[[str], None]
REMARKS = (
    "whoever does no better than nuisance variables or masks was not shown to see any emotion",
    "AUC out of fold: chance is often below .5, since folds differ in the shares of their classes",
)


@dataclass(frozen=True)
class Beside:
    """Baselines, and what stands beside them.

    Attributes:
        table: One row each, see `emoframe.evidence.tables.compare.side_by_side`.
        copying: The runs against their teacher, see `emoframe.evidence.beside.copying`; None
            without either.
    """

    table: pd.DataFrame
    copying: pd.DataFrame | None = None

    def data(self) -> dict[str, Any]:
        """Return everything as plain data."""
        tables = {"baselines": self.table, "against the teacher": self.copying}
        return {
            name: {"caption": one.attrs["caption"], "rows": plain(one.to_dict("records"))}
            for name, one in tables.items()
            if one is not None
        }


def beside_config(
    experiment: Experiment,
    seeds: int = 1,
    folds: int | None = None,
    on_row: OnRow = lambda name: None,
) -> Beside:
    """Return the baselines of a config.

    Args:
        experiment: The experiment.
        seeds: How many, from its own on.
        folds: Parts that the training items are cut into; 0 judges validation. None takes what the
            config says.
        on_row: Called with the name of each baseline that is done.

    Raises:
        EmoframeError: The data set cannot be made, or cannot be cut so.
    """
    of = range(experiment.seed, experiment.seed + seeds)
    split = "held" if (experiment.folds if folds is None else folds) else "val"
    return Beside(_remarked(side_by_side(baselines(experiment, of, folds, on_row=on_row), split)))


def beside_runs(
    name: str, runs: Sequence[Run], *, test: bool = False, on_row: OnRow = lambda name: None
) -> Beside:
    """Return runs and their baselines on the items that the runs were scored on.

    Args:
        name: What their row is called.
        runs: Of one experiment, over seeds and folds.
        test: Whether on test, which must have been opened for each of them.
        on_row: Called with the name of each baseline that is done.

    Raises:
        RunError: They were not tested.
        EmoframeError: They cannot be scored, or their data set cannot be made.
    """
    asked = runs[0].asked
    split = "test" if test else "held" if asked.folds else "val"
    student = of_runs(name, runs, split)
    opened = {one.id: one.label for one in student.items if one.label is not None}
    seeds = student.seeds[:1] if test else student.seeds  # which decide no cut of test
    found = baselines(asked, seeds, opened=opened if test else None, on_row=on_row)
    rows = {
        key: row if isinstance(row, str) else on_items_of(student, row)
        for key, row in found.items()
    }
    taught = None
    if asked.weak_labels is not None:
        try:
            bench = Bench(asked, seeds, opened=opened if test else None)
            taught = against_teacher(student, teacher(bench, named_only=True))
        except DataError as error:
            taught = untold(error)
    return Beside(_remarked(side_by_side({name: student, **rows}, split, runs=runs)), taught)


def on_items_of(reference: Judged, row: Judged) -> Judged:
    """Return what a row says of those items that another judged, seed by seed.

    Raises:
        DataError: It says nothing of them.
    """
    every = {one.id for one in reference.items}
    alike = reference.seeds == row.seeds
    items = [{one.id for one in seed} for seed in reference.predictions] if alike else []
    told = [
        [one for one in seed if one.id in (items[n] if alike else every)]
        for n, seed in enumerate(row.predictions)
    ]
    if not all(told):
        raise DataError(f"{row.name} judged not one of the items of {reference.name}")
    return replace(row, predictions=told)


def _remarked(table: pd.DataFrame) -> pd.DataFrame:
    table.attrs["caption"] = "\n".join([table.attrs["caption"], *REMARKS])
    return table

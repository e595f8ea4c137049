"""What is given to be compared: run folders, folders of several seeds and folds, files of others.

Decided here: a file of another tool has no labels of its own. They come from the first run that is
named with it, through the door that every run uses; so test needs a reason here as everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import pandas as pd

from emoframe.core.errors import RunError
from emoframe.evidence.evaluate import SPLITS
from emoframe.evidence.tables.alike import one_mode, one_protocol
from emoframe.evidence.tables.compare import side_by_side
from emoframe.evidence.tables.judged import Judged, of_csv, of_runs
from emoframe.evidence.tables.pairs import aligned
from emoframe.learning.run import CARD, Run, load_run

RUNS = ("seed-*", "seed-*/fold-*", "fold-*")
"""Where the runs of a row lie below its folder."""


def runs_in(folder: Path) -> list[Run]:
    """Return a run, or the runs of every seed and fold of a row.

    Raises:
        RunError: There is none.
    """
    if (folder / CARD).is_file():
        return [load_run(folder)]
    places = sorted(path for pattern in RUNS for path in folder.glob(pattern))
    found = [load_run(path) for path in places if (path / CARD).is_file()]
    if not found:
        below = sorted(path.name for path in folder.iterdir() if path.is_dir())[:5]
        has = f"; it has the folders {', '.join(below)}" if below else ""
        raise RunError(
            f"{folder} is no run, and no folder of an ablation's row with runs in seed-* or "
            f"seed-*/fold-*{has}"
        )
    return found


def compare_sources(
    sources: Sequence[str | Path], split: str, reason: str, positive: str
) -> pd.DataFrame:
    """Put what is given in one table; parameters as in `emoframe.api.compare`.

    Raises:
        DataError: They are of other items, protocols or modes, or a file cannot be used.
        RunError: There is no run to take labels from, or one cannot be used.
    """
    runs = {str(path): runs_in(Path(path)) for path in sources if Path(path).is_dir()}
    _check(sources, runs, split)
    every = [run for own in runs.values() for run in own]
    one_protocol(run.card["protocol"] for run in every)
    one_mode({str(run.folder): run.mode for run in every})
    chosen = split or ("held" if every[0].experiment.folds else "val")
    rows = {name: of_runs(name, own, chosen, reason) for name, own in runs.items()}
    reference = next(iter(rows.values()))
    judged: dict[str, Judged | str] = {
        str(path): rows.get(str(path)) or of_csv(path, reference, positive) for path in sources
    }
    first, *others = [row for row in judged.values() if isinstance(row, Judged)]
    for row in others:
        aligned(first, row)
    return side_by_side(judged, chosen, runs=every)


def _check(sources: Sequence[str | Path], runs: dict[str, list[Run]], split: str) -> None:
    """Refuse what cannot be compared before anything is scored."""
    if split and split not in SPLITS:
        raise RunError(f"runs are compared on one of {', '.join(SPLITS)}, not on {split!r}")
    if lacking := [str(path) for path in sources if not Path(path).exists()]:
        raise RunError(f"there is no {', '.join(lacking)}; give run folders or CSV files")
    for one, two in combinations(sources, 2):
        if Path(one).resolve() == Path(two).resolve():
            raise RunError(f"{two} is given twice, and differs from itself in nothing")
    if not runs:
        raise RunError(
            f"{', '.join(map(str, sources))}: there is no run among these, and the labels of a "
            "file come from the run that it is compared with; name one, too"
        )

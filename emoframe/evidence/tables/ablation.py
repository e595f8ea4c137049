"""An ablation file: an experiment and named changes of it, each trained over seeds and folds.

Decided here: it is a config with four keys more (`Ablation`); its `base:` and every other key are
the experiment that the rows change. Every row is checked before the first is trained, and has the
seeds and folds of every other, so that whatever is compared is paired by item. What trains the rows
is `emoframe.api`, and `emoframe.evidence.tables.compare` puts the finished runs in one table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le

from emoframe.core import config
from emoframe.core.config import Config
from emoframe.core.errors import ConfigError, Problem, suggest
from emoframe.core.schema import fields, is_mapping
from emoframe.learning.experiment import Experiment

OWN = ("seed", "folds", "fold")
"""What all rows have in common, since they are paired by it."""


@dataclass(frozen=True)
class Row:
    """One row; in the file, a list stands for its overrides alone.

    Attributes:
        overrides: `key=value` items, over those of all rows.
        published: Accuracy that a paper reports for it, in percent; null where none does.
        comparable: What of that figure can and cannot be compared with ours, as a sentence.
    """

    overrides: list[str] = field(default_factory=lambda: [])
    published: Annotated[float, Ge(0), Le(100)] | None = None
    comparable: str = ""


@dataclass(frozen=True)
class Ablation:
    """What an ablation file says beside the experiment that its rows change.

    Attributes:
        rows: By the row's name; the others are compared with the first.
        overrides: `key=value` for every row, below the row's own.
        seeds: Trainings of each row, from the experiment's `seed` on.
        folds: Parts into which each seed cuts the training items, by subject, to judge all of them
            out of fold; 0 judges on validation or test.
    """

    rows: dict[str, Row]
    overrides: list[str] = field(default_factory=lambda: [])
    seeds: Annotated[int, Gt(0)] = 3
    folds: Annotated[int, Ge(0)] = 0

    @staticmethod
    def relations(data: Mapping[str, Any]) -> list[Problem]:
        """Find that there is no row, or that two would share a folder, in unchecked data."""
        found = list[Problem]()
        if data.get("folds") == 1:
            text = "is 1, which leaves nothing to train on; take 0 or at least 2"
            found.append(Problem("folds", text))
        rows = data.get("rows")
        if not is_mapping(rows):
            return found  # the checker says so
        names = [str(name) for name in rows]
        found += [] if names else [Problem("rows", "needs at least one row, as in `mlp: []`")]
        found += [
            Problem(f"rows.{name}", "has no letter or digit to name a folder by; rename it")
            for name in names
            if not row_folder(name)
        ]
        return found + [
            Problem(f"rows.{b}", f"has the same folder name as row {a!r}; rename one")
            for a, b in combinations(names, 2)
            if row_folder(a) == row_folder(b) != ""
        ]


@dataclass(frozen=True)
class Planned:
    """What is to be trained for a row, and what a paper says of it.

    Attributes:
        experiments: One per seed and fold.
        published: Accuracy that a paper reports, in percent.
        comparable: What of it can and cannot be compared.
    """

    experiments: Sequence[Experiment]
    published: float | None = None
    comparable: str = ""


def row_folder(name: str) -> str:
    """Return the folder name of a row: its letters and digits, hyphens for all else."""
    return re.sub(r"\W+", "-", name).strip("-").lower()


def run_folder(row: str, experiment: Experiment) -> Path:
    """Return where a run of a row lies below the folder of its ablation."""
    folder = Path(row_folder(row)) / f"seed-{experiment.seed}"
    return folder / f"fold-{experiment.fold}" if experiment.folds else folder


def seeds_of(experiment: Experiment, count: int, folds: int = 0) -> list[Experiment]:
    """Return an experiment once per seed, from its own on, and of each seed once per fold.

    Args:
        experiment: What is to be trained.
        count: Number of seeds.
        folds: Number of folds; 0 leaves the experiment's own.
    """
    seeds = [replace(experiment, seed=experiment.seed + n) for n in range(count)]
    return [
        replace(one, folds=folds, fold=fold) if folds else one
        for one in seeds
        for fold in range(max(folds, 1))
    ]


def mode_of(experiment: Experiment) -> str:
    """Return on which items weak labels are to be: `inductive`, `transductive`, empty for none.

    A single transductive stage makes all of it that, as for `Run.mode`.
    """
    weak = [experiment.weak, *(stage.weak for stage in experiment.stages.values())]
    modes = {one.mode for one in weak if one}
    return "transductive" if "transductive" in modes else "".join(modes)


def load_ablation(file: str | Path, overrides: Sequence[str] = ()) -> dict[str, Planned]:
    """Read an ablation file and check every row.

    Args:
        file: The file, or the name of a shipped one.
        overrides: `key=value` items over every row; `seeds=2` and `folds=5` change the ablation.

    Returns:
        What is to be trained for each row.

    Raises:
        ConfigError: With everything that is wrong with any row, two that are the same included.
    """
    source, given = config.load(file), config.layer(overrides)
    ablation = config.check(Ablation, _part(given.over(source), own=True))
    base, given = _part(source, own=False), _part(given, own=False)
    rows: dict[str, Experiment] = {}
    wrong: dict[str, Sequence[Problem]] = {}
    for name, row in ablation.rows.items():
        try:
            shared = config.layer(ablation.overrides, source.where("overrides"))
            own = config.layer(row.overrides, source.where(f"rows.{name}.overrides"))
            rows[name] = config.check(Experiment, given.over(own.over(shared.over(base))))
        except ConfigError as error:
            wrong[name] = error.problems
    problems = _by_row(wrong, len(ablation.rows))
    problems += _unpaired(ablation, list(rows), source)
    problems += [
        Problem(
            f"rows.{b}",
            f"resolves to the same experiment as row {a!r}; change or delete one",
            source.where(f"rows.{b}"),
        )
        for a, b in combinations(rows, 2)
        if rows[a] == rows[b]
    ]
    if problems:
        raise ConfigError(problems)
    return {
        name: Planned(
            seeds_of(experiment, ablation.seeds, ablation.folds),
            ablation.rows[name].published,
            ablation.rows[name].comparable,
        )
        for name, experiment in rows.items()
    }


def _unpaired(ablation: Ablation, rows: Sequence[str], source: Config) -> list[Problem]:
    """Find what would give a row of those that can be read other seeds or folds than the rest."""
    layers = {name: config.layer(ablation.rows[name].overrides).data for name in rows}
    changed = {f"rows.{name}": [key for key in OWN if key in own] for name, own in layers.items()}
    shared = config.layer(ablation.overrides).data if rows else {}
    changed["overrides"] = [key for key in ("folds", "fold") if key in shared]
    return [
        Problem(
            path,
            f"changes `{key}`; every row has the same seeds and folds, those of the ablation: its "
            "own `seed` and the `seeds` from there on, and its `folds`",
            source.where(path),
        )
        for path, keys in changed.items()
        for key in keys
    ]


def _part(source: Config, *, own: bool) -> Config:
    """Keep the keys of the ablation, or the experiment's; a misspelt one goes where it fits."""
    ours, theirs = list(fields(Ablation)), [key for key in fields(Experiment) if key != "folds"]
    mine = {
        key: key in ours or (key not in theirs and bool(suggest(key, ours))) for key in source.data
    }
    data = {key: value for key, value in source.data.items() if mine[key] == own}
    if is_mapping(rows := data.get("rows")):
        data["rows"] = {
            name: {"overrides": row} if isinstance(row, list) else row for name, row in rows.items()
        }
    return Config(data, source.origins, source.files)


def _by_row(wrong: Mapping[str, Sequence[Problem]], rows: int) -> list[Problem]:
    """List each problem once, with the rows that have it unless all of several do."""
    names: dict[Problem, list[str]] = {}
    for name, found in wrong.items():
        for problem in dict.fromkeys(found):
            names.setdefault(problem, []).append(repr(name))
    return [
        problem
        if len(having) == rows > 1
        else replace(problem, where=f"{problem.where}, row {', '.join(having)}")
        for problem, having in names.items()
    ]

"""A sweep file: an experiment and named changes of it, each to be trained over the same seeds.

It is a config with three keys more (`Sweep`); its `base:` and every other key are the experiment
that the rows change. Every row is checked before the first is trained. What trains them is
`emoframe.api`, and `emoframe.evidence.compare` puts the finished runs in one table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Gt

from emoframe.core import config
from emoframe.core.config import Config
from emoframe.core.errors import ConfigError, Problem, suggest
from emoframe.core.schema import fields, is_mapping
from emoframe.learning.experiment import Experiment


@dataclass(frozen=True)
class Sweep:
    """What a sweep file says beside the experiment that its rows change.

    Attributes:
        rows: Lists of `key=value` by the row's name; the others are compared with the first.
        overrides: `key=value` for every row, below the row's own.
        seeds: Trainings of each row, from the experiment's `seed` on.
    """

    rows: dict[str, list[str]]
    overrides: list[str] = field(default_factory=lambda: [])
    seeds: Annotated[int, Gt(0)] = 3

    @staticmethod
    def relations(data: Mapping[str, Any]) -> list[Problem]:
        """Find that there is no row, or that two would share a folder, in unchecked data."""
        rows = data.get("rows")
        if not is_mapping(rows):
            return []  # the checker says so
        names = [str(name) for name in rows]
        found = [] if names else [Problem("rows", "needs at least one row, as in `mlp: []`")]
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


def row_folder(name: str) -> str:
    """Return the folder name of a row: its letters and digits, hyphens for all else."""
    return re.sub(r"\W+", "-", name).strip("-").lower()


def seeds_of(experiment: Experiment, count: int) -> list[Experiment]:
    """Return an experiment once per seed, from its own seed on."""
    return [replace(experiment, seed=experiment.seed + n) for n in range(count)]


def load_sweep(file: str | Path, overrides: Sequence[str] = ()) -> dict[str, list[Experiment]]:
    """Read a sweep file and check every row.

    Args:
        file: The file, or the name of a shipped one.
        overrides: `key=value` items over every row; `seeds=2` changes the sweep itself.

    Returns:
        The experiments of each row, one per seed.

    Raises:
        ConfigError: With everything that is wrong with any row, two that are the same included.
    """
    source, given = config.load(file), config.layer(overrides)
    sweep = config.check(Sweep, _part(given.over(source), of_sweep=True))
    base, given = _part(source, of_sweep=False), _part(given, of_sweep=False)
    rows: dict[str, Experiment] = {}
    wrong: dict[str, Sequence[Problem]] = {}
    for name, items in sweep.rows.items():
        try:
            shared = config.layer(sweep.overrides, source.where("overrides"))
            own = config.layer(items, source.where(f"rows.{name}"))
            rows[name] = config.check(Experiment, given.over(own.over(shared.over(base))))
        except ConfigError as error:
            wrong[name] = error.problems
    problems = _by_row(wrong, len(sweep.rows))
    problems += [
        Problem(
            f"rows.{name}",
            "changes `seed`; every row has the same seeds, from the sweep's own `seed` on",
            source.where(f"rows.{name}"),
        )
        for name in rows
        if "seed" in config.layer(sweep.rows[name]).data
    ]
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
    return {name: seeds_of(experiment, sweep.seeds) for name, experiment in rows.items()}


def _part(source: Config, *, of_sweep: bool) -> Config:
    """Keep the keys of the sweep, or those of the experiment; a misspelt one goes where it fits."""
    own, known = list(fields(Sweep)), fields(Experiment)
    sweeps = {
        key: key in own or (key not in known and bool(suggest(key, own))) for key in source.data
    }
    data = {key: value for key, value in source.data.items() if sweeps[key] == of_sweep}
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

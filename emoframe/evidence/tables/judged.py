"""What somebody said of items, beside what is true of them: runs, baselines and tables alike.

Decided here: everything that is compared is first turned into this one record, so that a run, a
baseline and a CSV file of another tool get the same checks, the same intervals and the same tests.
Folds of one seed are pooled: each item is judged once per seed, by who did not learn from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emoframe.core.errors import DataError, suggest
from emoframe.evidence.evaluate import SHARED, by_seed, predictions_of
from emoframe.evidence.tables.alike import one_mode, one_protocol
from emoframe.learning.run import Run
from emoframe.records import Prediction

ID, PROB = ("video_id", "id"), "prob"
"""Columns of a CSV file: who is judged (the second as in the files that runs write), and how."""


@dataclass(frozen=True)
class Judged:
    """The labelled predictions of one row of a table.

    Attributes:
        name: What the row is called.
        predictions: One sequence per seed, folds pooled; every prediction has its label.
        seeds: The seed of each; 0 for what has none.
        protocol: Which items of which data set; empty where that is not known.
        mode: Which items had weak labels in training: `inductive`, `transductive`, or empty.
        synthetic: Whether data or weak labels are made up.
        classes: Names of the classes; empty where they are not known.
        note: What every table has to say of it; empty for nothing.
    """

    name: str
    predictions: Sequence[Sequence[Prediction]]
    seeds: tuple[int, ...] = (0,)
    protocol: str = ""
    mode: str = ""
    synthetic: bool = False
    classes: tuple[str, ...] = ()
    note: str = ""

    @property
    def items(self) -> list[Prediction]:
        """Every item that any seed judged, by id: for its label and its subject."""
        found = {one.id: one for seed in self.predictions for one in seed}
        return [found[item] for item in sorted(found)]

    @property
    def subjects(self) -> list[str | None]:
        """Who each item shows."""
        return [item.subject for item in self.items]

    @property
    def labels(self) -> NDArray[np.int64]:
        """True class of each item, shape (items,)."""
        return np.array([item.label for item in self.items], np.int64)

    @property
    def right(self) -> NDArray[np.float64]:
        """1 where a seed is right about an item, NaN where it did not judge it, (seeds, items)."""
        ids = [item.id for item in self.items]
        told = [{one.id: float(one.predicted == one.label) for one in s} for s in self.predictions]
        return np.array([[one.get(item, np.nan) for item in ids] for one in told])

    @property
    def probability(self) -> NDArray[np.float64]:
        """Probability of each class, NaN where a seed did not judge an item, (seeds, items, K)."""
        ids = [item.id for item in self.items]
        told = [{one.id: one.probability for one in s} for s in self.predictions]
        absent = np.full_like(self.items[0].probability, np.nan, float)
        return np.array([[one.get(item, absent) for item in ids] for one in told])


def some(items: Sequence[str]) -> str:
    """Count items and name a few of them."""
    named = ", ".join(repr(item) for item in items[:3])
    return f"{len(items)} item{'s' * (len(items) > 1)} (as {named})"


def of_runs(name: str, runs: Sequence[Run], split: str, reason: str = "") -> Judged:
    """Return what the runs of one experiment say, scoring those that were not scored yet.

    Args:
        name: What the row is called.
        runs: They differ in seed and fold alone.
        split: `val`, `held` or `test`.
        reason: Why test is opened.

    Raises:
        DataError: There is no run, they are of different experiments, or a seed lacks a fold.
        EmoframeError: A run cannot be scored.
    """
    if not runs:
        raise DataError(f"{name} was not trained")
    one_protocol(run.card["protocol"] for run in runs)
    one_mode({str(run.folder): run.mode for run in runs})
    _check_alike(name, runs)
    for run in runs:
        predictions_of(run, split, reason)
    told = by_seed(runs, split)
    labelled = [[one for one in seed if one.label is not None] for seed in told.values()]
    if not all(labelled):
        raise DataError(f"{name}: there is no labelled item in {split}")
    return Judged(
        name,
        labelled,
        tuple(seed for seed, *_ in told),
        runs[0].card["protocol"],
        runs[0].mode,
        any(run.synthetic for run in runs),
        tuple(runs[0].classes),
        SHARED if split == "held" and runs[0].asked.folds_by == "item" else "",
    )


def _check_alike(name: str, runs: Sequence[Run]) -> None:
    """Refuse runs that are no seeds and folds of one experiment."""
    folds: dict[int, list[int]] = {}
    for run in runs:
        if replace(run.asked, seed=0, fold=0) != replace(runs[0].asked, seed=0, fold=0):
            raise DataError(
                f"{name}: {runs[0].folder} and {run.folder} are runs of different configs, and "
                "seeds of none; compare them as two"
            )
        folds.setdefault(run.experiment.seed, []).append(run.experiment.fold)
    every = sorted({fold for own in folds.values() for fold in own})
    for seed, own in folds.items():
        if len(set(own)) < len(own):
            raise DataError(f"{name}: seed {seed} is there twice; give each run once")
        if lacking := [str(fold) for fold in every if fold not in own]:
            raise DataError(
                f"{name}: seed {seed} lacks fold {', '.join(lacking)}, which another seed has; "
                "train what is missing, or leave that seed out"
            )


def of_csv(path: str | Path, reference: Judged, positive: str = "", name: str = "") -> Judged:
    """Read the predictions of another tool, for the very items of a run.

    Args:
        path: `video_id,prob`, of two classes; or `video_id` and one column `prob_CLASS` for each.
            Where two classes are equally probable, the first counts as named.
        reference: Whose items, labels and subjects these are.
        positive: The class whose probability `prob` is; the second if not given.
        name: What the row is called; the path if not given.

    Raises:
        DataError: The file cannot be read as that, or is not of these items: missing, unknown or
            double ids, or what is no probability, each with how many and which.
    """
    table = _read(Path(path))
    ids = table[next(column for column in ID if column in table)].str.strip().tolist()
    _check_ids(path, ids, reference)
    probability_NK = _probabilities(path, table, reference.classes, positive)
    known = {item.id: item for item in reference.items}
    told = [
        Prediction(item, row, known[item].label, known[item].subject)
        for item, row in zip(ids, probability_NK, strict=True)
    ]
    return Judged(name or str(path), [told], classes=reference.classes)


def _read(path: Path) -> pd.DataFrame:
    try:
        # another tool's empty cells and `NA` are to be told, not guessed at
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")  # pyright: ignore[reportArgumentType]
    except pd.errors.EmptyDataError:
        raise DataError(f"{path} is empty; it needs the columns video_id,prob") from None
    except (OSError, UnicodeDecodeError, pd.errors.ParserError) as error:
        raise DataError(f"{path} cannot be read as CSV: {error}") from error
    table.columns = [str(column).strip() for column in table.columns]
    if not any(column in table for column in ID):
        raise DataError(
            f"{path} has no column video_id (it has {', '.join(table.columns)}); it needs "
            "video_id,prob, or video_id and a column prob_CLASS for each class"
        )
    if not len(table):
        raise DataError(f"{path} has a header and no row")
    return table


def _check_ids(path: str | Path, ids: Sequence[str], reference: Judged) -> None:
    """Refuse ids that are not those of the reference, each once."""
    known, given = {item.id for item in reference.items}, set(ids)
    twice = [item for item in dict.fromkeys(ids) if ids.count(item) > 1]
    unknown = [item for item in dict.fromkeys(ids) if item not in known]
    near = suggest(unknown[0], sorted(known)) if unknown else ""
    found = (
        (sorted(known - given), "missing"),
        (unknown, f"unknown to {reference.name}{near}"),
        (twice, "there more than once"),
    )
    wrong = [f"{some(items)} {what}" for items, what in found if items]
    if wrong:
        raise DataError(
            f"{path}: {'; '.join(wrong)}; it needs each of the {len(known)} items of "
            f"{reference.name} once"
        )


def _probabilities(
    path: str | Path, table: pd.DataFrame, classes: Sequence[str], positive: str
) -> NDArray[np.float64]:
    """Return the probability of each class, (items, K)."""
    if PROB not in table:
        return _normal(path, _numbers(path, table, [f"{PROB}_{name}" for name in classes]))
    if len(classes) != 2:
        raise DataError(
            f"{path}: a single column prob is for two classes, and there are {len(classes)}; give "
            f"{', '.join(f'{PROB}_{name}' for name in classes)}"
        )
    if positive and positive not in classes:
        raise DataError(
            f"--positive {positive!r} is no class{suggest(positive, classes)} "
            f"(there are {', '.join(classes)})"
        )
    of = _numbers(path, table, [PROB])[:, 0]
    pair = (of, 1 - of) if positive == classes[0] else (1 - of, of)
    return np.stack(pair, 1)


def _numbers(path: str | Path, table: pd.DataFrame, columns: list[str]) -> NDArray[np.float64]:
    lacking = [column for column in columns if column not in table]
    if lacking:
        raise DataError(
            f"{path} lacks the column {', '.join(lacking)} (it has {', '.join(table.columns)})"
        )
    numbers = table[columns].apply(pd.to_numeric, errors="coerce").to_numpy(float)
    for row, column in np.argwhere(~((numbers >= 0) & (numbers <= 1)))[:1]:
        count = int((~((numbers >= 0) & (numbers <= 1))).any(1).sum())
        given = table[columns[column]].iloc[row]
        raise DataError(
            f"{path}: {count} row{'s' * (count > 1)} with what is no probability from 0 to 1, as "
            f"{columns[column]} {given!r} in line {row + 2}"
        )
    return numbers


def _normal(path: str | Path, probability_NK: NDArray[np.float64]) -> NDArray[np.float64]:
    """Refuse probabilities that do not add up to 1."""
    total = probability_NK.sum(1)
    wrong = np.flatnonzero(np.abs(total - 1) > 0.01)
    if len(wrong):
        raise DataError(
            f"{path}: the probabilities of {len(wrong)} row{'s' * (len(wrong) > 1)} add up to "
            f"something else than 1, as {total[wrong[0]]:.3f} in line {wrong[0] + 2}"
        )
    return probability_NK / total[:, None]

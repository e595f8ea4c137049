"""Experiments side by side: one table, each row the runs of one experiment over its seeds.

A row is printed with its interval and its baseline, and against the first row as a difference,
which is known better than either since both were judged on the same items. Seeds are no new
items, so an interval is over items; validation is cut anew for each seed, so one item may have been
judged more often than another. What was scored before is read: nothing is opened twice.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emoframe.core.errors import DataError, EmoframeError, RunError
from emoframe.core.files import replacing, write_text
from emoframe.core.schema import plain
from emoframe.evidence.evaluate import ceilings, evaluate, one_protocol, saved_predictions
from emoframe.evidence.metrics import openings
from emoframe.evidence.stats import Interval, accuracy_interval, balanced_interval, paired
from emoframe.learning.run import Run
from emoframe.learning.split import NO_SUBJECTS
from emoframe.records import Prediction

COLUMNS = (
    "accuracy", "seeds (min to max)", "balanced accuracy", "majority", "parameters", "ms per step",
    "epochs",
)  # fmt: skip


@dataclass(frozen=True)
class Trained:
    """The runs of a row, and why it has not all of them.

    Attributes:
        runs: One per seed; those before the one that failed, if one did.
        failed: Why; empty where none did.
    """

    runs: Sequence[Run]
    failed: str = ""


@dataclass(frozen=True)
class _Judged:
    """The runs of a row and what they got right.

    Attributes:
        runs: One per seed.
        items: Every item that any of them was judged on, with its label and subject.
        right: 0 or 1 per seed and item, NaN where a seed did not judge it, shape (seeds, items).
    """

    runs: Sequence[Run]
    items: Sequence[Prediction]
    right: NDArray[np.float64]

    @property
    def subjects(self) -> list[str | None]:
        """Who each item shows."""
        return [item.subject for item in self.items]


def compare(rows: Mapping[str, Trained], split: str = "val", reason: str = "") -> pd.DataFrame:
    """Put the finished runs of several experiments in one table.

    Args:
        rows: The runs of each row, one per seed.
        split: `val` or `test`.
        reason: Why test is opened, for runs whose present weights were not scored on it yet.

    Returns:
        One row each; `failed` says why one has no numbers. `attrs["caption"]` says how the
        numbers came about, line by line.

    Raises:
        DataError: There is no row, or the runs are of different protocols.
    """
    if not rows:
        raise DataError("there is nothing to compare: no row was given")
    one_protocol(run.card["protocol"] for row in rows.values() for run in row.runs)
    judged: dict[str, _Judged | str] = {}
    for name, row in rows.items():
        try:
            judged[name] = row.failed or _judge(row.runs, split, reason)
        except EmoframeError as error:
            judged[name] = str(error)
    first = next(iter(judged))
    lines = [_line(name, row, first, judged[first]) for name, row in judged.items()]
    table = pd.DataFrame(lines, dtype=object).dropna(axis="columns", how="all")
    whole = [row for row in judged.values() if not isinstance(row, str)]
    methods = [line["accuracy"].method for line in lines if line["accuracy"]]
    runs = [run for row in rows.values() for run in row.runs]
    table.attrs["caption"] = "\n".join(_caption(whole, runs, methods, split))
    return table


def save(table: pd.DataFrame, folder: Path, split: str) -> None:
    """Write a table as `sweep-SPLIT.csv`, as printed, and as `.json`, with numbers and caption.

    Raises:
        RunError: The folder cannot be written to.
    """
    whole = {"caption": table.attrs["caption"], "rows": plain(table.to_dict("records"))}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / f"sweep-{split}.csv") as partial:
            table.to_csv(partial, index=False)
        write_text(folder / f"sweep-{split}.json", json.dumps(whole, indent=1))
    except OSError as error:
        raise RunError(f"{folder} cannot hold the table: {error}") from error


def _judge(runs: Sequence[Run], split: str, reason: str) -> _Judged:
    if not runs:
        raise DataError("was not trained")
    told = [
        {p.id: p for p in _predictions(run, split, reason) if p.label is not None} for run in runs
    ]
    items = {item: prediction for one in told for item, prediction in one.items()}
    right = [
        [float(one[i].predicted == one[i].label) if i in one else np.nan for i in sorted(items)]
        for one in told
    ]
    return _Judged(runs, [items[item] for item in sorted(items)], np.array(right))


def _predictions(run: Run, split: str, reason: str) -> list[Prediction]:
    """Read the predictions of a run; score it first if its weights are newer than they are.

    The hash of the data is not looked at, since going on with a run has compared it before.
    """
    saved = run.folder / f"predictions-{split}.csv"
    weights = run.folder / "checkpoints" / "best.pth"
    if not saved.is_file() or saved.stat().st_mtime < weights.stat().st_mtime:
        evaluate(run, split, reason)
    return saved_predictions(run, split)


def _line(name: str, row: _Judged | str, first: str, reference: _Judged | str) -> dict[str, Any]:
    versus = (f"vs {first} (seeds)", f"vs {first} (items)")
    line: dict[str, Any] = {"row": name} | dict.fromkeys((*COLUMNS, *versus, "failed"))
    if isinstance(row, str):
        return line | {"failed": row}
    line |= dict(zip(COLUMNS, _numbers(row), strict=True))
    if name != first and not isinstance(reference, str):
        line |= dict(zip(versus, _difference(reference, row), strict=True))
    return line


def _numbers(row: _Judged) -> tuple[Any, ...]:
    """Return what `COLUMNS` names."""
    seeds = np.nanmean(row.right, 1)
    histories = [run.history() for run in row.runs]
    steps = [epoch["ms_per_step"] for history in histories for epoch in history]
    labels = np.array([item.label for item in row.items])
    weights = row.runs[0].model().parameters()
    return (
        accuracy_interval(_by_item(row), row.subjects),
        f"{seeds.min():.3f} to {seeds.max():.3f}",
        balanced_interval(np.nanmean(row.right, 0), labels, row.subjects),
        round(np.bincount(labels).max() / len(labels), 3),
        sum(weight.numel() for weight in weights if weight.requires_grad),
        round(float(np.median(steps)), 2),
        round(float(np.mean([len(history) for history in histories])), 1),
    )


def _difference(first: _Judged, other: _Judged) -> tuple[Interval | None, Interval | None]:
    """Compare two rows over seeds and over items; None where the data or their number forbid it."""
    one, two = first.runs[0].card, other.runs[0].card
    alike = (
        one["data_hash"] == two["data_hash"]
        and [item.id for item in first.items] == [item.id for item in other.items]
        and np.array_equal(np.isnan(first.right), np.isnan(other.right))
        and [run.experiment.seed for run in first.runs]
        == [run.experiment.seed for run in other.runs]
    )
    if not alike:
        return None, None
    over_seeds, _ = paired(_by_seed(first), _by_seed(other))
    _, over_items = paired(_by_item(first)[None], _by_item(other)[None], first.subjects)
    return _bounded(over_seeds), _bounded(over_items)


def _by_seed(row: _Judged) -> NDArray[np.float64]:
    """Return the accuracy of each seed, once for each item that it judged, (seeds, items)."""
    judged = np.isfinite(row.right).sum(1).min()
    return np.repeat(np.nanmean(row.right, 1, keepdims=True), judged, 1)


def _by_item(row: _Judged) -> NDArray[np.float64]:
    """Return one number per item, (items,), whose mean and spread are those of all judgements.

    Where every seed judged every item it is the mean over seeds; elsewhere its distance from the
    overall mean is weighted by how many seeds judged the item (the linearised ratio).
    """
    count = np.isfinite(row.right).sum(0)
    value = np.nanmean(row.right)
    return value + count / count.mean() * (np.nanmean(row.right, 0) - value)


def _bounded(interval: Interval) -> Interval | None:
    """Leave out what one seed or one subject tells nothing about."""
    return interval if math.isfinite(interval.high) else None


def _caption(
    rows: Sequence[_Judged], runs: Sequence[Run], methods: Sequence[str], split: str
) -> Iterable[str]:
    items = _each(str(len(row.items)) for row in rows) or "no"
    protocol = [run.card["protocol"] for run in runs[:1]]
    yield ", ".join([split, *protocol, f"{items} items"])
    if methods:
        yield (
            f"accuracy: over items, the seeds of each averaged first; {_each(methods)}\n"
            "difference to the first row: (seeds) if trained again and judged on these items, "
            "(items) if these trainings were judged on others; not given across data sets"
        )
    opened = sum(len(openings(run.folder)) for run in runs)
    yield f"test labels opened {opened} times by these {len(runs)} runs"
    if any(run.synthetic for run in runs):
        yield "SYNTHETIC data: this says nothing about people"
    if split == "test" and len({run.card["data_hash"] for run in runs}) == 1:
        yield from (f"{name}: {share:.3f}" for name, share in ceilings(runs[0]).items())
    if split == "test":
        yield (
            "a table of test results that was looked at is no longer a fair basis for choosing "
            "among its rows; choose on validation"
        )
    else:
        yield "this is validation, by which epochs were selected: it flatters, and is not test"
        if rows and not any(subject for row in rows for subject in row.subjects):
            yield NO_SUBJECTS


def _each(texts: Iterable[str]) -> str:
    """Name every different text once."""
    return " or ".join(dict.fromkeys(texts))

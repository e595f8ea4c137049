"""Rows in one table: those of an ablation, single runs, baselines, files of other tools.

Decided here: a row stands with its interval and its baseline, and against the first row as a paired
difference, which is known better than either since both were judged on the same items. Seeds and
folds are no new items: an interval is over items, by subject, and so is the test (sign-flip by
subject, with Holm over the rows; McNemar's exact test of the first seed beside it). Nothing is set
in bold that is smaller than what could have been detected.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emoframe.core.errors import DataError, EmoframeError
from emoframe.evidence.grouped import Told, jackknife, told
from emoframe.evidence.labels.calibrate import brier, ece
from emoframe.evidence.power import ALPHA, detectable_from
from emoframe.evidence.probabilities import auc
from emoframe.evidence.significance import Test, holm, mcnemar, sign_flip
from emoframe.evidence.stats import Interval, accuracy_interval, balanced_interval, paired
from emoframe.evidence.tables.alike import one_mode, one_protocol
from emoframe.evidence.tables.caption import caption
from emoframe.evidence.tables.judged import Judged, of_runs
from emoframe.evidence.tables.pairs import aligned, by_item
from emoframe.learning.run import Run

GOOD = ("accuracy", "balanced accuracy", "AUC", "ECE", "Brier", "majority")
AGAINST = ("difference", "p", "p (Holm)", "McNemar", "detectable", "difference over seeds")
"""Columns against the first row; empty in it."""
COSTS = ("parameters", "ms per step", "epochs", "published", "comparable")
TOLD = ("seeds (min to max)", "by seed", "mode", "failed")
Line = dict[str, Any]


@dataclass(frozen=True)
class Trained:
    """The runs of a row, why it has not all of them, and what a paper says of it.

    Attributes:
        runs: One per seed and fold; those before the one that failed, if one did.
        failed: Why; empty where none did.
        published: Accuracy that a paper reports, in percent.
        comparable: What of it can and cannot be compared.
    """

    runs: Sequence[Run]
    failed: str = ""
    published: float | None = None
    comparable: str = ""


def compare(rows: Mapping[str, Trained], split: str = "val", reason: str = "") -> pd.DataFrame:
    """Put the finished runs of several experiments in one table.

    Args:
        rows: The runs of each row, one per seed and fold.
        split: `val`, `held` or `test`.
        reason: Why test is opened, for runs whose present weights were not scored on it yet.

    Returns:
        As `side_by_side`, with what each row costs.

    Raises:
        DataError: There is no row, or the runs are of different protocols or modes.
    """
    every = [run for row in rows.values() for run in row.runs]
    one_protocol(run.card["protocol"] for run in every)
    one_mode({name: run.mode for name, row in rows.items() for run in row.runs})
    judged: dict[str, Judged | str] = {}
    more: dict[str, Line] = {}
    for name, row in rows.items():
        more[name] = {"published": row.published, "comparable": row.comparable or None}
        try:
            judged[name] = row.failed or of_runs(name, row.runs, split, reason)
            more[name] |= {} if row.failed else _costs(row.runs)
        except EmoframeError as error:
            judged[name] = str(error)
    return side_by_side(judged, split, more, every)


def side_by_side(
    rows: Mapping[str, Judged | str],
    split: str,
    more: Mapping[str, Line] | None = None,
    runs: Sequence[Run] = (),
) -> pd.DataFrame:
    """Put rows in one table, the others against the first.

    Args:
        rows: What was judged, or why there is nothing.
        split: `val`, `held` or `test`.
        more: Further columns, of `COSTS`, by row.
        runs: Whose openings of test, and whose ceilings, the caption tells.

    Returns:
        One row each; `failed` says why one has no numbers. In `attrs`: `caption`, how the numbers
        came about, line by line; `first`, the row that the others are held against; `bold`, the
        rows that differ by no less than could be detected, with p (Holm) below .05.

    Raises:
        DataError: There is no row, or they are of different protocols or modes.
    """
    if not rows:
        raise DataError("there is nothing to compare: no row was given")
    known = {name: row for name, row in rows.items() if isinstance(row, Judged)}
    one_protocol(row.protocol for row in known.values() if row.protocol)
    one_mode({name: row.mode for name, row in known.items()})
    first, lines, notes = next(iter(rows)), list[Line](), list[str]()
    for name, row in rows.items():
        line = {"row": name} | dict.fromkeys((*GOOD, *AGAINST, *COSTS, *TOLD))
        if isinstance(row, str):
            lines.append(line | {"failed": row})
            continue
        line |= _good(row) | dict((more or {}).get(name, {}))
        if name != first and first in known:
            line |= _against(known[first], row, notes)
        lines.append(line)
    bold = _corrected(lines)
    notes += [
        f"{line['row']}: {column} {line[column]}"
        for line in lines
        for column in GOOD
        if isinstance(line[column], str)
    ]
    table = pd.DataFrame(lines, dtype=object).dropna(axis="columns", how="all")
    table.attrs = {"first": first, "bold": bold, "split": split}
    table.attrs["caption"] = "\n".join(caption(known, lines, bold, split, runs, notes))
    return table


def _good(row: Judged) -> Line:
    """Return what a row says of itself alone."""
    right, labels, subjects = row.right, row.labels, row.subjects
    seeds = np.nanmean(right, 1)
    pairs = zip(row.seeds, seeds, strict=False)
    return {
        "accuracy": accuracy_interval(by_item(right), subjects),
        "balanced accuracy": balanced_interval(np.nanmean(right, 0), labels, subjects),
        "AUC": _area(row),
        "ECE": _mean(row, lambda p, true: ece(p.max(1), p.argmax(1) == true, cut="width")),
        "Brier": _mean(row, brier, 2.0),
        "majority": round(np.bincount(labels).max() / len(labels), 3),
        "seeds (min to max)": f"{seeds.min():.3f} to {seeds.max():.3f}" if len(seeds) > 1 else None,
        "by seed": "; ".join(f"{seed}: {share:.3f}" for seed, share in pairs),
        "mode": row.mode or None,
    }


def _area(row: Judged) -> Told:
    if len(np.unique(row.labels)) < 2:
        return "not measurable: all items are of one class"
    return _mean(row, auc)


def _mean(
    row: Judged,
    measure: Callable[[NDArray[np.float64], NDArray[np.int64]], float],
    most: float = 1.0,
) -> Told:
    """Measure each seed on the items that it judged; the mean, with an interval by subject."""
    probability, labels = row.probability, row.labels
    seen = ~np.isnan(probability[..., 0])

    def mean(items: NDArray[np.int64]) -> float:
        found = [
            measure(seed[own], labels[own])
            for seed, judged in zip(probability, seen, strict=True)
            if len(own := items[judged[items]])
        ]
        return float(np.mean(found)) if found else math.nan

    return told(lambda: jackknife(mean, row.subjects, (0.0, most)))


def _against(first: Judged, other: Judged, notes: list[str]) -> Line:
    """Compare a row with the first; what cannot be measured is a note."""
    try:
        one, two = aligned(first, other)
    except DataError as error:
        notes.append(f"{other.name}: no difference: {error}")
        return {}
    subjects, gap = first.subjects, by_item(two) - by_item(one)
    _, difference = paired(by_item(one)[None], by_item(two)[None], subjects)
    both = np.isfinite(one[0]) & np.isfinite(two[0])
    found = {
        "p": told(lambda: sign_flip(gap, subjects)),
        "McNemar": told(lambda: mcnemar(one[0][both], two[0][both])),
        "detectable": told(lambda: detectable_from(gap, subjects)),
    }
    notes += [f"{other.name}: {name} {x}" for name, x in found.items() if isinstance(x, str)]
    notes += [f"{other.name}: {x.note}" for x in (found["p"],) if isinstance(x, Test) and x.note]
    return {
        "difference": _bounded(difference),
        "difference over seeds": _over_seeds(first, other, one, two),
        **{name: None if isinstance(x, str) else x for name, x in found.items()},
    }


def _over_seeds(
    first: Judged, other: Judged, one: NDArray[np.float64], two: NDArray[np.float64]
) -> Interval | None:
    """Return what another training would give on these very items, where seeds are paired."""
    if first.seeds != other.seeds or len(one) < 2 or one.shape != two.shape:
        return None
    judged = np.isfinite(one).sum(1).min()
    first_by, other_by = (
        np.repeat(np.nanmean(right, 1, keepdims=True), judged, 1) for right in (one, two)
    )
    return _bounded(paired(first_by, other_by)[0])


def _bounded(interval: Interval) -> Interval | None:
    """Leave out what one seed or one subject tells nothing about."""
    return interval if math.isfinite(interval.high) else None


def _corrected(lines: Sequence[Line]) -> list[str]:
    """Correct p for having asked of all rows; return those that may be set in bold."""
    tested = [line for line in lines if line["p"] is not None]
    for line, p in zip(tested, holm([line["p"].p for line in tested]), strict=True):
        line["p (Holm)"] = p
    return [
        line["row"]
        for line in tested
        if line["p (Holm)"] < ALPHA
        and line["detectable"] is not None
        and abs(line["difference"].value) >= line["detectable"]
    ]


def _costs(runs: Sequence[Run]) -> Line:
    """Return what the last stage of a row costs."""
    histories = [run.history() for run in runs]
    steps = [epoch["ms_per_step"] for history in histories for epoch in history]
    weights = runs[0].model().parameters()
    return {
        "parameters": sum(weight.numel() for weight in weights if weight.requires_grad),
        "ms per step": round(float(np.median(steps)), 2),
        "epochs": round(float(np.mean([len(history) for history in histories])), 1),
    }

"""What a table of rows says of itself: split, method, what could be detected, and what to mind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from emoframe.evidence.evaluate import ceilings
from emoframe.evidence.metrics import openings
from emoframe.evidence.power import ALPHA, POWER
from emoframe.evidence.submissions.ledger import after_leaderboard
from emoframe.evidence.tables.judged import Judged
from emoframe.learning.run import Run
from emoframe.learning.split import NO_SUBJECTS

TIE = "no row differs from the first by more than could be detected"
Line = Mapping[str, Any]


def caption(
    rows: Mapping[str, Judged],
    lines: Sequence[Line],
    bold: Sequence[str],
    split: str,
    runs: Sequence[Run],
    notes: Sequence[str],
) -> Iterator[str]:
    """Yield the lines of a caption.

    Args:
        rows: What was judged, by row.
        lines: The table.
        bold: Rows that stand out.
        split: `val`, `held` or `test`.
        runs: Those that were trained here.
        notes: What could not be measured, and why.
    """
    yield _scope(rows, split, runs)
    methods = [line["accuracy"].method for line in lines if line["accuracy"]]
    if methods:
        yield f"accuracy: over items, the seeds of each averaged first; {_each(methods)}"
        yield "AUC, ECE, Brier: measured for each seed and averaged; jackknife by subject"
    yield from _differences(lines, bold)
    low = [
        line["row"]
        for line in lines
        if line["accuracy"] and line["accuracy"].low <= line["majority"]
    ]
    if low:
        yield f"not shown to be better than always naming the most frequent class: {', '.join(low)}"
    own = [f"{name}: {row.note}" for name, row in rows.items() if row.note]
    yield from (f"note: {note}" for note in (*own, *notes))
    if runs:
        opened = sum(len(openings(run.folder)) for run in runs)
        yield f"test labels opened {opened} times by these {len(runs)} runs"
    if any(row.synthetic for row in rows.values()) or any(run.synthetic for run in runs):
        yield "SYNTHETIC data: this says nothing about people"
    yield from _warnings(rows, split, runs)


def _scope(rows: Mapping[str, Judged], split: str, runs: Sequence[Run]) -> str:
    """Say what was judged."""
    protocols = [row.protocol for row in rows.values()] or [run.card["protocol"] for run in runs]
    items = _each(str(len(row.items)) for row in rows.values()) or "no"
    people = [set(row.subjects) for row in rows.values()]
    subjects = _each(str(len(known)) for known in people if None not in known)
    seeds = _each(str(len(set(row.seeds))) for row in rows.values() if row.protocol)
    folds = _each(str(run.asked.folds) for run in runs if run.asked.folds)
    parts = [split, _each(p for p in protocols if p), f"{items} items"]
    parts += [f"{subjects} subjects"] if subjects else []
    parts += [f"seeds: {seeds}"] if seeds else []
    parts += [f"folds: {folds}"] if folds else []
    parts += [mode] if (mode := _each(row.mode for row in rows.values() if row.mode)) else []
    return ", ".join(part for part in parts if part)


def _differences(lines: Sequence[Line], bold: Sequence[str]) -> Iterator[str]:
    """Say how rows were held against the first, and which of them stand out."""
    compared = [line for line in lines if line["difference"] is not None]
    if not compared:
        return
    first = lines[0]["row"]
    yield (
        f"difference: to {first}, paired by item; {_each(x['difference'].method for x in compared)}"
    )
    tested = [line["p"] for line in compared if line["p"] is not None]
    if tested:
        yield (
            f"p: {_each(one.method for one in tested)}; Holm over {len(tested)} "
            f"row{'s' * (len(tested) > 1)}; McNemar: exact, of the first seed alone, taking items "
            "for independent"
        )
    found = [100 * line["detectable"] for line in compared if line["detectable"] is not None]
    if found:
        low, high = f"{min(found):.1f}", f"{max(found):.1f}"
        span = low if low == high else f"{low} to {high}"
        yield (
            f"the smallest difference that could be detected (power {POWER:g} at {ALPHA:g}): "
            f"{span} points; nothing below it is set in bold"
        )
    yield f"in bold: {', '.join(bold)}" if bold else TIE


def _warnings(rows: Mapping[str, Judged], split: str, runs: Sequence[Run]) -> Iterator[str]:
    """Say what the numbers of a split are no basis for."""
    subjects = any(subject for row in rows.values() for subject in row.subjects)
    noted = any(row.note for row in rows.values())
    if split == "test":
        if runs and len({run.card["data_hash"] for run in runs}) == 1:
            yield from (f"{name}: {share:.3f}" for name, share in ceilings(runs[0]).items())
        yield (
            "a table of test results that was looked at is no longer a fair basis for choosing "
            "among its rows; choose on validation"
        )
    elif split == "held":
        yield (
            "out of fold: each item was judged by networks that did not learn from it"
            + (", nor from its subject" if subjects and not noted else "")
            + "; this is not test, and who chooses a row by it needs other data to judge that row"
        )
    else:
        yield "this is validation, by which epochs were selected: it flatters, and is not test"
    if known := sum(bool(after_leaderboard(run)) for run in runs):
        yield (
            f"{known} of these runs began after a leaderboard had returned a score for the same "
            "protocol: taken for selected by it"
        )
    if split != "test" and rows and not subjects:
        yield NO_SUBJECTS


def _each(texts: Iterable[str]) -> str:
    """Name every different text once."""
    return " or ".join(dict.fromkeys(texts))

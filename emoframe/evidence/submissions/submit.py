"""A submission to a challenge: what runs say of the test items, in the form that is asked for.

Decided here: no test label is needed and none is opened. A threshold is chosen on validation or out
of fold and nowhere else, so that a submission asks the leaderboard one question, and a ledger says
how many were asked.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from emoframe.core.errors import DataError, RunError
from emoframe.core.files import file_hash, write_text
from emoframe.core.schema import plain
from emoframe.evidence.ensemble import ensemble
from emoframe.evidence.evaluate import predictions_of
from emoframe.evidence.metrics import openings
from emoframe.evidence.submissions.form import Format, render
from emoframe.evidence.submissions.ledger import LEDGER, Entry, entries, record
from emoframe.evidence.tables.alike import one_mode, one_protocol
from emoframe.evidence.tables.judged import Judged
from emoframe.evidence.thresholds import Metric, Threshold, at_threshold, best_threshold
from emoframe.learning.data import prepare
from emoframe.learning.judge import predict_clips
from emoframe.learning.run import BEST, Run, load_run, open_run
from emoframe.records import Prediction

On = Literal["val", "held", "none"]


@dataclass(frozen=True)
class Submission:
    """A written submission.

    Attributes:
        file: The file.
        entry: Its line in the ledger.
        named: How many items each class was named for.
        threshold: Where one was chosen.
        same: Earlier submissions of the very same file.
    """

    file: Path
    entry: Entry
    named: Mapping[str, int]
    threshold: Threshold | None
    same: Sequence[Entry]


def submit(
    runs: Sequence[Run | str | Path],
    form: Format,
    file: Path,
    threshold: On = "none",
    metric: Metric = "accuracy",
) -> Submission:
    """Write what runs say of the test items, their probabilities averaged, and record it.

    Args:
        runs: Of one protocol and mode; seeds, folds or different experiments.
        form: The form of the file.
        file: The file.
        threshold: On which predictions a threshold is chosen: `val`, `held`, or `none` for the most
            probable class. Two classes only.
        metric: What the threshold makes largest.

    Raises:
        DataError: Runs that do not belong together, ids that are not those expected, or a threshold
            that cannot be chosen.
        EmoframeError: A run is not finished, or its data changed.
    """
    opened = [run if isinstance(run, Run) else load_run(run) for run in runs]
    _check(opened, form)
    told = ensemble([_judged(run) for run in opened], "submission").predictions[0]
    chosen = None if threshold == "none" else best_threshold(known(opened, threshold), metric)
    if chosen:
        told = at_threshold(told, chosen.value)
    text = render(told, opened[0].classes, form)
    ledger = _ledger(opened)
    digest = hashlib.sha256(text.encode()).hexdigest()
    same = [one for one in entries(ledger) if one.told["file_hash"] == digest]
    named = Counter(opened[0].classes[one.predicted] for one in told)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, text)
    record_of = {
        **_recorded(opened),
        "file": file.name,
        "file_hash": digest,
        "items": len(told),
        "named": dict(named),
        "threshold": _threshold_of(chosen, threshold),
        "format": plain(asdict(form)),
    }
    return Submission(file, record(ledger, record_of), named, chosen, same)


def known(runs: Sequence[Run], split: Literal["val", "held"]) -> list[Prediction]:
    """Return what runs say of labelled items that they did not learn from, averaged by item.

    Args:
        runs: Some may not have judged an item, since each seed cuts its own.
        split: `val`, which also chose the epochs, or `held`, out of fold.

    Raises:
        DataError: A run held no fold out.
    """
    if split == "held" and (lacking := [run for run in runs if not run.experiment.folds]):
        raise DataError(
            f"{lacking[0].folder} held no fold out, so that no threshold can be chosen there; "
            "train with folds=5, or choose it on val"
        )
    found: dict[str, list[Prediction]] = {}
    for run in runs:
        for one in predictions_of(run, split):
            found.setdefault(one.id, []).append(one)
    return [
        replace(said[0], probability=np.mean([one.probability for one in said], 0), votes=())
        for _, said in sorted(found.items())
    ]


def _check(runs: Sequence[Run], form: Format) -> None:
    """Refuse runs that do not belong together."""
    if not runs:
        raise DataError("a submission needs a run")
    twice = [p for p, n in Counter(run.folder.resolve() for run in runs).items() if n > 1]
    if twice:
        raise DataError(f"{twice[0]} is given twice, and would count twice; give each run once")
    if unfinished := [run for run in runs if not run.finished]:
        raise RunError(f"{unfinished[0].folder} has not finished training; train it on first")
    one_protocol(run.card["protocol"] for run in runs)
    one_mode({str(run.folder): run.mode for run in runs})
    protocol = runs[0].card["protocol"]
    if not protocol.startswith(form.protocol):
        raise DataError(
            f"the format is for the protocol {form.protocol}, and the runs are of {protocol}; a "
            "submission of other items would be scored on nothing that they say"
        )


def _judged(run: Run) -> Judged:
    """Return what a run says of the test items, without their labels."""
    data = prepare(run.experiment)
    open_run(run.folder, run.asked, data)
    told = predict_clips(run, data.test)
    return Judged(
        str(run.folder), [told], (run.experiment.seed,), run.card["protocol"],
        run.mode, run.synthetic, tuple(run.classes),
    )  # fmt: skip


def _ledger(runs: Sequence[Run]) -> Path:
    """Return the ledger beside the runs: in the lowest folder that holds all of them."""
    parents = [list(reversed(run.folder.resolve().parents)) for run in runs]
    common = [row[0] for row in zip(*parents, strict=False) if len(set(row)) == 1]
    return common[-1] / LEDGER


def _recorded(runs: Sequence[Run]) -> dict[str, Any]:
    modes = {run.mode for run in runs} - {""}
    named = [
        {
            "run": "/".join(run.folder.resolve().parts[-2:]),
            "weights": file_hash(run.folder / BEST),
            "data_hash": run.card["data_hash"],
            "test_openings": len(openings(run.folder)),
        }
        for run in runs
    ]
    return {
        "protocol": runs[0].card["protocol"],
        "mode": "".join(modes),
        "synthetic": any(run.synthetic for run in runs),
        "runs": named,
    }


def _threshold_of(chosen: Threshold | None, split: On) -> dict[str, Any] | None:
    return chosen and {"on": split, **plain(asdict(chosen)), "nested": str(chosen.nested)}

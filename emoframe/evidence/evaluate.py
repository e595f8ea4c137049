"""Scoring runs: predictions, their table, and one summary over seeds.

Validation during training runs in mmengine's Runner; this is a plain loop of its own, because the
test labels must not be within reach of a training process.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emoframe.core.errors import RunError
from emoframe.core.files import replacing, write_text
from emoframe.core.registry import create
from emoframe.core.schema import plain
from emoframe.evidence.metrics import (
    Scores,
    check_reason,
    correctness,
    open_test,
    openings,
    pooled,
    score,
)
from emoframe.evidence.tables.alike import one_mode, one_protocol
from emoframe.interfaces import Dataset
from emoframe.learning.data import prepare
from emoframe.learning.judge import predict_clips
from emoframe.learning.run import BEST, Run, load_run, open_run
from emoframe.learning.sources import name_of
from emoframe.learning.split import NO_SUBJECTS
from emoframe.records import Prediction
from emoframe.weak_labels.prompt import build_prompt
from emoframe.weak_labels.store import LabelStore

SPLITS = ("val", "held", "test")
MEANS = ("macro_f1", "disagreement")
"""Scores without an interval: over seeds, their mean is given."""
SHARED = "its folds were cut by item: people who are judged were also learned from, which flatters"
"""What every number on such folds has to say of itself."""


def evaluate(run: Run | str | Path, split: str = "val", reason: str = "") -> Scores:
    """Score a run on `val`, the fold it `held` out, or `test`, whose opening is recorded.

    Args:
        run: The run or its folder.
        split: `val`, `held` or `test`.
        reason: Why test is opened; needed for it.

    Returns:
        The scores, which are also written to the run folder with the predictions.

    Raises:
        EmoframeError: The run is unfinished, its data changed, or no reason was given.
    """
    run = run if isinstance(run, Run) else load_run(run)
    if split not in SPLITS:
        raise RunError(f"a run is scored on one of {', '.join(SPLITS)}, not on {split!r}")
    if split == "held" and not run.experiment.folds:
        raise RunError(f"{run.folder} held no fold out; train with folds=5 to judge on one")
    if split != "val" and not run.finished:
        raise RunError(f"{run.folder} has not finished training; {split} is scored once it has")
    data = prepare(run.experiment)
    open_run(run.folder, run.asked, data)
    predictions = predict_clips(run, getattr(data, split))
    if split != "val":  # by which thresholds and calibration are chosen, and nothing else
        _written(run, "val", predict_clips(run, data.val))
    if split == "held":
        labels = {ref.id: ref.label for ref in data.dataset.samples("train")}
        predictions = [replace(p, label=labels[p.id]) for p in predictions]
    if split == "test":
        check_reason(reason)
        _tell_labels(run, data.dataset)
        labels = open_test(run.folder, data.dataset, reason)
        predictions = [replace(p, label=labels.get(p.id)) for p in predictions]
    scores = _written(run, split, predictions)
    from emoframe.evidence.card import write  # which reads what was written here

    write(run)
    return scores


def _written(run: Run, split: str, predictions: Sequence[Prediction]) -> Scores:
    """Score predictions, and write both to the run folder."""
    scores = score(predictions, run.classes)
    with replacing(run.folder / f"predictions-{split}.csv") as partial:
        table(predictions, run.classes).to_csv(partial, index=False)
    more = _stamp(run) | {"confusion": scores.confusion.tolist()}
    written = _json_safe(plain(scores) | more)
    write_text(run.folder / f"scores-{split}.json", json.dumps(written, indent=1))
    return scores


def _tell_labels(run: Run, dataset: Dataset) -> None:
    """Keep in the label store that test is opened: prompts of later are stamped there."""
    settings = run.experiment.weak_labels
    if settings is None or not settings.store.is_file():
        return
    prompt = build_prompt(settings, dataset.classes).hash
    with LabelStore(settings.store) as store:
        store.add_opening(name_of(run.experiment, dataset), run.folder.name, prompt)


def _stamp(run: Run) -> dict[str, Any]:
    """Return what a number has to say of its run."""
    asked = run.experiment
    own = ("folds", "fold", "folds_by") if asked.folds else ()
    fold = {name: getattr(asked, name) for name in own}
    return {"seed": asked.seed, **fold, "mode": run.mode}


def _json_safe(value: Any) -> Any:
    """Turn NaN, which JSON does not know, into null."""
    if isinstance(value, dict):
        return {key: _json_safe(item) for key, item in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def summary(
    runs: Sequence[Run],
    split: str,
    reason: str = "",
    on_run: Callable[[Run], None] = lambda run: None,
) -> pd.DataFrame:
    """Score runs of one experiment and put them in one table, the pooled result last.

    Args:
        runs: Runs that differ in their seed, or in their fold.
        split: `val`, `held` or `test`.
        reason: Why test is opened.
        on_run: Called for each run that is scored.

    Returns:
        One row per run and, but for validation, one over all seeds, the folds of each pooled:
        averaged per item, then over items. `attrs["caption"]` says how intervals were computed, in
        which mode weak labels were used, and how often test was opened.

    Raises:
        DataError: The runs are of different protocols or modes.
        EmoframeError: As `evaluate`.
    """
    one_protocol(run.card["protocol"] for run in runs)
    one_mode({str(run.folder): run.mode for run in runs})
    scores: list[Scores] = []
    for run in runs:
        scores.append(evaluate(run, split, reason))
        on_run(run)
    rows = [
        _which(run) | one.table().drop(columns="interval").iloc[0].to_dict()
        for run, one in zip(runs, scores, strict=True)
    ]
    if split != "val" and len(runs) > 1:
        rows.append(_over_seeds(runs, split, rows))
    result = pd.DataFrame(rows)
    result.attrs["caption"] = "; ".join(_said(runs, scores[0], split))
    return result


def _which(run: Run) -> dict[str, str]:
    asked = run.experiment
    return {"seed": str(asked.seed)} | ({"fold": str(asked.fold)} if asked.folds else {})


def _over_seeds(runs: Sequence[Run], split: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the row over all seeds; what has no interval is the mean over the rows."""
    whole = pooled(correctness(list(by_seed(runs, split).values())))
    means = {name: np.mean([row[name] for row in rows]) for name in rows[0] if name in MEANS}
    known = rows[0] | {name: str(interval) for name, interval in whole.items()}
    known |= {name: round(float(value), 3) for name, value in means.items()}
    if split == "held":
        known["items"] = sum(row["items"] for row in rows) // len({row["seed"] for row in rows})
    every = {key: "all" for key in ("seed", "fold") if key in rows[0]}
    return {name: known[name] for name in rows[0]} | every


def by_seed(runs: Sequence[Run], split: str) -> dict[tuple[int, ...], list[Prediction]]:
    """Return the predictions that were written, by seed; of `held`, the folds of each together.

    Every other split is judged whole by each fold, so that each run stays on its own there.
    """
    found: dict[tuple[int, ...], list[Prediction]] = {}
    for run in runs:
        asked = run.experiment
        key = (asked.seed,) if split == "held" or not asked.folds else (asked.seed, asked.fold)
        found.setdefault(key, []).extend(saved_predictions(run, split))
    return found


def _said(runs: Sequence[Run], first: Scores, split: str) -> Iterator[str]:
    """Yield the parts of a caption."""
    yield ", ".join(one for one in (split, runs[0].card["protocol"], runs[0].mode) if one)
    yield f"intervals: {first.accuracy.method}"
    yield f"balanced: {first.balanced_accuracy.method}"
    if split == "test":
        yield from (f"{name} {share:.3f}" for name, share in ceilings(runs[0]).items())
        opened = sum(len(openings(run.folder)) for run in runs)
        yield f"test labels opened {opened} times by these {len(runs)} runs"
    if split == "held" and any(run.asked.folds_by == "item" for run in runs):
        yield SHARED
    if split == "val" and not any(p.subject for p in saved_predictions(runs[0], split)):
        yield NO_SUBJECTS


def ceilings(run: Run) -> dict[str, float]:
    """Return what could be scored at most on the test split of generated data, by who knows what.

    Empty for data that was not generated, and where the data set does not say.
    """
    if not run.synthetic:
        return {}
    dataset: Any = create("dataset", run.experiment.dataset)
    return dataset.ceilings() if hasattr(dataset, "ceilings") else {}


def predictions_of(run: Run, split: str, reason: str = "") -> list[Prediction]:
    """Read the predictions of a run; score it first if its weights are newer than they are.

    The hash of the data is not looked at, since going on with a run has compared it before.

    Raises:
        EmoframeError: As `evaluate`.
    """
    saved, weights = run.folder / f"predictions-{split}.csv", run.folder / BEST
    there = saved.is_file() and weights.is_file()
    if not there or saved.stat().st_mtime < weights.stat().st_mtime:
        evaluate(run, split, reason)
    return saved_predictions(run, split)


def saved_predictions(run: Run, split: str) -> list[Prediction]:
    """Read the predictions that `evaluate` wrote."""
    text = {"dtype": str, "keep_default_na": False}
    rows = pd.read_csv(run.folder / f"predictions-{split}.csv", **text)  # pyright: ignore[reportArgumentType]
    probability = rows[[f"prob_{name}" for name in run.classes]].to_numpy(float)
    labels = [run.classes.index(label) if label else None for label in rows["label"]]
    subjects = [subject or None for subject in rows["subject"]]
    votes = [tuple(map(int, given.split())) for given in rows.get("votes", [""] * len(rows))]
    columns = zip(rows["id"], probability, labels, subjects, votes, strict=True)
    return [Prediction(*row) for row in columns]


def table(predictions: Sequence[Prediction], classes: Sequence[str]) -> pd.DataFrame:
    """Return predictions as a table: id, subject, label, predicted class, one column per class.

    `votes` holds the class index that each view named, where there are several views.
    """
    rows = [
        {
            "id": p.id,
            "subject": p.subject,
            "label": None if p.label is None else classes[p.label],
            "predicted": classes[p.predicted],
            **{f"prob_{name}": float(q) for name, q in zip(classes, p.probability, strict=True)},
            **({"votes": " ".join(map(str, p.votes))} if p.votes else {}),
        }
        for p in predictions
    ]
    return pd.DataFrame(rows)

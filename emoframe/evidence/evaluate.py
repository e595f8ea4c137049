"""Scoring runs: predictions, their table, and one summary over seeds.

Validation during training runs in mmengine's Runner; this is a plain loop of its own, because the
test labels must not be within reach of a training process.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emoframe.core.errors import DataError, RunError
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
from emoframe.interfaces import Dataset
from emoframe.learning.data import prepare
from emoframe.learning.judge import predict_clips
from emoframe.learning.run import Run, load_run, open_run
from emoframe.learning.sources import name_of
from emoframe.learning.split import NO_SUBJECTS
from emoframe.records import Prediction
from emoframe.weak_labels.prompt import build_prompt
from emoframe.weak_labels.store import LabelStore

SPLITS = ("val", "held", "test")
MEANS = ("macro_f1", "disagreement")
"""Scores without an interval: over seeds, their mean is given."""


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
    if split == "held":
        labels = {ref.id: ref.label for ref in data.dataset.samples("train")}
        predictions = [replace(p, label=labels[p.id]) for p in predictions]
    if split == "test":
        check_reason(reason)
        _tell_labels(run, data.dataset)
        labels = open_test(run.folder, data.dataset, reason)
        predictions = [replace(p, label=labels.get(p.id)) for p in predictions]
    scores = score(predictions, run.classes)
    with replacing(run.folder / f"predictions-{split}.csv") as partial:
        table(predictions, run.classes).to_csv(partial, index=False)
    written = _json_safe(plain(scores) | {"confusion": scores.confusion.tolist()})
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
        runs: Runs that differ in their seed.
        split: `val` or `test`.
        reason: Why test is opened.
        on_run: Called for each run that is scored.

    Returns:
        One row per seed and, for test, one over all seeds: averaged per item, then over items.
        `attrs["caption"]` says how intervals were computed and how often test was opened.

    Raises:
        DataError: The runs are of different protocols.
        EmoframeError: As `evaluate`.
    """
    one_protocol(run.card["protocol"] for run in runs)
    scores: list[Scores] = []
    for run in runs:
        scores.append(evaluate(run, split, reason))
        on_run(run)
    rows = [
        {"seed": str(run.experiment.seed), **one.table().drop(columns="interval").iloc[0].to_dict()}
        for run, one in zip(runs, scores, strict=True)
    ]
    caption = (
        f"{split}, {runs[0].card['protocol']}; intervals: {scores[0].accuracy.method}; "
        f"balanced: {scores[0].balanced_accuracy.method}"
    )
    if split == "test":
        if len(runs) > 1:
            whole = pooled(correctness([saved_predictions(run, split) for run in runs]))
            means = {
                name: np.mean([row[name] for row in rows]) for name in rows[0] if name in MEANS
            }
            known = rows[0] | {name: str(interval) for name, interval in whole.items()}
            known |= {name: round(float(value), 3) for name, value in means.items()}
            rows.append({name: known[name] for name in rows[0]} | {"seed": "all"})
        caption += "".join(f"; {name} {share:.3f}" for name, share in ceilings(runs[0]).items())
        opened = sum(len(openings(run.folder)) for run in runs)
        caption += f"; test labels opened {opened} times by these {len(runs)} runs"
    if split == "val" and not any(p.subject for p in saved_predictions(runs[0], split)):
        caption += f"; {NO_SUBJECTS}"
    result = pd.DataFrame(rows)
    result.attrs["caption"] = caption
    return result


def one_protocol(protocols: Iterable[str]) -> None:
    """Refuse results of different protocols, which answer different questions.

    Raises:
        DataError: There are several; a copy that is not whole makes a protocol of its own.
    """
    names = dict.fromkeys(protocols)
    if len(names) > 1:
        raise DataError(
            f"results of the protocols {' and '.join(names)} never stand in one table; put each "
            "protocol into a sweep, or a test, of its own"
        )


def ceilings(run: Run) -> dict[str, float]:
    """Return what could be scored at most on the test split of generated data, by who knows what.

    Empty for data that was not generated, and where the data set does not say.
    """
    if not run.synthetic:
        return {}
    dataset: Any = create("dataset", run.experiment.dataset)
    return dataset.ceilings() if hasattr(dataset, "ceilings") else {}


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

"""What must stand beside a probability: how often the run is right, and what its classes are.

Decided here: temperature scaling (Guo et al. 2017) has one number, and still says nothing of few
items: below `FEWEST` of validation, or where the best temperature is the edge of what is searched,
probabilities stay as the network gives them, and that is said. Scores are those that the run was
given when it was judged; nothing is judged here, and what is older than the weights is not shown.
"""

from __future__ import annotations

import inspect
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emoframe.core.registry import registry
from emoframe.evidence.evaluate import SPLITS, saved_predictions
from emoframe.evidence.stats import Interval
from emoframe.evidence.thresholds import COLDEST, HOTTEST, scaled, temperature_of
from emoframe.learning.run import BEST, Run
from emoframe.records import Prediction

FEWEST = 50
"""Validation items below which no temperature is fitted. With 50 it was within a factor of 1.8 of
the true one in nine of ten simulated runs (two classes, twice too sure), with 30 within 2.4."""
EDGE = 1.05
"""A temperature within this factor of the coldest or hottest is none."""
SELECTED = "it also chose the epoch, which flatters"


@dataclass(frozen=True)
class Calibration:
    """How probabilities are calibrated.

    Attributes:
        temperature: What log probabilities are divided by; None where they are left as they are.
        items: Validation items that it rests on.
        said: The same in words, or why it is not done.
    """

    temperature: float | None
    items: int
    said: str

    def of(self, predictions: Sequence[Prediction]) -> list[Prediction]:
        """Return predictions with calibrated probabilities."""
        if self.temperature is None:
            return list(predictions)
        return scaled(predictions, self.temperature)


def calibration(run: Run) -> Calibration:
    """Fit a temperature on what a run says of its validation items."""
    raw = "Probabilities are not calibrated, they are what the network gives: "
    if not _current(run, "predictions-val.csv"):
        why = f"{raw}the run was not scored on validation; `emoframe train` without --test does so."
        return Calibration(None, 0, why)
    known = [one for one in saved_predictions(run, "val") if one.label is not None]
    if len(known) < FEWEST:
        why = f"{raw}{len(known)} validation items are too few, {FEWEST} are needed."
        return Calibration(None, len(known), why)
    found = temperature_of(known)
    if not COLDEST * EDGE < found < HOTTEST / EDGE:
        sort = "is all right or nearly" if found < 1 else "tells nothing of the classes"
        why = f"{raw}the run {sort} on its {len(known)} validation items, which fixes no number."
        return Calibration(None, len(known), why)
    said = (
        f"Calibrated by temperature scaling: log probabilities are divided by {found:.2f}, fitted "
        f"on the run's {len(known)} validation items ({SELECTED})."
    )
    return Calibration(found, len(known), said)


def standing(run: Run) -> list[dict[str, Any]]:
    """Return how good a run is, a row for each split that it was judged on.

    Returns:
        `split`, `accuracy` with its interval as a text, `value`, `low`, `high`, `interval` (how it
        was computed), `majority`, `items`, `subjects` and `remark`. Validation is last.
    """
    rows: list[dict[str, Any]] = []
    for split in reversed(SPLITS):
        file = f"scores-{split}.json"
        if not _current(run, file):
            continue
        told = json.loads((run.folder / file).read_text(encoding="utf-8"))
        accuracy = Interval(**told["accuracy"])
        rows.append(
            {
                "split": split,
                "accuracy": str(accuracy),
                "majority": told["majority"],
                "items": told["count"],
                "subjects": told["subjects"] or "unknown",
                "remark": SELECTED if split == "val" else "",
                "value": accuracy.value,
                "low": accuracy.low,
                "high": accuracy.high,
                "interval": accuracy.method,
            }
        )
    return rows


def remarks(run: Run, rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return what nobody may overlook who reads a probability of a run."""
    said: list[str] = []
    if run.synthetic:
        said.append("SYNTHETIC: the run learned from made-up data; it says nothing about people.")
    if run.experiment.train.shuffle_labels:
        said.append("The run learned from shuffled labels: a control, which knows nothing.")
    if not rows:
        said.append("It is not known how often this run is right: it was never scored.")
    elif rows[0]["low"] <= rows[0]["majority"]:
        said.append(
            f"On {rows[0]['split']} this run is not clearly better than always naming the most "
            f"frequent class (accuracy {rows[0]['accuracy']}, majority {rows[0]['majority']:.3f}): "
            "take nothing on this page for knowledge."
        )
    if run.mode == "transductive":
        said.append(
            "Mode transductive: weak labels of the judged items were learned from, so that scores "
            "do not tell how good it is on a video of which there are none, such as this one."
        )
    return said


def meaning(run: Run) -> str:
    """Say what a class of a run is: what its data set says, and no more."""
    kind = run.experiment.dataset["type"]
    doc = inspect.getdoc(registry("dataset").get(kind)) or ""
    about = doc.split("\n\n", 1)[0].replace("\n", " ").rstrip(".")
    return (
        f"The classes {', '.join(run.classes)} are labels of the data set {_name(run)} "
        f"(\N{LEFT DOUBLE QUOTATION MARK}{about}\N{RIGHT DOUBLE QUOTATION MARK}), protocol "
        f"{run.card['protocol']}. A label is a proxy of what is asked about: a probability is that "
        "of the label, and no measurement of what anybody feels."
    )


def about(run: Run) -> dict[str, Any]:
    """Return what a run is, as plain data."""
    asked = run.experiment
    fold = {"fold": f"{asked.fold} of {asked.folds}"} if asked.folds else {}
    return {
        "folder": str(run.folder),
        "dataset": _name(run),
        "protocol": run.card["protocol"],
        "mode": run.mode or "gold labels alone",
        "seed": asked.seed,
        **fold,
        "synthetic": run.synthetic,
        "trained on": run.card["items"]["train"],
    }


def votes(prediction: Prediction, classes: Sequence[str], *, alike: bool) -> dict[str, Any]:
    """Return how far the views of a video agree.

    Args:
        prediction: Of all views.
        classes: Names of the classes.
        alike: Whether all views show the same, since the video is shorter than a view.
    """
    count = max(len(prediction.votes), 1)
    named = Counter(classes[vote] for vote in prediction.votes or (prediction.predicted,))
    differ = round(prediction.disagreement * count)
    split = ", ".join(f"{many} {name}" for name, many in named.most_common())
    if count == 1:
        said = "One view of the video was judged, so that nothing is known of how far views agree."
    elif alike:
        said = (
            f"All {count} views are the same, since nothing that the run reads is longer than one: "
            "that they agree means nothing."
        )
    elif not differ:
        said = f"All {count} views, sampled apart, name {named.most_common(1)[0][0]}."
    else:
        said = (
            f"{differ} of {count} views, sampled apart, name another class than most do "
            f"({split}): disagreement {prediction.disagreement:.2f}."
        )
    told = {"views": count, "named": dict(named), "disagreement": prediction.disagreement}
    return {**told, "alike": alike, "said": said}


def _name(run: Run) -> str:
    """Return what the ledger calls the data set of a run."""
    return run.card.get("seen", {}).get("dataset") or run.experiment.dataset["type"]


def _current(run: Run, name: str) -> bool:
    """Whether a file of a run is there and not older than its weights."""
    file, weights = run.folder / name, run.folder / BEST
    return _time(file) >= _time(weights) > 0


def _time(file: Path) -> float:
    return file.stat().st_mtime if file.is_file() else 0.0

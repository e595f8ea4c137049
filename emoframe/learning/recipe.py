"""Training in stages: branches alone first, then all together (W2S-31, W2S-35).

Decided here: every stage is a run of its own, so that it resumes, is judged and is read like one.
The last lies in the run folder itself; those before it in `stages/`, in folders that are named by
all that they depend on: config, data, weak labels and the checkpoints that they start from. So a
stage that is there and finished is taken as it is, and experiments that share a folder of stages
train a common one once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from emoframe.core.errors import RunError
from emoframe.core.files import replacing
from emoframe.core.schema import plain
from emoframe.learning.checkpoint import epochs
from emoframe.learning.data import Data, check_clips, prepare, rehearse
from emoframe.learning.experiment import Experiment
from emoframe.learning.model import Recognizer
from emoframe.learning.processes import leading
from emoframe.learning.run import BEST, Run, alone, load_run, open_run, save_history
from emoframe.learning.runner import OnEpoch, check_precision, fit
from emoframe.learning.sources import name_of
from emoframe.learning.stages import LABELS, Stage
from emoframe.learning.weak import Lesson, lesson, taught

WEAK_TABLE = "weak_labels.csv"


@dataclass(frozen=True)
class _Given:
    """What a stage is given by earlier ones.

    Attributes:
        init: Run folder that each branch starts from.
        source: Run folder whose predictions are its weak labels; None for the label store.
    """

    init: Mapping[str, Path] = field(default_factory=dict[str, Path])
    source: Path | None = None

    def folders(self) -> list[Path]:
        """Return every run folder that something comes from, once."""
        return list(dict.fromkeys([*self.init.values(), *([self.source] if self.source else [])]))

    def record(self) -> dict[str, dict[str, str]]:
        """Return the run that each comes from, by its folder's name and the hash of its weights."""
        named = {**self.init, **({"weak labels": self.source} if self.source else {})}
        return {
            name: {"run": folder.name, "weights": _weights_hash(folder)}
            for name, folder in named.items()
        }


def train_recipe(
    experiment: Experiment,
    folder: Path,
    on_epoch: OnEpoch = lambda row: None,
    shared: Path | None = None,
) -> Run:
    """Train all stages of an experiment, going on where an earlier process stopped.

    Args:
        experiment: With stages or without.
        folder: Run folder of the last stage.
        on_epoch: Called with one row per finished epoch; `stage` in it names the stage.
        shared: Where the stages before it lie; `stages/` in the run folder if not given.

    Returns:
        The run of the last stage.

    Raises:
        EmoframeError: Data, labels or run folders cannot be used as asked.
    """
    for name in experiment.stages or {"": None}:
        check_precision(experiment.stage(name).train)
    shared = shared or folder / "stages"
    done: dict[str, Path] = {}
    *before, last = experiment.stages or {"": Stage()}
    for name in before:
        given = _given(experiment.stages[name], done)
        done[name] = _train_before(experiment, name, given, shared, on_epoch)
    given = _given(experiment.stages.get(last, Stage()), done)
    with alone(folder):
        prepared = _data(experiment.stage(last), given)
        return _fit(experiment, last, given, folder, prepared, on_epoch)


def _given(stage: Stage, done: Mapping[str, Path]) -> _Given:
    init = {branch: done.get(source, Path(source)) for branch, source in stage.init.items()}
    source = stage.weak.source if stage.weak else LABELS
    return _Given(init, None if source == LABELS else done.get(source, Path(source)))


def _train_before(
    experiment: Experiment, name: str, given: _Given, shared: Path, on_epoch: OnEpoch
) -> Path:
    """Train a stage that another builds on, unless it is there; return its folder."""
    own = experiment.stage(name)
    data, found = _data(own, given)
    if own.weak and given.source:  # for this folder alone there are no stages to name
        own = replace(own, weak=replace(own.weak, source=f"./{given.source.name}"))
    depends = [plain(own), data.hash, found.hash if found else "", given.record()]
    key = hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:16]
    folder = shared / f"{name}-{key}"
    with alone(folder, wait=True):
        if not ((folder / BEST).is_file() and load_run(folder).finished):
            _fit(own, name, given, folder, (data, found), on_epoch)
    return folder


def _data(own: Experiment, given: _Given) -> tuple[Data, Lesson | None]:
    """Return the data of a stage, with those that weak labels add to them."""
    data = prepare(own)
    if own.weak is None:
        return data, None
    found = lesson(own, data, given.source)
    return taught(data, found), found


def _fit(
    asked: Experiment,
    name: str,
    given: _Given,
    folder: Path,
    prepared: tuple[Data, Lesson | None],
    on_epoch: OnEpoch,
) -> Run:
    """Train one stage in its folder; `asked` is what the folder keeps."""
    own, (data, found) = asked.stage(name), prepared
    for source in given.folders():
        _check_strange(load_run(source), own, data)
    init = {branch: _branch(source, branch) for branch, source in given.init.items()}
    if not epochs(folder / "checkpoints"):  # nothing is written before everything fits together
        check_clips(data)
        model = Recognizer(own.model, data.wiring)
        rehearse(model, data)
        model.start_from(init)
    more = {
        "stage": name,
        "init": given.record(),
        "weak": found and _told(found, data),
        "mode": _mode(found, given),
    }
    run = open_run(folder, asked, data, more)
    if found and leading():
        with replacing(folder / WEAK_TABLE) as partial:
            table_of(found, data).to_csv(partial, index=False)
    selection = fit(own, data, folder, lambda row: on_epoch({"stage": name, **row}), init)
    save_history(folder, selection.history)
    return run


def _check_strange(source: Run, own: Experiment, data: Data) -> None:
    """Refuse to start from weights that know what this run is selected by or judged on.

    Weak labels on what is judged are no secret: the mode that is taken over says so. Gold is.

    Raises:
        RunError: They do.
    """
    seen = source.card.get("seen", {})
    if seen.get("dataset") != name_of(own, data.dataset):
        return
    people = {*seen["subjects"], *(seen["weak"] if source.mode != "transductive" else ())}
    learned = {
        "validation": {ref.id for ref in data.val.refs} & set(seen["train"]),
        "the held-out fold": {ref.id for ref in data.held.refs} & {*seen["train"], *seen["val"]},
        "the people held out": {ref.subject for ref in data.held.refs} & people,
    }
    for what, known in learned.items():
        if known:
            raise RunError(
                f"{source.folder} has learned from {len(known)} of {what} "
                f"({min(map(str, known))}, ...), so that a result would flatter; give both "
                "the same seed, folds, fold and train.val_fraction"
            )


def _mode(found: Lesson | None, given: _Given) -> str:
    """Return the mode of a stage: its own, unless what it starts from has seen more."""
    modes = [load_run(folder).mode for folder in given.folders()] + [found.mode if found else ""]
    return next((mode for mode in ("transductive", "inductive") if mode in modes), "")


def table_of(found: Lesson, data: Data) -> pd.DataFrame:
    """Return what the teacher says of each item, and what became of it, as a table."""
    classes = data.dataset.classes
    rows = [
        {
            "item": one.item,
            "class": None if one.label is None else classes[one.label],
            "confidence": None if one.label is None else round(one.confidence, 4),
            "weight": round(one.weight, 4),
            "left_out": one.left_out,
        }
        for one in found.said
    ]
    return pd.DataFrame(rows)


def _told(found: Lesson, data: Data) -> dict[str, Any]:
    """Return what the run's record says of its weak labels."""
    classes = data.dataset.classes
    named = [classes[one.label] for one in found.used if one.label is not None]
    return {
        "mode": found.mode,
        "hash": found.hash,
        "items": len(found.said),
        "used": {name: named.count(name) for name in classes},
        "weight": sum(one.weight for one in found.used),
        "simulated": found.simulated,
    }


def _branch(folder: Path, branch: str) -> dict[str, Any]:
    """Return the weights of a branch of a run, of its epoch with the lowest validation loss.

    Raises:
        RunError: The run has none, or has no such branch.
    """
    run = load_run(folder)
    if not run.finished:
        raise RunError(f"{folder} has not finished training; train it on with `emoframe train`")
    start = f"branches.{branch}."
    weights = run.weights()
    found = {key[len(start) :]: value for key, value in weights.items() if key.startswith(start)}
    if not found:
        known = ", ".join(run.experiment.model.branches)
        raise RunError(f"{folder} has no branch {branch!r} to start from (it has {known})")
    return found


def _weights_hash(folder: Path) -> str:
    file = folder / BEST
    if not file.is_file():
        raise RunError(f"{folder} is no run with selected weights: it has no {BEST}")
    return hashlib.sha256(file.read_bytes()).hexdigest()

"""How many trainings an experiment or an ablation takes, and what they cost.

Decided here: stages before the last that several rows have in common are counted once, as
`emoframe.learning.recipe` trains them once. Steps are the most there can be, since training stops
early where validation no longer gets better and a teacher may abstain. A step takes as long as in
finished runs of the same network on the same views; else as in a probe of one batch, where one is
allowed; else it is unknown.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from emoframe.core.errors import EmoframeError
from emoframe.core.registry import create
from emoframe.core.schema import plain
from emoframe.interfaces import Dataset
from emoframe.learning.clips import collate
from emoframe.learning.data import prepare
from emoframe.learning.experiment import Experiment
from emoframe.learning.model import Recognizer
from emoframe.learning.run import CARD, load_run
from emoframe.learning.split import cut_fold, cut_validation
from emoframe.learning.stages import Stage
from emoframe.records import SampleRef

UNKNOWN = "unknown: no run of this network is there; --probe times one batch"
MOST_RUNS = 200
"""Finished runs that are looked at for their speed, the newest first."""
TIMED = 3
"""Steps of a probe, of which the first is left out."""
Speed = tuple[float, str]


@dataclass(frozen=True)
class StageTrainings:
    """The trainings of one stage that differ by seed and fold alone.

    Attributes:
        stage: Name of the stage; empty where there is one alone.
        rows: Rows of the ablation that need it.
        trainings: How many are trained.
        wanted: How many would be if rows shared none.
        items: Most items that one of them learns from.
        steps: Most steps of all of them.
        ms_per_step: Milliseconds a step; None where unknown.
        hours: Hours of one device for the steps, without validation; None where unknown.
        rests_on: What that rests on.
    """

    stage: str
    rows: tuple[str, ...]
    trainings: int
    wanted: int
    items: int
    steps: int
    ms_per_step: float | None
    hours: float | None
    rests_on: str


@dataclass(frozen=True)
class TrainingPlan:
    """What training takes.

    Attributes:
        trainings: How many networks are trained.
        seeds: Seeds of each row.
        folds: Folds of each seed; 0 for none.
        stages: One for each stage that differs by more than seed and fold.
        hours: Hours of one device; None where the speed of a stage is not known.
        warnings: What could not be found out, a sentence each.
    """

    trainings: int = 0
    seeds: int = 0
    folds: int = 0
    stages: Sequence[StageTrainings] = ()
    hours: float | None = 0.0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Training:
    """One training: its row, its stage, what it trains, and what it can be shared by."""

    row: str
    stage: str
    own: Experiment
    identity: str


def plan_training(
    tables: Mapping[str, Mapping[str, Sequence[Experiment]]],
    runs: Path,
    *,
    device: str = "cpu",
    timed: bool = False,
) -> TrainingPlan:
    """Count the trainings, and say how long they take.

    Args:
        tables: The experiments of each row of each ablation, one per seed and fold.
        runs: Folder in which finished runs are looked for.
        device: Where a probe computes.
        timed: Whether a step that is not known is measured on one batch.
    """
    some = [
        (table, f"{table}: {row}" if len(tables) > 1 else row, one)
        for table, rows in tables.items()
        for row, found in rows.items()
        for one in found
    ]
    every = [one for given in some for one in _all(*given)]
    groups = dict[str, list[_Training]]()
    for one in every:
        same = replace(one.own, seed=0, folds=0, fold=0)
        groups.setdefault(json.dumps([one.stage, plain(same)], sort_keys=True), []).append(one)
    items, warnings = _Items(), list[str]()
    known = _speeds([found[0].own for found in groups.values()], runs)
    stages = list[StageTrainings]()
    for found in groups.values():
        speed = known.get(_network(found[0].own))
        if speed is None and timed:
            try:
                speed = _step(found[0].own, device)
            except EmoframeError as error:
                warnings.append(f"stage {found[0].stage or 'train'} cannot be timed yet: {error}")
        stages.append(_stage(found, items, speed))
    unknown = any(one.hours is None for one in stages)
    return TrainingPlan(
        sum(one.trainings for one in stages),
        len({one.seed for *_, one in some}),
        max((one.folds for *_, one in some), default=0),
        stages,
        None if unknown else sum(one.hours or 0.0 for one in stages),
        tuple(dict.fromkeys([*items.warnings, *warnings])),
    )


def _all(table: str, row: str, experiment: Experiment) -> list[_Training]:
    """Return the trainings of one experiment in their order; tables share no stages."""
    stages = experiment.stages or {"": Stage()}
    last, known, found = list(stages)[-1], dict[str, str](), list[_Training]()
    for name, stage in stages.items():
        own = experiment.stage(name)
        starts = {branch: known.get(source, source) for branch, source in stage.init.items()}
        teacher = known.get(stage.weak.source, "") if stage.weak else ""
        depends = [table, name, plain(own), starts, teacher, row if name == last else ""]
        known[name] = json.dumps(depends, sort_keys=True)
        found.append(_Training(row, name, own, known[name]))
    return found


def _stage(found: Sequence[_Training], items: _Items, speed: Speed | None) -> StageTrainings:
    unlike = {one.identity: one.own for one in found}
    counts = [items.count(own) for own in unlike.values()]
    train = found[0].own.train
    steps = sum(-(-count // train.batch_size) * train.epochs for count in counts)
    ms, rests_on = speed or (None, UNKNOWN)
    return StageTrainings(
        found[0].stage,
        tuple(dict.fromkeys(one.row for one in found)),
        len(unlike),
        len(found),
        max(counts),
        steps,
        ms,
        None if ms is None else steps * ms / 3.6e6,
        rests_on,
    )


class _Items:
    """Counts what each training learns from; each data set is read once."""

    def __init__(self) -> None:
        self.refs: dict[str, tuple[list[SampleRef], list[SampleRef]]] = {}
        self.counts: dict[str, int] = {}
        self.warnings: list[str] = []

    def count(self, own: Experiment) -> int:
        """Return the most items that an experiment learns from; 0 where that is not known."""
        cut = (own.seed, own.folds, own.fold, own.train.val_fraction)
        name = json.dumps([plain(own.dataset), cut, plain(own.weak)], sort_keys=True)
        if name not in self.counts:
            try:
                self.counts[name] = self._count(own)
            except EmoframeError as error:
                self.counts[name] = 0
                self.warnings.append(f"how many items there are is not known: {error}")
        return self.counts[name]

    def _count(self, own: Experiment) -> int:
        train, test = self._refs(own)
        kept = [ref for ref in train if ref.label is not None]
        held = list[SampleRef]()
        if own.folds:
            kept, held = cut_fold(kept, own.folds, own.fold, own.seed)
        learnt, _ = cut_validation(kept, own.train.val_fraction, own.seed)
        if own.weak is None:
            return len(learnt)
        judged = (held or test) if own.weak.mode == "transductive" else ()
        return len(learnt) + sum(ref.label is None for ref in train) + len(judged)

    def _refs(self, own: Experiment) -> tuple[list[SampleRef], list[SampleRef]]:
        name = json.dumps(plain(own.dataset), sort_keys=True)
        if name not in self.refs:
            dataset: Dataset = create("dataset", own.dataset)
            self.refs[name] = dataset.samples("train"), dataset.samples("test")
        return self.refs[name]


def _network(own: Experiment) -> str:
    """Return what decides how long a step takes."""
    train = own.train
    node: list[Any] = [plain(own.model), plain(own.view), plain(own.features)]
    return json.dumps([*node, train.batch_size, train.precision, train.workers], sort_keys=True)


def _speeds(wanted: Sequence[Experiment], runs: Path) -> dict[str, Speed]:
    """Return what a step took in the newest finished runs of these networks."""
    open_ = {_network(own) for own in wanted}
    cards = sorted(runs.rglob(CARD), key=lambda path: path.stat().st_mtime, reverse=True)
    found = dict[str, Speed]()
    for card in cards[:MOST_RUNS] if runs.is_dir() else ():
        if not open_:
            break
        try:
            run = load_run(card.parent)
            history = run.history()
        except (EmoframeError, ValueError):
            continue  # of another version, or half written: it says nothing of a speed
        name = _network(run.experiment)
        if name in open_ and history:
            ms = statistics.median(row["ms_per_step"] for row in history)
            found[name] = ms, f"measured: {len(history)} epochs of {card.parent}"
            open_.discard(name)
    return found


def _step(own: Experiment, device: str) -> Speed:
    """Train a network on one batch a few times, and return the milliseconds of a step.

    Raises:
        EmoframeError: Its data are not there yet, or it does not fit them.
    """
    data = prepare(replace(own, weak=None))
    model = Recognizer(own.model, data.wiring)
    model.fit_texts(data.texts)
    model.to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0)
    size, taken = min(own.train.batch_size, len(data.train)), list[float]()
    for _ in range(TIMED):
        started = time.perf_counter()
        batch = _moved(collate([data.train[n] for n in range(size)]), device)
        losses: Mapping[str, torch.Tensor] = model(**batch, mode="loss")
        loss = torch.stack(list(losses.values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        taken.append(1000 * (time.perf_counter() - started))
    return min(taken[1:]), f"probed: {TIMED - 1} steps of {size} items on {device}"


def _moved(value: Any, device: str) -> Any:
    """Put the tensors of a batch on a device."""
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {name: _moved(one, device) for name, one in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_moved(one, device) for one in value))
    return value

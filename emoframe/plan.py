"""The Python API of planning: hours, disk and money of a config, before anything runs.

Decided here: every figure says what it rests on, and what cannot be known yet is a sentence and
not a failure, since a plan is made when half of what it needs is not there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from emoframe import api
from emoframe.core.errors import EmoframeError
from emoframe.evidence.planning.extraction import ExtractionPlan, plan_extraction
from emoframe.evidence.planning.training import TrainingPlan, plan_training
from emoframe.evidence.tables.ablation import load_ablation, seeds_of
from emoframe.label import plan as plan_labels
from emoframe.learning.experiment import Experiment
from emoframe.learning.inputs import DATASET
from emoframe.weak_labels.asking.plan import Plan as LabelPlan

__all__ = ["Plan", "plan"]


@dataclass(frozen=True)
class Plan:
    """What a config takes before it has a result.

    Attributes:
        extraction: Videos to features; None where there is nothing to extract, or it cannot be
            said.
        labels: Questions, tokens and dollars; None likewise.
        training: Trainings, steps and hours.
        notes: Why a part is lacking, a sentence each.
    """

    extraction: ExtractionPlan | None
    labels: LabelPlan | None
    training: TrainingPlan
    notes: tuple[str, ...] = ()


def plan(
    source: str | Path | Experiment,
    overrides: Sequence[str] = (),
    ablations: Sequence[str | Path] = (),
    *,
    seeds: int | None = None,
    runs: Path = Path("runs"),
    probe: bool = False,
    prices: Path | None = None,
) -> Plan:
    """Say what a config would take; nothing is extracted, asked, trained or written.

    Args:
        source: The experiment, or the config that says it.
        overrides: `key=value` items, over an ablation too.
        ablations: Ablations whose rows are trained instead of the config.
        seeds: Trainings of each row; None for what an ablation says, and one of the config.
        runs: Folder in which finished runs are looked for, which know how long a step takes.
        probe: Whether speeds that nobody has measured are measured on a few frames and one batch.
        prices: A price table of one's own.

    Raises:
        EmoframeError: The config or the ablation cannot be used as asked.
    """
    experiment = api.load(source, overrides)
    tables: dict[str, Mapping[str, Sequence[Experiment]]] = {}
    for file in ablations:
        more = [] if seeds is None else [f"seeds={seeds}"]
        found = load_ablation(file, [*overrides, *more])
        tables[Path(file).stem] = {name: row.experiments for name, row in found.items()}
    notes = list[str]()
    device = api.devices()[0]
    firsts = [next(iter(rows.values()))[0] for rows in tables.values()] or [experiment]
    return Plan(
        _extraction(_widest(firsts), device, notes, probe=probe),
        _labels(experiment, prices, notes),
        plan_training(
            tables or {"": {"": seeds_of(experiment, seeds or 1)}}, runs, device=device, timed=probe
        ),
        tuple(notes),
    )


def _widest(experiments: Sequence[Experiment]) -> Experiment:
    """Return the first, with the frame encoders of all: tables may read different ones."""
    first = experiments[0]
    if first.perception is None:
        return first
    encoders = dict[str, dict[str, Any]]()
    for one in experiments:
        encoders |= one.perception.frame_encoders if one.perception else {}
    return replace(first, perception=replace(first.perception, frame_encoders=encoders))


def _extraction(
    experiment: Experiment, device: str, notes: list[str], *, probe: bool
) -> ExtractionPlan | None:
    if experiment.perception is None or set(experiment.features.values()) <= {DATASET}:
        notes.append("nothing is extracted: the data set brings the inputs along")
        return None
    try:
        items = api.videos(experiment)
        return plan_extraction(items, experiment.perception, device=device, timed=probe)
    except EmoframeError as error:
        notes.append(f"what is to be extracted is not known: {error}")
    return None


def _labels(experiment: Experiment, prices: Path | None, notes: list[str]) -> LabelPlan | None:
    settings = experiment.weak_labels
    if settings is None:
        notes.append("nobody is asked: the config has no section `weak_labels`")
    elif settings.labeler:
        notes.append(f"nobody is asked: labels are those of {settings.labeler!r} in the store")
    else:
        try:
            return plan_labels(experiment, prices=prices)
        except EmoframeError as error:
            notes.append(f"what is to be asked is not known: {error}")
    return None

"""`emoframe plan CONFIG`: device-hours, disk and money, before anything runs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emoframe.cli.labels_options import Prices, usd_told
from emoframe.cli.output import ConfigFile, Json, Overrides, as_json, note, one_line, rows, say

if TYPE_CHECKING:
    from emoframe.evidence.planning.extraction import ExtractionPlan
    from emoframe.evidence.planning.training import TrainingPlan
    from emoframe.plan import Plan
    from emoframe.weak_labels.asking.plan import Plan as LabelPlan

MOST_TOLD = 5
"""Warnings that are told one by one."""


def command(
    file: ConfigFile,
    overrides: Overrides = None,
    ablation: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Plan the rows of this ablation (repeatable)."),
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Seeds of each row.")] = None,
    runs: Annotated[
        Path, typer.Option(help="Folder of finished runs, which know how long a step takes.")
    ] = Path("runs"),
    probe: Annotated[
        bool, typer.Option("--probe", help="Time what nobody has timed: some frames, one batch.")
    ] = False,
    prices: Prices = None,
    json: Json = False,
) -> None:
    """Say what a config would take: device-hours, disk and money; nothing is sent or written."""
    from emoframe.plan import plan

    found = plan(
        file, overrides or [], ablation or [], seeds=seeds, runs=runs, probe=probe, prices=prices
    )
    if json:
        as_json(asdict(found))
        return
    for text in found.notes:
        note(one_line(text))
    if found.extraction:
        _extraction(found.extraction)
    if found.labels:
        _labels(found.labels)
    _training(found.training)
    _sum(found)


def _extraction(plan: ExtractionPlan) -> None:
    say(f"extraction: {plan.videos} videos, {_time(plan.seconds)} of them still to do")
    rows([
        {
            "stage": one.stage, "videos to do": one.videos, "done": one.done, "failed": one.failed,
            "frames": one.frames, "frames a second": _speed(one.seconds_per_frame),
            "worker-hours": _hours(one.hours), "disk": _size(one.bytes),
        }
        for one in plan.stages
    ])  # fmt: skip
    for one in plan.stages:
        note(one_line(f"{one.stage}: hours: {one.speed_rests_on}; disk: {one.disk_rests_on}"))
    note("hours are those of one worker; stages that share decoded frames overlap")
    _warn(plan.warnings)


def _labels(plan: LabelPlan) -> None:
    say(f"labels: {plan.questions} questions about {plan.videos} videos")
    rows([
        {
            "labeler": plan.labeler, "questions": plan.questions, "answered": plan.answered,
            "tokens in": plan.usage.input, "tokens out": plan.usage.output + plan.usage.thoughts,
            "at most": usd_told(plan.usd), "as a batch": usd_told(plan.batch_usd),
            "spent": usd_told(plan.spent),
        }
    ])  # fmt: skip
    note(f"tokens and dollars are upper bounds; {plan.price or 'the price is not known'}")
    _warn(plan.warnings)


def _training(plan: TrainingPlan) -> None:
    folds = f" x {plan.folds} folds" if plan.folds else ""
    say(f"training: {plan.trainings} networks, {plan.seeds} seeds{folds}")
    rows([
        {
            "stage": one.stage or "train", "rows": ", ".join(one.rows),
            "networks": one.trainings, "shared": one.wanted - one.trainings, "items": one.items,
            "steps": one.steps,
            "ms a step": "unknown" if one.ms_per_step is None else one.ms_per_step,
            "device-hours": _hours(one.hours),
        }
        for one in plan.stages
    ])  # fmt: skip
    for text in dict.fromkeys(f"{one.stage or 'train'}: {one.rests_on}" for one in plan.stages):
        note(one_line(text))
    note("steps are the most there can be: training stops early; validation comes on top")
    _warn(plan.warnings)


def _sum(found: Plan) -> None:
    extraction, labels = found.extraction, found.labels
    hours = [extraction.hours if extraction else 0.0, found.training.hours]
    known = sum(one or 0.0 for one in hours)
    least = "" if None not in hours else ", and what is unknown above"
    money = usd_told(labels.usd) if labels else usd_told(0.0)
    disk = _size(extraction.bytes) if extraction else _size(0.0)
    say(f"in all: {_hours(known)} device-hours{least}; {disk} of features; at most {money}")


def _warn(warnings: Any) -> None:
    for text in warnings[:MOST_TOLD]:
        note(one_line(text))
    if len(warnings) > MOST_TOLD:
        note(f"and {len(warnings) - MOST_TOLD} more such; --json has all")


def _hours(hours: float | None) -> str:
    if hours is None:
        return "unknown"
    return f"{hours:.2f}" if hours >= 0.01 or not hours else "< 0.01"


def _speed(seconds: float | None) -> str:
    return f"{1 / seconds:.1f}" if seconds else "unknown"


def _time(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds:.1f} s"


def _size(size: float | None) -> str:
    if size is None:
        return "unknown"
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"

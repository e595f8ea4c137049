"""`emoframe label CONFIG`: every clip of a config is asked about, once."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from emoframe.cli.labels_options import Budget, IMayUpload, Limit, Plan, Prices, usd_told
from emoframe.cli.output import (
    ConfigFile,
    Json,
    Overrides,
    as_json,
    note,
    one_line,
    progress,
    rows,
)
from emoframe.core.errors import EXIT_SOME_FAILED

if TYPE_CHECKING:
    from emoframe.label import Labelled
    from emoframe.labelling import Status
    from emoframe.weak_labels.asking import plan as plans
    from emoframe.weak_labels.asking.ask import Asked
    from emoframe.weak_labels.rows import Answer

MOST_TOLD = 10
"""Unknown calls that are told one by one after each run."""


def command(
    file: ConfigFile,
    overrides: Overrides = None,
    plan: Plan = False,
    budget: Budget = None,
    prices: Prices = None,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Answers to each question; default: the config's.")
    ] = None,
    split: Annotated[
        Literal["train", "test", "all"], typer.Option(help="Items of which split.")
    ] = "all",
    limit: Limit = None,
    video: Annotated[
        list[Path] | None,
        typer.Option(help="Ask about this video alone, which need be in no data set (repeatable)."),
    ] = None,
    retry: Annotated[
        str,
        typer.Option(metavar="STATUS", help="Ask again what ended so: unparsable,blocked,refused."),
    ] = "",
    batch: Annotated[
        bool, typer.Option("--batch", help="Hand in as a batch, and collect what is done.")
    ] = False,
    i_may_upload: IMayUpload = "",
    json: Json = False,
) -> None:
    """Ask a model about every clip of a config; what is answered is not asked again."""
    from emoframe import label as api

    again = tuple(filter(None, (one.strip() for one in retry.split(","))))
    again = cast("tuple[Status, ...]", again)
    which = api.Which(split, limit, samples, again, tuple(video or ()))
    if plan:
        _show_plan(api.plan(file, overrides or [], which, prices=prices), budget, json)
        return
    with ExitStack() as stack:
        bars: list[Any] = []

        def begun(total: int) -> None:
            bars.append(stack.enter_context(progress("question", total)))

        def told(asked: Asked, answer: Answer) -> None:
            text = f"{asked.item}: {answer.status} {answer.reason}".rstrip()
            bars[-1].step(text) if bars else note(one_line(text))

        found = api.label(
            file, overrides or [], which, budget=budget, prices=prices, batch=batch,
            i_may_upload=i_may_upload, on_start=begun, on_row=told, on_halt=note,
        )  # fmt: skip
    _show(found, batch, json)
    if not found.whole:
        raise typer.Exit(EXIT_SOME_FAILED)


def _show_plan(plan: plans.Plan, budget: float | None, json: bool) -> None:
    for text in plan.warnings:
        note(one_line(text))
    over = budget is not None and plan.spent + (plan.usd or 0.0) > budget
    if json:
        as_json(asdict(plan))
    else:
        rows([
            {
                "labeler": plan.labeler, "model": plan.model or "none", "videos": plan.videos,
                "questions": plan.questions, "answered": plan.answered, "waiting": plan.waiting,
                "tokens in": plan.usage.input,
                "tokens out": plan.usage.output + plan.usage.thoughts,
                "at most": usd_told(plan.usd), "as a batch": usd_told(plan.batch_usd),
                "spent": usd_told(plan.spent), "unknown calls": plan.unknown,
            }
        ])  # fmt: skip
    note(f"tokens and dollars are upper bounds; {plan.price or 'the price is not known'}")
    if over:
        note(f"this may exceed the budget of {usd_told(budget)}; asking would stop before it does")


def _show(found: Labelled, batch: bool, json: bool) -> None:
    summary = found.summary
    told = {
        **found.statuses, "calls": summary.calls,
        "tokens in": summary.usage.input,
        "tokens out": summary.usage.output + summary.usage.thoughts,
        "usd": summary.usd, "spent": found.spent, "unknown calls": len(found.unknown),
    }  # fmt: skip
    if json:
        unknown = [
            {**one.key._asdict(), "usd": one.reserved_usd, "reason": one.reason}
            for one in found.unknown
        ]
        as_json({
            "statuses": found.statuses, "summary": asdict(summary), "spent": found.spent,
            "unknown": unknown, "lost": found.lost,
        })  # fmt: skip
    else:
        rows([{**told, "usd": usd_told(summary.usd), "spent": usd_told(found.spent)}])
        for one in found.unknown[:MOST_TOLD]:
            note(f"unknown: {one.key.clip[:16]} sample {one.key.sample}: {one_line(one.reason)}")
        if len(found.unknown) > MOST_TOLD:
            note("the other unknown calls are told by `emoframe labels ls STORE --unknown`")
    for item, why in found.lost.items():
        note(one_line(f"{item}: {why}"))
    for text in summary.notes:
        note(one_line(text))
    if batch and summary.stopped:
        note(one_line(summary.stopped))  # else it was told when it happened
    if not batch and (waiting := found.statuses.get("waiting")):
        note(f"{waiting} questions wait in a batch; run again with --batch to collect them")

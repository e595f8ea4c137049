"""`emoframe labels agree | probe | rank-prompts`: how far weak labels can be believed."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emoframe.cli.labels_options import (
    Budget,
    IMayUpload,
    Limit,
    Plan,
    Prices,
    usd_told,
)
from emoframe.cli.output import (
    ConfigFile,
    Json,
    Overrides,
    as_json,
    note,
    one_line,
    progress,
    rows,
    say,
)
from emoframe.core.errors import EXIT_SOME_FAILED, DataError

if TYPE_CHECKING:
    from emoframe.evidence.labels.pages import Report
    from emoframe.evidence.probe.ask import Prober
    from emoframe.weak_labels.asking.ask import Asked, Summary
    from emoframe.weak_labels.rows import Answer

Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="FOLDER", help="Write a page with figures, and JSON, there."),
]


def agree(
    file: ConfigFile,
    overrides: Overrides = None,
    prior: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLASS=SHARE", help="Prior where the labels will be used; repeatable."
        ),
    ] = None,
    labeler: Annotated[
        str, typer.Option(help="Labels of this stored labeler, as `labels ls` calls it.")
    ] = "",
    prompt: Annotated[str, typer.Option(help="Labels of this stored prompt.")] = "",
    out: Out = None,
    json: Json = False,
) -> None:
    """Compare weak labels with gold on training items, and store P(weak | true).

    Accuracy, kappa, recall, abstentions; calibration, as stated and mended on other subjects;
    agreement of samples, prompts and labelers; whether rationales tell their verdict. Labels are
    those of the config, unless a labeler is named, such as one that was imported.
    """
    from emoframe import api
    from emoframe.evidence.labels import agree as evidence

    wanted = dict(_share(text) for text in prior or [])
    report = evidence.agree(api.load(file, overrides or []), wanted or None, prompt, labeler)
    _show(report, out and out / "agree.html", json)


def probe(
    file: ConfigFile,
    overrides: Overrides = None,
    plan: Plan = False,
    budget: Budget = None,
    prices: Prices = None,
    limit: Limit = None,
    ask: Annotated[
        bool, typer.Option("--ask/--no-ask", help="Ask, or report what is stored already.")
    ] = True,
    i_may_upload: IMayUpload = "",
    out: Out = None,
    json: Json = False,
) -> None:
    """Find out whether the labeler knows person, event or result, and what its labels owe to that.

    Separate calls ask for them; labels and names are asked for again with the face blurred, the
    background masked, and one frame only. What is answered is not asked again.
    """
    from emoframe import api
    from emoframe.evidence.labels.labelled import TrainingItems
    from emoframe.evidence.probe.ask import Limits, Prober
    from emoframe.evidence.probe.report import probe_report
    from emoframe.weak_labels.asking.price import prices as price_table
    from emoframe.weak_labels.store import LabelStore

    experiment = api.load(file, overrides or [])
    items = TrainingItems(experiment, to_ask=ask or plan)
    stopped = ""
    if (ask or plan) and items.reads_video:
        limits = Limits(limit, budget, price_table(prices), i_may_upload)
        prober = Prober(items, limits)
        if plan:
            _plan(prober, json)
            return
        stopped = _ask(prober).stopped
    elif plan:
        note("this labeler does not look at the video: nothing would be asked")
        return
    with LabelStore(items.settings.store, write=False) as store:
        report = probe_report(items, store)
    _show(report, out and out / "probe.html", json)
    if stopped:
        raise typer.Exit(EXIT_SOME_FAILED)  # why was told when it happened


def rank_prompts(
    file: ConfigFile,
    overrides: Overrides = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option("--prompt", metavar="NAME", help="A shipped prompt or a file; give several."),
    ] = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """Compare prompts by stored labels of training items, video by video; nothing is asked."""
    from emoframe import api
    from emoframe.evidence.labels import rank_prompts as evidence

    report = evidence.rank_prompts(api.load(file, overrides or []), prompt or [])
    _show(report, out and out / "rank-prompts.html", json)


def _share(text: str) -> tuple[str, float]:
    """Read `win=.54`."""
    name, _, share = text.rpartition("=")
    try:
        return name, float(share)
    except ValueError as error:
        raise DataError(f"--prior {text}: give a class and its share, as in win=0.54") from error


def _ask(prober: Prober) -> Summary:
    from emoframe.evidence.probe.prompts import questions

    with ExitStack() as stack:
        bars: list[Any] = []

        def begun(total: int) -> None:
            bars.append(stack.enter_context(progress("question", total)))

        def told(asked: Asked, answer: Answer) -> None:
            bars[-1].step(one_line(f"{asked.item}: {answer.status} {answer.reason}"))

        prompts = questions(prober.items).all()
        summary = prober.ask([*prompts.values()], begun, told, note)
    for text in summary.notes:
        note(one_line(text))
    usage = summary.usage
    note(
        f"{sum(summary.statuses.values())} questions, {summary.calls} calls, {usage.input} tokens "
        f"in, {usage.output + usage.thoughts} out, ${summary.usd:.4f}"
    )
    return summary


def _plan(prober: Prober, json: bool) -> None:
    from dataclasses import asdict

    from emoframe.evidence.probe.prompts import questions

    plans = prober.plan(questions(prober.items).all())
    if json:
        as_json({name: asdict(one) for name, one in plans.items()})
    else:
        rows([
            {
                "asks for": name, "videos": one.videos, "tokens in": one.usage.input,
                "tokens out": one.usage.output + one.usage.thoughts,
                "at most": usd_told(one.usd),
            }
            for name, one in plans.items()
        ])  # fmt: skip
    for text in dict.fromkeys(text for one in plans.values() for text in one.warnings):
        note(one_line(text))
    known = [one.usd for one in plans.values() if one.usd is not None]
    sum_told = usd_told(sum(known) if len(known) == len(plans) else None)
    questions_left = sum(one.questions for one in plans.values())
    note(f"{questions_left} questions, at most {sum_told}; what is answered is left out")


def _show(report: Report, page: Path | None, json: bool) -> None:
    if json:
        as_json(report.data())
    else:
        say(one_line(f"{report.title}: {report.about}"))
        for section in report.sections:
            say(f"\n{section.title}")
            for line in section.lines:
                say(f"  {one_line(line)}")
            if section.rows:
                rows(section.table)
            for line in section.below:
                say(f"  {one_line(line)}")
    if page is not None:
        written = report.write(page)
        note(f"{written}, and the same as {written.with_suffix('.json').name} beside it")

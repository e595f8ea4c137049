"""`emoframe labels ls | show | export | import | ...`: the label store from outside.

The group is put together here. A command that needs a file of its own is a plain function in a
`labels_*` file beside this one, with the arguments of `labels_options`, and is registered below.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emoframe.cli.labels_options import (
    Dataset,
    Labeler,
    PromptName,
    StatusName,
    Store,
    found_in,
    one_line,
)
from emoframe.cli.labels_quality import agree, probe, rank_prompts
from emoframe.cli.labels_review import review_export, review_import
from emoframe.cli.labels_show import show
from emoframe.cli.output import Json, as_json, note, rows
from emoframe.core.errors import EXIT_SOME_FAILED

if TYPE_CHECKING:
    from emoframe.weak_labels.exchange.listing import Listed
    from emoframe.weak_labels.store import Call, LabelStore

commands = typer.Typer(
    help="Look weak labels over, hand them on, and have people correct them.", no_args_is_help=True
)


@commands.command("ls")
def ls(
    store: Store,
    dataset: Dataset = "",
    prompt: PromptName = "",
    labeler: Labeler = "",
    status: StatusName = "",
    unknown: Annotated[
        bool, typer.Option("--unknown", help="Calls that may have been paid without an answer.")
    ] = False,
    json: Json = False,
) -> None:
    """List the answers, or the calls that nobody knows the end of, and what all of it cost."""
    from emoframe.weak_labels.exchange.listing import flat
    from emoframe.weak_labels.plain import plain
    from emoframe.weak_labels.store import LabelStore

    with LabelStore(store, write=False) as opened:
        lost = opened.calls("unknown") if unknown else []
        found = [] if unknown else found_in(opened, dataset, prompt, labeler, status)
        money = _money(opened)
    if json:
        as_json([plain(one) for one in lost] if unknown else flat(found))
    elif unknown:
        rows([_call(one) for one in lost])
    else:
        rows([_row(one) for one in found])
    note(f"{store}: {f'{len(lost)} unknown calls' if unknown else _counts(found)}; {money}")


commands.command("show")(show)


@commands.command("export")
def export(
    store: Store,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="FILE.jsonl (loses nothing), .csv or .parquet.")
    ],
    dataset: Dataset = "",
    prompt: PromptName = "",
    labeler: Labeler = "",
    status: StatusName = "",
) -> None:
    """Write answers into a file.

    JSONL without a choice is the whole store, and an import gives it back. CSV and Parquet are one
    row per answer; in CSV, a cell that a spreadsheet would run as a formula gets a ' before it.
    """
    from emoframe.weak_labels.exchange import transfer
    from emoframe.weak_labels.store import LabelStore

    with LabelStore(store, write=False) as opened:
        found = found_in(opened, dataset, prompt, labeler, status)
        chosen = any((dataset, prompt, labeler, status))
        contents = transfer.selected(opened, found) if chosen else opened.contents()
        transfer.export(contents, found, file)
    note(f"{file}: {_counts(found)}")


@commands.command("import")
def import_(
    store: Store,
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A label store, its .jsonl, or another tool's labels."),
    ],
    dataset: Annotated[str, typer.Option(help="Data set of rows that name none.")] = "",
    source: Annotated[
        str, typer.Option("--from", help="Who made labels of another tool; else the file's name.")
    ] = "",
) -> None:
    """Take answers in; what is there already stays. Exit code 1 if any cannot be used.

    A row of another tool (.jsonl, .csv, .parquet) has `item` or `clip`, and `label` or
    `confidence` (in tables `confidence.CLASS`); and may have `dataset`, `rationale`,
    `rationale_no_verdict`, `units`, `text`, `model`, `prompt`, `sample`, `at` and `simulated`.
    """
    from emoframe.weak_labels.exchange.transfer import import_file
    from emoframe.weak_labels.store import LabelStore

    with LabelStore(store) as opened:
        before = opened.spent()
        done = import_file(opened, file, dataset, source)
        paid = opened.spent() - before
    for text in done.refused:
        note(one_line(text))
    new = ", ".join(f"{count} {name}" for name, count in done.new.items() if count)
    note(f"{store}: new are {new or 'none'}; ${paid:.4f} more count as spent")
    if done.refused:
        raise typer.Exit(EXIT_SOME_FAILED)


commands.command("agree")(agree)
commands.command("probe")(probe)
commands.command("rank-prompts")(rank_prompts)
commands.command("review-export")(review_export)
commands.command("review-import")(review_import)


def _row(one: Listed) -> dict[str, Any]:
    answer = one.answer
    label = answer.label
    stated = max(label.confidence) if label is not None and label.confidence else None
    verdict = "abstains" if label is not None and label.label is None else one.verdict
    return {
        "dataset": one_line(one.dataset),
        "item": one_line(one.item) or answer.key.clip[:12],
        "prompt": f"{one_line(one.prompt.name)}@{answer.key.prompt[:8]}",
        "labeler": one_line(one.labeler.name),
        "#": answer.key.sample,
        "status": answer.status,
        "label": one_line(verdict),
        "confidence": stated,
        "usd": "" if answer.usd is None else f"{answer.usd:.4f}",
        "asked": answer.asked_at[:16],
        "marks": ", ".join(one.marks),
        "reason": one_line(answer.reason),
    }


def _call(one: Call) -> dict[str, Any]:
    return {
        "call": one.uid[:8],
        "clip": one.key.clip[:12],
        "prompt": one.key.prompt[:8],
        "labeler": one.key.labeler[:8],
        "#": one.key.sample,
        "reserved": f"{one.reserved_usd:.4f}",
        "sent": one.at[:19],
        "host": one_line(one.host),
        "pid": one.pid,
        "reason": one_line(one.reason),
    }


def _counts(found: Sequence[Listed]) -> str:
    counts = Counter(one.answer.status for one in found)
    marks = Counter(mark for one in found for mark in one.marks)
    told = [f"{count} {name}" for name, count in (*sorted(counts.items()), *sorted(marks.items()))]
    return f"{len(found)} answers" + (f" ({', '.join(told)})" if told else "")


def _money(store: LabelStore) -> str:
    """Say what counts as spent, and what of it is doubtful."""
    from emoframe.weak_labels.asking.unsaved import waiting

    parts = [
        f"${sum(one.reserved_usd for one in calls):.4f} in {len(calls)} calls {what}"
        for what, calls in (
            ("in flight", store.calls("open")),
            ("unknown, see --unknown", store.calls("unknown")),
        )
        if calls
    ]
    told = f"${store.spent():.4f} spent" + (f", of it {' and '.join(parts)}" if parts else "")
    beside = len(waiting(store.path))
    return told + (f"; {beside} answers wait beside it for the next run" if beside else "")

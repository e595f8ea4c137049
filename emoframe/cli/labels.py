"""`emoframe labels ls | show | export | import | ...`: the label store from outside.

The group is put together here. A command that needs a file of its own is a plain function in a
`labels_*` file beside this one, with the arguments of `labels_options`, and is registered below.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
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
    usd_told,
)
from emoframe.cli.labels_quality import agree, probe, rank_prompts
from emoframe.cli.labels_review import review_export, review_import
from emoframe.cli.labels_show import show
from emoframe.cli.output import Json, as_json, note, one_line, rows, say
from emoframe.core.errors import EXIT_SOME_FAILED

if TYPE_CHECKING:
    from emoframe.weak_labels.exchange.intake import Imported
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
    """List the answers, or the calls that nobody knows the end of, and what all of it cost.

    There is a table for each data set, prompt and labeler; --json tells more of every answer.
    """
    from emoframe.weak_labels.exchange.listing import flat
    from emoframe.weak_labels.plain import plain
    from emoframe.weak_labels.store import LabelStore

    with LabelStore(store, write=False) as opened:
        lost = opened.unknown() if unknown else []
        named = {clip: item for (_, item), clip in opened.items().items()} if unknown else {}
        found = [] if unknown else found_in(opened, dataset, prompt, labeler, status)
        money = _money(opened)
    if json:
        as_json([plain(one) for one in lost] if unknown else flat(found))
    elif unknown:
        rows([_call(one, named) for one in lost])
    else:
        _tables(found)
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
    config: Annotated[
        Path | None,
        typer.Option(help="A config: labels are of its data set, items and classes included."),
    ] = None,
) -> None:
    """Take answers in; what is there already stays. Exit code 1 if any cannot be used.

    A row of another tool (.jsonl, .csv, .parquet) has `item` or `clip`, and `label` or
    `confidence` (in tables `confidence.CLASS`); and may have `dataset`, `rationale`,
    `rationale_no_verdict`, `units`, `text`, `model`, `prompt`, `sample`, `at` and `simulated`.
    Its class must be one of the data set's, which the store knows once it was asked about, or
    --config says. `emoframe labels agree CONFIG --labeler NAME` measures such labels.
    """
    from emoframe.weak_labels.exchange import intake
    from emoframe.weak_labels.exchange.elsewhere import Known
    from emoframe.weak_labels.store import LabelStore

    given = _data_set(config) if config else None
    dataset = dataset or (given[0] if given else "")
    if not store.exists():  # nothing is made where nothing can be taken in
        intake.readable(file, Known().more(*given) if given else Known(), dataset, source)
    with LabelStore(store) as opened:
        known = Known.of(opened)
        known = known.more(*given) if given else known
        before = opened.spent()
        done = intake.import_file(opened, file, dataset, source, known)
        if given:
            opened.add_items(*given[:2])
        paid = opened.spent() - before
    for text in done.refused:
        note(one_line(text))
    _tell(store, done, paid)
    if done.refused:
        raise typer.Exit(EXIT_SOME_FAILED)


commands.command("agree")(agree)
commands.command("probe")(probe)
commands.command("rank-prompts")(rank_prompts)
commands.command("review-export")(review_export)
commands.command("review-import")(review_import)


def _data_set(config: Path) -> tuple[str, dict[str, str], tuple[str, ...]]:
    """Return name, clip of each item, and classes of a config's data set."""
    from emoframe import api
    from emoframe.core.registry import create
    from emoframe.learning.shown import Shower

    experiment = api.load(config)
    dataset = create("dataset", experiment.dataset)
    shower = Shower(experiment, dataset)
    shown = shower.shown(api.SPLITS)
    for item, why in shown.lost.items():
        note(one_line(f"{item}: {why}"))
    return shower.name, shown.items, tuple(dataset.classes)


def _tell(store: Path, done: Imported, paid: float) -> None:
    """Say what an import brought, and how labels of another tool are called from now on."""
    new = ", ".join(f"{count} {name}" for name, count in done.new.items() if count)
    note(f"{store}: new are {new or 'none'}; ${paid:.4f} more count as spent")
    for prompt, labeler in done.made:
        note(f"labels made elsewhere are of the labeler {labeler}, prompt {prompt}")
    if done.unchecked:
        note(
            f"nothing is known of their data set, so their classes ({', '.join(done.unchecked)}) "
            "were not checked; give --config CONFIG to have them checked"
        )


def _tables(found: Sequence[Listed]) -> None:
    """Print a table for each data set, prompt and labeler, with what holds for all of it above."""
    from emoframe.weak_labels.exchange.names import prompt_name

    groups: dict[tuple[str, str, str], list[Listed]] = {}
    for one in found:
        name = one.dataset or "(no data set)", prompt_name(one.prompt), one.labeler.name
        groups.setdefault(name, []).append(one)
    for n, (name, answers) in enumerate(groups.items()):
        shared = [mark for mark in answers[0].marks if all(mark in one.marks for one in answers)]
        marks = f" ({', '.join(shared)})" if shared else ""
        say("\n" * (n > 0) + one_line(f"{', '.join(name)}{marks}"))
        samples = any(one.answer.key.sample for one in answers)
        rows([_row(one, shared, samples) for one in answers])


def _row(one: Listed, shared: Sequence[str], samples: bool) -> dict[str, Any]:
    answer = one.answer
    label = answer.label
    stated = max(label.confidence) if label is not None and label.confidence else None
    verdict = "abstains" if label is not None and label.label is None else one.verdict
    more = [*(mark for mark in one.marks if mark not in shared), answer.reason]
    return {
        "item": one.item or answer.key.clip[:12],
        **({"#": answer.key.sample} if samples else {}),
        "status": answer.status,
        "label": verdict,
        "sure": "" if stated is None else f"{stated:.2f}",
        "usd": "" if answer.usd is None else f"{answer.usd:.4f}",
        "note": "; ".join(filter(None, more)),
    }


def _call(one: Call, named: Mapping[str, str]) -> dict[str, Any]:
    return {
        "item": named.get(one.key.clip) or one.key.clip[:12],
        "#": one.key.sample,
        "prompt": one.key.prompt[:8],
        "labeler": one.key.labeler[:8],
        "most": usd_told(one.reserved_usd),
        "sent": one.at[:16],
        "reason": one.reason,
    }


def _counts(found: Sequence[Listed]) -> str:
    counts = Counter(one.answer.status for one in found)
    marks = Counter(mark for one in found for mark in one.marks)
    told = [f"{count} {name}" for name, count in (*sorted(counts.items()), *sorted(marks.items()))]
    return f"{len(found)} answer{'s' * (len(found) != 1)}" + (
        f" ({', '.join(told)})" if told else ""
    )


def _money(store: LabelStore) -> str:
    """Say what counts as spent, and what of it is doubtful."""
    from emoframe.weak_labels.asking.unsaved import waiting

    parts = [
        f"${sum(one.reserved_usd for one in calls):.4f} in {len(calls)} calls {what}"
        for what, calls in (
            ("in flight", store.calls("open")),
            ("unknown, see --unknown", store.unknown()),
        )
        if calls
    ]
    told = f"${store.spent():.4f} spent" + (f", of it {' and '.join(parts)}" if parts else "")
    beside = len(waiting(store.path))
    return told + (f"; {beside} answers wait beside it for the next run" if beside else "")

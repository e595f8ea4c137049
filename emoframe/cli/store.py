"""`emoframe store ls | stats | verify | gc | export | import`: the feature store from outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from emoframe.cli.output import Json, as_json, note, one_line, rows, say
from emoframe.core.errors import EXIT_SOME_FAILED, DataError

commands = typer.Typer(
    help="Look a feature store over, tidy it, and hand parts of it on.", no_args_is_help=True
)
Root = Annotated[Path, typer.Argument(metavar="STORE", help="Folder of the store.")]
Bundle = Annotated[Path, typer.Argument(metavar="BUNDLE.zip", help="The bundle.")]


@commands.command("ls")
def ls(
    store: Root,
    failed: Annotated[bool, typer.Option(help="Only what failed.")] = False,
    stage: Annotated[str, typer.Option(help="Only this stage.")] = "",
    json: Json = False,
) -> None:
    """List what became of every stage of every video.

    STAGE@KEY, with as much of the key as is shown, names a stage in the `features` of a config.
    """
    from emoframe.perception.entries import entries

    found = [
        one
        for one in entries(store)
        if stage in {"", one.stage} and (one.status == "failed" or not failed)
    ]
    if json:
        as_json([asdict(one) for one in found])
        return
    rows(
        [
            {
                "dataset": one.dataset,
                "id": one.id,
                "video": Path(one.video).name or one.video_hash[:16],
                "stage": one.stage or "refused",
                "key": one.key[:8],
                "status": one.status,
                "frames": one.frames,
                "seconds": one.seconds,
                "valid": _shares(one.valid),
                "ended": _when(one.finished),
                "reason": one.reason,
            }
            for one in found
        ]
    )
    note(f"{store}: {len(found)} listed")


@commands.command()
def stats(store: Root, json: Json = False) -> None:
    """Sum a store up by stage: videos, frames, time, size, and how much was measured."""
    from emoframe.perception.entries import entries
    from emoframe.perception.upkeep import stats as stats_of

    found = [asdict(one) for one in stats_of(store, entries(store))]
    if json:
        as_json(found)
        return
    shown = {
        "stage": lambda name: name or "refused",
        "key": lambda key: key[:8],
        "bytes": _size,
        "valid": _shares,
    }
    rows([{k: shown[k](v) if k in shown else v for k, v in one.items()} for one in found])


@commands.command()
def verify(store: Root) -> None:
    """Read every file of a store and say what is not as it was written; exit code 1 if any."""
    from emoframe.perception.upkeep import verify as findings_of

    wrong = harmless = 0
    for finding in findings_of(store):
        say(f"{'note: ' if finding.harmless else ''}{one_line(str(finding))}")
        harmless += finding.harmless
        wrong += not finding.harmless
    note(f"{store}: {wrong or 'nothing'} wrong" + (f", {harmless} to note" if harmless else ""))
    if wrong:
        raise typer.Exit(EXIT_SOME_FAILED)


@commands.command()
def gc(
    store: Root,
    keep: Annotated[
        list[str], typer.Option(metavar="CONFIG", help="Keep what this config uses (repeatable).")
    ],
    delete: Annotated[bool, typer.Option(help="Delete; without it nothing is changed.")] = False,
) -> None:
    """Say, or delete, what no given config uses and what killed processes left behind."""
    from emoframe import api
    from emoframe.perception.upkeep import gc as collect

    experiments = [api.load(config) for config in keep]
    keys = {key for one in experiments for key in api.stage_keys_of(one).values()}
    named = (source.partition("@")[2] for one in experiments for source in one.features.values())
    found = collect(store, keys | {*filter(None, named)}, delete)
    for one in found:
        say(f"{one.folder}: {one.why}, {_size(one.bytes)}, {one.state}")
    goes = [one for one in found if one.state != "in use"]
    what = "deleted" if delete else "would go; --delete deletes them"
    note(f"{store}: {len(goes)} folders, {_size(sum(one.bytes for one in goes))}, {what}")


@commands.command("export")
def export(
    store: Root,
    bundle: Bundle,
    stage: Annotated[
        list[str] | None, typer.Option(help="Only this stage (repeatable); else all.")
    ] = None,
    dataset: Annotated[str, typer.Option(help="Only items of this data set.")] = "",
    terms: Annotated[
        Path | None, typer.Option(help="The data set's terms.yaml, which the bundle then carries.")
    ] = None,
    terms_accepted: Annotated[
        bool, typer.Option("--terms-accepted", help="The terms were read and allow it.")
    ] = False,
) -> None:
    """Write finished stages, without frames or videos, into one file to hand on."""
    from emoframe.perception.bundle import export_bundle

    known = _read_terms(terms) if terms else _own_terms(store, dataset)
    manifest = export_bundle(
        store,
        bundle,
        stage_names=stage or (),
        dataset=dataset,
        terms=known,
        terms_accepted=terms_accepted,
    )
    size = _size(bundle.stat().st_size)
    note(f"{bundle}: {len(manifest.stages)} stages of {len(manifest.samples)} items, {size}")
    if known is None:
        note("it says that its terms are unknown; name the data set's terms.yaml with --terms")


def _own_terms(store: Path, dataset: str) -> Mapping[str, Any] | None:
    """Return the terms that a data set in a store ships with, the first that is not free."""
    from emoframe.core.registry import registry
    from emoframe.perception.entries import standing

    names = {one.dataset.partition(":")[0] for one in standing(store, dataset)}
    parts = registry("dataset")
    shipped = [getattr(parts.get(name), "terms", None) for name in names & set(parts.names())]
    told = [terms for terms in shipped if terms]
    return next((terms for terms in told if terms.get("redistribute") != "yes"), None) or (
        told[0] if told else None
    )


@commands.command("import")
def import_(bundle: Bundle, store: Root) -> None:
    """Take the stages of a bundle into a store; what is there already stays."""
    from emoframe.perception.bundle_import import import_bundle

    done = import_bundle(bundle, store)
    note(f"{store}: {done.new} stages are new, {done.there} were there")
    told = "; ".join(f"{name}: {text}" for name, text in done.manifest.terms.items())
    note(f"terms of these data: {one_line(told)}")


def _read_terms(file: Path) -> Mapping[str, Any]:
    import yaml

    try:
        terms = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise DataError(f"{file}: cannot be read as terms ({error})") from error
    if not isinstance(terms, dict) or "redistribute" not in terms:
        raise DataError(f"{file}: are no terms; `redistribute: yes, no or ask` is missing")
    return terms


def _shares(valid: Mapping[str, float]) -> str:
    return ", ".join(f"{part} {share:.0%}" for part, share in valid.items())


def _when(second: float | None) -> str:
    if second is None:
        return ""
    return datetime.fromtimestamp(second, UTC).astimezone().isoformat(" ", "minutes")[:16]


def _size(count: float) -> str:
    """Write a number of bytes for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"

"""`emoframe labels review-export | review-import`: to Label Studio and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emoframe.cli.labels_options import Dataset, Labeler, PromptName, Store, found_in
from emoframe.cli.output import note, one_line
from emoframe.core.errors import EXIT_SOME_FAILED, DataError


def review_export(
    store: Store,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Gets the two files.")],
    videos: Annotated[
        str, typer.Option(help="Address of a video for Label Studio, with {item} or {clip} in it.")
    ],
    fps: Annotated[
        float, typer.Option(help="Frames per second of videos whose own are not known.")
    ] = 25.0,
    config: Annotated[
        Path | None,
        typer.Option(help="A config: its data set's videos say their own frames per second."),
    ] = None,
    dataset: Dataset = "",
    prompt: PromptName = "",
    labeler: Labeler = "",
) -> None:
    """Write labels as tasks for Label Studio, with what was found as pre-annotations."""
    from emoframe.weak_labels.exchange.review import CONFIG, TASKS, export_review
    from emoframe.weak_labels.store import LabelStore

    with LabelStore(store, write=False) as opened:
        found = found_in(opened, dataset, prompt, labeler)
    own = _own_fps(config) if config else {}
    count = export_review(found, folder, videos, fps, own)
    note(
        f"{folder}: {count} tasks. In Label Studio, paste {CONFIG} as the labelling interface and "
        f"import {TASKS}; `emoframe labels review-import` takes its JSON export"
    )


def _own_fps(config: Path) -> dict[tuple[str, str], float]:
    """Ask each video of a config's data set for its frames per second; tell which do not say."""
    from emoframe import api
    from emoframe.core.registry import create
    from emoframe.learning.sources import name_of
    from emoframe.perception.video import probe

    experiment = api.load(config)
    dataset = create("dataset", experiment.dataset)
    name, found = name_of(experiment, dataset), dict[tuple[str, str], float]()
    for ref in (ref for split in api.SPLITS for ref in dataset.samples(split)):
        try:
            rate = probe(ref.video).fps if ref.video else None
        except DataError as error:
            note(one_line(f"{ref.id}: --fps counts, since {error}"))
            continue
        if rate:
            found[name, ref.id] = rate
    return found


def review_import(
    store: Store,
    file: Annotated[Path, typer.Argument(metavar="FILE.json", help="Label Studio's JSON export.")],
) -> None:
    """Keep what people corrected in Label Studio as gold; exit code 1 if any cannot be used."""
    from emoframe.weak_labels.exchange.gold import import_review
    from emoframe.weak_labels.store import LabelStore

    with LabelStore(store, write=False) as opened:  # there is one, or there is nothing to correct
        done = import_review(opened, file)
    for text in done.refused:
        note(one_line(text))
    note(f"{store}: {done.new} reviews are new, {done.there} were there")
    if done.refused:
        raise typer.Exit(EXIT_SOME_FAILED)

"""`emoframe labels review-export | review-import`: to Label Studio and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emoframe.cli.labels_options import Dataset, Labeler, PromptName, Store, found_in, one_line
from emoframe.cli.output import note
from emoframe.core.errors import EXIT_SOME_FAILED


def review_export(
    store: Store,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Gets the two files.")],
    videos: Annotated[
        str, typer.Option(help="Address of a video for Label Studio, with {item} or {clip} in it.")
    ],
    fps: Annotated[float, typer.Option(help="Frames per second of the videos.")] = 25.0,
    dataset: Dataset = "",
    prompt: PromptName = "",
    labeler: Labeler = "",
) -> None:
    """Write labels as tasks for Label Studio, with what was found as pre-annotations."""
    from emoframe.weak_labels.exchange.review import CONFIG, TASKS, export_review
    from emoframe.weak_labels.store import LabelStore

    with LabelStore(store, write=False) as opened:
        count = export_review(found_in(opened, dataset, prompt, labeler), folder, videos, fps)
    note(
        f"{folder}: {count} tasks. In Label Studio, paste {CONFIG} as the labelling interface and "
        f"import {TASKS}; `emoframe labels review-import` takes its JSON export"
    )


def review_import(
    store: Store,
    file: Annotated[Path, typer.Argument(metavar="FILE.json", help="Label Studio's JSON export.")],
) -> None:
    """Keep what people corrected in Label Studio as gold; exit code 1 if any cannot be used."""
    from emoframe.weak_labels.exchange.gold import import_review
    from emoframe.weak_labels.store import LabelStore

    with LabelStore(store) as opened:
        done = import_review(opened, file)
    for text in done.refused:
        note(one_line(text))
    note(f"{store}: {done.new} reviews are new, {done.there} were there")
    if done.refused:
        raise typer.Exit(EXIT_SOME_FAILED)

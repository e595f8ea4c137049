"""`emoframe extract CONFIG`: videos become keypoints in the store, once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emoframe.cli.output import Json, Overrides, as_json, progress, rows
from emoframe.core.errors import EXIT_SOME_FAILED


def command(
    file: Annotated[Path, typer.Argument(help="A config, or the name of a shipped one.")],
    overrides: Overrides = None,
    video: Annotated[
        list[Path] | None, typer.Option(help="Extract this video instead of the data set's.")
    ] = None,
    retry_failed: Annotated[bool, typer.Option(help="Try failed videos again.")] = False,
    json: Json = False,
) -> None:
    """Extract every video of a config; what is done already is not done again."""
    from emoframe import api

    experiment = api.load(file, overrides or [])
    videos = video or api.videos(experiment)
    with progress("stage", 2 * len(videos)) as bar:
        table = api.extract(
            experiment,
            videos,
            retry_failed=retry_failed,
            on_row=lambda row: bar.step(f"{row.video.name} {row.stage}: {row.status} {row.reason}"),
            on_progress=lambda p: bar.tell(f"{p.video.name} {p.stage}: frame {p.done}/{p.total}"),
        )
    found = table.to_dict("records")
    as_json(found) if json else rows(found)
    if any(row["status"] == "failed" for row in found):
        raise typer.Exit(EXIT_SOME_FAILED)

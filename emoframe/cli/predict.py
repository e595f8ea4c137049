"""`emoframe predict VIDEO --run DIR`: what a run makes of a video of yours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emoframe.cli.output import Json, as_json, progress, rows, say


def command(
    video: Annotated[Path, typer.Argument(help="The video.")],
    run: Annotated[Path, typer.Option(help="Run folder.")],
    force: Annotated[
        bool, typer.Option(help="Print class probabilities of a run on synthetic data, marked.")
    ] = False,
    json: Json = False,
) -> None:
    """Show keypoint quality and motion of a video, and classes where they mean something."""
    from emoframe import api

    with progress(video.name, 1) as bar:
        found = api.predict(
            video,
            run,
            force=force,
            on_progress=lambda p: bar.tell(f"{p.stage}: frame {p.done}/{p.total}"),
        )
    if json:
        as_json(found)
        return
    say(f"{video.name}: {found['frames']} frames, {found['seconds']:.1f} s\n")
    rows(found["parts"])
    say(f"\n{found['verdict']}")
    if found["classes"]:
        rows(found["classes"])

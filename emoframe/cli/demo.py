"""`emoframe demo`: the whole main job, with nothing to download but one wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emoframe.cli.output import note, progress, say


def command(
    video: Annotated[Path | None, typer.Option(help="Your own video of one person.")] = None,
    folder: Annotated[Path, typer.Option(help="Where everything goes.")] = Path("runs/demo"),
) -> None:
    """Extract a real video, train on planted data, and write one report."""
    from emoframe.demo import STEPS, run

    with progress("demo", len(STEPS)) as bar:
        report = run(folder, video, bar.step, note)
    say(f"report: {report.resolve()}")

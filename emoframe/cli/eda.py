"""`emoframe eda CONFIG`: look at what was extracted before anything is trained on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from emoframe.cli.output import Json, Overrides, as_json, note, progress, rows, say


def command(
    file: Annotated[Path, typer.Argument(help="A config, or the name of a shipped one.")],
    overrides: Overrides = None,
    out: Annotated[Path, typer.Option(help="Folder for the page, its figures and tables.")] = Path(
        "eda"
    ),
    videos: Annotated[int, typer.Option(min=0, help="Videos to draw keypoints of.")] = 3,
    compare: Annotated[
        Path | None,
        typer.Option(help="A config with other keypoints of the same videos; takes overrides too."),
    ] = None,
    faces: Annotated[
        Literal["blur", "skeleton", "show"] | None,
        typer.Option(help="What may be seen of people; the config says so otherwise."),
    ] = None,
    json: Json = False,
) -> None:
    """Write figures, tables and a page of the keypoints that a config has extracted."""
    from emoframe import api
    from emoframe.core.registry import create
    from emoframe.evidence.pictures.eda import eda
    from emoframe.evidence.pictures.survey import items_of

    experiment = api.load(file, overrides or [])
    other = api.load(compare, overrides or []) if compare else None
    count = len(items_of(create("dataset", experiment.dataset)))
    with progress("video", count * (2 if other else 1)) as bar:
        table = eda(experiment, out, most=videos, faces=faces, compare=other, on_video=bar.step)
    found = table.astype(object).where(table.notna(), None).to_dict("records")
    if json:
        as_json(found)
        return
    rows([{key: row[key] for key in ("id", "frames", "no_person_frames", "cuts")} for row in found])
    absent = sum(bool(row["reason"]) for row in found)
    if absent:
        note(f"{absent} of {len(found)} videos have no keypoints; the page says why")
    say(str(out / "eda.html"))

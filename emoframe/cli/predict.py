"""`emoframe predict VIDEO --run DIR`: what a run makes of a video of yours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from emoframe.cli.output import Json, as_json, progress, rows, say


def command(
    video: Annotated[Path, typer.Argument(help="The video.")],
    run: Annotated[Path, typer.Option(help="Run folder.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for a page, its pictures, and JSON.")
    ] = None,
    views: Annotated[
        int | None, typer.Option(min=1, help="Views that vote; as the run was judged otherwise.")
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="A text that the run reads (repeatable)."),
    ] = None,
    faces: Annotated[
        Literal["blur", "skeleton", "show"] | None,
        typer.Option(help="What pictures show of people; the run's config says so otherwise."),
    ] = None,
    force: Annotated[
        bool, typer.Option(help="Print class probabilities of a run on synthetic data, marked.")
    ] = False,
    json: Json = False,
) -> None:
    """Show what a run makes of a video, and all that must be known to read it."""
    from emoframe import api

    texts = dict(_read(one) for one in text or [])
    with progress(video.name, 1) as bar:
        found = api.predict(
            video,
            run,
            force=force,
            texts=texts,
            views=views,
            out=out,
            faces=faces,
            on_progress=lambda p: bar.tell(f"{p.stage}: frame {p.done}/{p.total}"),
        )
    if json:
        as_json(found)
        return
    say(f"{video.name}: {found['frames']} frames, {found['seconds']:.1f} s\n")
    if found["parts"]:
        rows(found["parts"])
    say(f"\n{found['verdict']}")
    if found["classes"]:
        _classes(found)
    if out is not None:
        say(f"\n{out / 'prediction.html'}")


def _classes(found: dict[str, Any]) -> None:
    """Print probabilities with all that stands beside them."""
    mended = found["calibration"]["temperature"] is not None
    shown = ("class", "probability", "uncalibrated") if mended else ("class", "probability")
    rows([{key: row[key] for key in shown} for row in found["classes"]])
    said = [found["calibration"]["said"], found["votes"]["said"], found["meaning"]]
    say("\n" + "\n".join([*found["remarks"], *said]))
    if found["scores"]:
        say("\nHow often this run is right:")
        brief = ("split", "accuracy", "majority", "items", "subjects", "remark")
        rows([{key: row[key] for key in brief} for row in found["scores"]])
        how = dict.fromkeys(row["interval"] for row in found["scores"])
        say(f"intervals: {'; '.join(how)}")
    for name, one in found["texts"].items():
        say(f"\n{name}, {one['source']}:\n{one['text']}")
    say("\n" + "\n".join([*found["relevance"]["said"], *found["notes"]]))


def _read(given: str) -> tuple[str, str]:
    """Return the name of an input and the text of the file that it is to be taken from."""
    name, equals, file = given.partition("=")
    if not (name and equals and file):
        raise typer.BadParameter(f"{given!r} is not NAME=FILE", param_hint="--text")
    try:
        return name, Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file} cannot be read: {error}", param_hint="--text") from error

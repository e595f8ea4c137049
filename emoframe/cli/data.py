"""`emoframe data check | convert ROOT`: look a released data set over, and make it fast to read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emoframe.cli.output import note, progress, say
from emoframe.core.errors import EXIT_SOME_FAILED

commands = typer.Typer(
    help="Look a released data set over before anything runs on it.", no_args_is_help=True
)
Root = Annotated[Path, typer.Argument(help="Folder of the release of iMiGUE.")]
Target = Annotated[
    Path | None, typer.Option(help="Folder of converted skeletons; default emoframe_npy in ROOT.")
]


@commands.command()
def check(root: Root, converted: Target = None) -> None:
    """Say everything that is missing or wrong, one line each."""
    from emoframe.learning.datasets.imigue_check import check as problems_of

    problems = problems_of(root, converted)
    for problem in problems:
        say(problem)
    note(f"{root}: {len(problems)} found" if problems else f"{root}: nothing is wrong")
    if problems:
        raise typer.Exit(EXIT_SOME_FAILED)


@commands.command()
def convert(
    root: Root,
    converted: Target = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
) -> None:
    """Read each slow skeleton file once and keep it as numbers; a stopped conversion goes on."""
    from emoframe.learning.datasets.imigue_files import find_files
    from emoframe.learning.datasets.imigue_skeletons import CONVERTED, Skeletons
    from emoframe.learning.datasets.imigue_skeletons import convert as convert_all

    total = len(Skeletons(find_files(root), "openpose_137", converted or root / CONVERTED).sources)
    with progress("skeleton", total) as bar:
        found = convert_all(
            root,
            converted,
            workers=workers,
            each=lambda one: bar.step(f"{one.video} {one.state} {one.detail}".strip()),
        )
    failed = [one for one in found if one.state == "failed"]
    for one in failed:
        say(f"{one.video}: {one.detail}")
    if failed:
        raise typer.Exit(EXIT_SOME_FAILED)

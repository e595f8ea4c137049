"""`emoframe data check | convert ROOT`: look a released data set over, and make it fast to read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emoframe.cli.output import note, progress, say
from emoframe.core.errors import EXIT_SOME_FAILED, DataError

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
    root: Annotated[Path, typer.Argument(help="Folder of the release of iMiGUE, or a pickle.")],
    out: Annotated[Path | None, typer.Argument(help="Of a pickle: the npz to write.")] = None,
    converted: Target = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    unsafe: Annotated[
        bool, typer.Option("--unsafe", help="Read a pickle: you trust who made it.")
    ] = False,
    splits: Annotated[
        str, typer.Option(metavar="TRAIN,TEST", help="Of a pickle: which splits to take.")
    ] = "",
) -> None:
    """Read each slow skeleton file once and keep it as numbers; a stopped conversion goes on.

    Or turn a pickle of pyskl into an npz of the data set `sequences`.
    """
    if root.is_file():
        _convert_pickle(root, out, unsafe, splits)
    elif out or unsafe or splits:
        raise DataError(f"{root}: OUT, --unsafe and --splits are about a pickle; this is none")
    else:
        _convert_release(root, converted, workers)


def _convert_release(root: Path, converted: Path | None, workers: int) -> None:
    from emoframe.learning.datasets.imigue_convert import convert as convert_all
    from emoframe.learning.datasets.imigue_convert import convertible

    total = sum(len(skeletons.ids) for skeletons in convertible(root, converted))
    with progress("skeleton", total) as bar:
        found = convert_all(
            root,
            converted,
            workers=workers,
            each=lambda one: bar.step(f"{one.form} {one.video} {one.state} {one.detail}"),
        )
    failed = [one for one in found if one.state == "failed"]
    for one in failed:
        say(f"{one.video}: {one.detail}")
    if failed:
        raise typer.Exit(EXIT_SOME_FAILED)


def _convert_pickle(path: Path, out: Path | None, unsafe: bool, splits: str) -> None:
    from emoframe.learning.datasets.pyskl import convert_pickle

    train, comma, test = splits.partition(",")
    if splits and not comma:
        raise DataError(f"--splits {splits!r} is not of the form TRAIN,TEST")
    if out is None:
        raise DataError(f"{path}: name the npz to write, as in: convert {path.name} OUT.npz")
    done = convert_pickle(path, out, (train, test) if splits else None, unsafe=unsafe)
    note(
        f"{out}: {done.train} training and {done.test} test items; {done.left_out} are in neither "
        f"split, {done.crowded} show several people, of whom one was kept"
    )

"""`emoframe docs`: pages from the registries."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emoframe.cli.output import say


def command(
    folder: Annotated[Path, typer.Option(help="Where the pages go.")] = Path("docs"),
) -> None:
    """Write a page for every registered part, command and hook."""
    from emoframe.docs import write

    written = write(folder)
    say(f"{len(written)} pages in {folder / 'components'}; start with index.md")

"""`emoframe fill FILE`: the config with every default written in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emoframe.cli.output import Overrides, say


def command(
    file: Annotated[Path, typer.Argument(help="A config, or the name of a shipped one.")],
    overrides: Overrides = None,
) -> None:
    """Print a config with all defaults filled in."""
    from emoframe.core import config
    from emoframe.learning.experiment import Experiment

    say(config.dump(config.check(Experiment, config.load(file, overrides or []))).rstrip())

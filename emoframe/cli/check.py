"""`emoframe check FILE [key=value...]`: everything that is wrong with a config, at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emoframe.cli.output import Json, Overrides, as_json, say
from emoframe.core.errors import EXIT_MISTAKE, ConfigError


def command(
    file: Annotated[Path, typer.Argument(help="A config, or the name of a shipped one.")],
    overrides: Overrides = None,
    json: Json = False,
) -> None:
    """Check a config and list every problem; needs no data and builds nothing."""
    from emoframe.core import config
    from emoframe.learning.experiment import Experiment
    from emoframe.weak_labels.prompt import prompt_problems

    try:
        experiment = config.check(Experiment, config.load(file, overrides or []))
        if experiment.weak_labels and (found := prompt_problems(experiment.weak_labels)):
            raise ConfigError(found)
    except ConfigError as error:
        if not json:
            raise
        as_json([{"path": p.path, "where": p.where, "text": p.text} for p in error.problems])
        raise typer.Exit(EXIT_MISTAKE) from None
    as_json([]) if json else say(f"{file}: no problem found")

"""`emoframe schema`: JSON Schema of a config, so that an editor completes and checks the YAML."""

from __future__ import annotations

from emoframe.cli.output import as_json


def command() -> None:
    """Print the JSON Schema over emoframe and the installed plugins."""
    from emoframe.core.json_schema import json_schema
    from emoframe.learning.experiment import Experiment

    as_json(json_schema(Experiment))

"""`emoframe licences CONFIG`: under which terms the code and the weights of a config stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from emoframe.cli.output import Json, Overrides, as_json, rows


def listing(source: Path, overrides: list[str]) -> list[dict[str, Any]]:
    """Return the licences of every part that a config uses."""
    from emoframe.core import config
    from emoframe.core.registry import registry
    from emoframe.learning.experiment import Experiment

    experiment = config.check(Experiment, config.load(source, overrides))
    found: list[dict[str, Any]] = []
    for kind, name in dict.fromkeys(_parts(experiment)):
        offer = registry(kind).offer(name)
        found += [
            {
                "kind": kind,
                "name": name,
                "code": offer.component.license,
                "weights": offer.component.weights_license or "none loaded",
                "provided by": offer.distribution,
            }
        ]
    return found


def _parts(section: Any) -> Iterator[tuple[str, str]]:
    """Walk a checked config and yield the kind and name of every part in it, nested ones too."""
    import dataclasses

    from emoframe.core.registry import registry
    from emoframe.core.schema import fields, kind_of, parameters

    def walk(annotation: Any, value: Any) -> Iterator[tuple[str, str]]:
        kind = kind_of(annotation)
        if isinstance(value, Mapping) and kind and "type" in value:
            yield kind, value["type"]
            parts = registry(kind)
            for name, inner in parameters(parts.get(value["type"]), parts.kind).items():
                yield from walk(inner.annotation, value.get(name))
        elif isinstance(value, Mapping):
            for item in value.values():
                yield from walk(annotation, item)
        else:
            yield from _parts(value)

    if dataclasses.is_dataclass(section) and not isinstance(section, type):
        for name, parameter in fields(type(section)).items():
            yield from walk(parameter.annotation, getattr(section, name))


def command(
    file: Annotated[Path, typer.Argument(help="A config, or the name of a shipped one.")],
    overrides: Overrides = None,
    json: Json = False,
) -> None:
    """List the licences of the code and the weights that a config uses."""
    found = listing(file, overrides or [])
    as_json(found) if json else rows(found)

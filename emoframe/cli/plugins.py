"""`emoframe plugins`: who is plugged in, and who is broken."""

from __future__ import annotations

from typing import Any

import typer

from emoframe.cli.output import Json, as_json, rows
from emoframe.core.errors import EXIT_SOME_FAILED
from emoframe.core.plugins import loaded


def listing() -> list[dict[str, Any]]:
    """Return every plugin found, with the reason of each broken one."""
    return [
        {
            "plugin": plugin.name,
            "distribution": plugin.distribution,
            "parts": ", ".join(f"{c.kind} {c.name}" for c in plugin.components),
            "hooks": ", ".join(hook.removeprefix("emoframe_") for hook in plugin.hooks),
            "problem": plugin.error,
        }
        for plugin in loaded().plugins
    ]


def command(json: Json = False) -> None:
    """List the plugins; exit code 1 if one is broken."""
    found = listing()
    as_json(found) if json else rows(found)
    if any(plugin["problem"] for plugin in found):
        raise typer.Exit(EXIT_SOME_FAILED)

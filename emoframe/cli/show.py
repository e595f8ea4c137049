"""`emoframe show KIND NAME`: everything about one part."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from emoframe.cli.output import Json, as_json, rows, say


def card(kind: str, name: str) -> dict[str, Any]:
    """Return what is known of a part: signature, shapes, source, provider, example."""
    from emoframe.docs import describe_part

    return describe_part(kind, name)


def command(
    kind: Annotated[str, typer.Argument(help="The kind.")],
    name: Annotated[str, typer.Argument(help="The name.")],
    json: Json = False,
) -> None:
    """Show a part: parameters, shapes, source, provider, example."""
    found = card(kind, name)
    if json:
        as_json(found)
        return
    say(f"{kind} {name}: {found['summary']}\n")
    if found["parameters"]:
        rows(found["parameters"])
    say(f"\nsource: {found['source']}:{found['line']}")
    if found["problem"]:
        say(f"\nits code cannot be imported here: {found['problem']}")
    for key in ("doc", "call", "provider", "needs", "paper", "license", "weights"):
        if found[key]:
            say(f"\n{key}: {found[key]}")
    say(f"\nexample:\n{found['example']}")

"""`emoframe list [KIND]`: what is installed."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from emoframe.cli.output import Json, as_json, rows
from emoframe.core.component import KINDS
from emoframe.core.errors import ComponentError, suggest
from emoframe.core.plugins import loaded
from emoframe.core.source import locate


def listing(kind: str | None = None) -> list[dict[str, Any]]:
    """Return every part, or every part of a kind, without importing any."""
    known = list(KINDS)
    if kind and kind not in known:
        raise ComponentError(
            f"there is no kind {kind!r}{suggest(kind, known)} ({', '.join(known)})"
        )
    parts = loaded()
    return [
        {
            "kind": own,
            "name": name,
            "summary": locate(offer).summary,
            "provided by": offer.distribution,
        }
        for own in ([kind] if kind else known)
        for name in parts.names(own)
        for offer in parts.offers[own, name]
    ]


def command(
    kind: Annotated[str | None, typer.Argument(help="A kind, such as keypoint_backbone.")] = None,
    json: Json = False,
) -> None:
    """List the registered parts."""
    found = listing(kind)
    as_json(found) if json else rows(found)

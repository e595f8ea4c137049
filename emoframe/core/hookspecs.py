"""The hooks: everything that a plugin can add, and nothing else.

A plugin is a module (or object) with any of these functions, marked with `emoframe.hookimpl` and
named in the entry-point group `emoframe`. A misspelt hook is an error, not a silent nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from pathlib import Path

    import typer

    from emoframe.core.component import Component
    from emoframe.skeleton import SkeletonLayout

PROJECT = "emoframe"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def emoframe_components() -> list[Component]:  # pyright: ignore[reportReturnType]
    """Return the parts that the plugin offers, as data; their code is imported on first use."""


@hookspec
def emoframe_configs() -> list[Path]:  # pyright: ignore[reportReturnType]
    """Return folders of YAML files that `base:` and the command line find by name."""


@hookspec
def emoframe_layouts() -> list[SkeletonLayout]:  # pyright: ignore[reportReturnType]
    """Return keypoint layouts that the plugin's parts speak."""


@hookspec
def emoframe_commands(app: typer.Typer) -> None:
    """Add commands to the command line."""

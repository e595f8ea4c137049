"""Assembling the command line: one module per command, each a thin wrapper of a plain function.

Start-up is kept short: a command imports what it needs when it runs, and typer's own rich help and
tracebacks are off. A user's mistake is a sentence on stderr and exit code 2, never a traceback.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from emoframe.core.errors import EXIT_MISTAKE, EmoframeError
from emoframe.core.plugins import loaded

COMMANDS = (
    "demo", "list", "show", "plugins", "check", "fill", "schema", "data", "plan", "extract",
    "label", "train", "ablate", "compare", "baselines", "test", "power", "predict",
    "reproduce", "submit", "store", "labels", "eda", "study", "licences", "docs", "doctor",
)  # fmt: skip


def build_app() -> typer.Typer:
    """Assemble the commands of emoframe and of its plugins."""
    app = typer.Typer(
        name="emoframe",
        help="Hidden emotion in video, from pixels to a result that can be believed.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(_options)
    for name in COMMANDS:
        module = importlib.import_module(f"emoframe.cli.{name}")
        if hasattr(module, "commands"):
            app.add_typer(module.commands, name=name)
        else:
            app.command(name)(module.command)
    for _ in loaded().results("emoframe_commands", app):
        pass  # called one by one; a plugin that fails is noted
    return app


def _options(
    plugin: Annotated[
        list[Path] | None, typer.Option(help="Load a Python file as a plugin (repeatable).")
    ] = None,
    debug: Annotated[bool, typer.Option(help="Show the traceback of an error.")] = False,
) -> None:
    """Hidden emotion in video, from pixels to a result that can be believed."""
    del debug  # `main` looks for it, since parsing itself may fail
    for path in plugin or []:
        loaded().load_file(path)


def main() -> None:
    """Run the command line and turn mistakes into sentences."""
    try:
        build_app()()
    except EmoframeError as error:
        if "--debug" in sys.argv:
            raise
        sys.stderr.write(f"emoframe: {error}\n")
        raise SystemExit(EXIT_MISTAKE) from None
    except BrokenPipeError:  # `emoframe list | head`
        raise SystemExit(0) from None

"""What the commands of `emoframe labels` share: arguments, and cells that harm no terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from emoframe.core.errors import DataError, suggest

if TYPE_CHECKING:
    from emoframe.weak_labels.exchange.listing import Listed
    from emoframe.weak_labels.store import LabelStore

Store = Annotated[Path, typer.Argument(metavar="STORE", help="File of the label store.")]
Dataset = Annotated[str, typer.Option("--dataset", help="Only items of this data set.")]
PromptName = Annotated[
    str, typer.Option("--prompt", help="Only this prompt: the beginning of its hash.")
]
Labeler = Annotated[
    str, typer.Option("--labeler", help="Only this labeler: the beginning of its key.")
]
StatusName = Annotated[str, typer.Option("--status", help="Only what ended so, such as `ok`.")]


def found_in(
    store: LabelStore, dataset: str = "", prompt: str = "", labeler: str = "", status: str = ""
) -> list[Listed]:
    """Return the answers that the options leave.

    Raises:
        DataError: There is no such data set, prompt, labeler or status.
    """
    from emoframe.labelling import Status
    from emoframe.weak_labels.exchange.listing import listing

    known = sorted({name for name, _ in store.items()})
    for given, allowed, what in (
        (dataset, known, "data set"),
        (status, get_args(Status), "status"),
    ):
        if given and given not in allowed:
            raise DataError(
                f"{what} {given!r}: is not in {store.path}{suggest(given, list(allowed))}; "
                f"there is {', '.join(allowed) or 'none'}"
            )
    chosen = cast("Status | None", status or None)
    return listing(store, dataset or None, prompt, labeler, chosen)


def harmless(text: str) -> str:
    """Write what a model or a file said so that it can do nothing to a terminal."""
    return "".join(one if one.isprintable() or one == "\n" else repr(one)[1:-1] for one in text)


def one_line(text: str) -> str:
    """Write it on one line, too."""
    return " ".join(harmless(text).split())

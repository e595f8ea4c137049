"""What `emoframe label` and the commands of `emoframe labels` share: options and their choice."""

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
    str, typer.Option("--prompt", help="Only this prompt: its name, or the beginning of its hash.")
]
Labeler = Annotated[
    str, typer.Option("--labeler", help="Only this labeler: its name, or the begin of its key.")
]
StatusName = Annotated[str, typer.Option("--status", help="Only what ended so, such as `ok`.")]
Plan = Annotated[
    bool, typer.Option("--plan", help="Say what it would cost at most; nothing is sent.")
]
Budget = Annotated[
    float | None,
    typer.Option(min=0, metavar="USD", help="Most that the store may have spent in the end."),
]
Prices = Annotated[
    Path | None, typer.Option(metavar="FILE", help="A price table of your own (YAML).")
]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first clips.")]
IMayUpload = Annotated[
    str, typer.Option("--i-may-upload", metavar="DATASET", help="You accept its terms.")
]


def usd_told(usd: float | None) -> str:
    """Write dollars, or that nobody knows them."""
    return "unknown" if usd is None else f"${usd:.4f}"


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

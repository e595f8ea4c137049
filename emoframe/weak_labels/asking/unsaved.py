"""Where an answer goes that the store cannot take: it was paid, so it is never dropped.

Decided here: while calls are in flight a spare file lies beside the store, which takes
room on the disk. No call is reserved unless it is there. Where the disk is full when an answer
comes, the spare is deleted and the answer stored in its room. Where even that fails, the answer is
written into a file of its own beside the store, which the next run takes in; else into the folder
for temporary files; else it is told whole in the error.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from pathlib import Path

from emoframe.core.files import write_text
from emoframe.weak_labels.database import LabelStoreError
from emoframe.weak_labels.plain import as_json, plain
from emoframe.weak_labels.rows import Kept

SPARE_BYTES = 1 << 20
"""Room for the answers in flight; a long one takes 50 kB."""


class UnsavedError(LabelStoreError):
    """An answer came and the store could not take it.

    Attributes:
        kept: The answer.
        file: Where it was written instead; None where nowhere was room.
    """

    def __init__(self, store: Path, kept: Kept, file: Path | None, why: str) -> None:
        """Say where the answer is and what to do."""
        self.kept, self.file = kept, file
        if file is None:
            what = (
                "and it could be written nowhere else. It is told whole here; keep this line in a "
                f"file, and `emoframe labels import {store} FILE` takes it in:\n{line(kept)}"
            )
        elif file.parent.absolute() == store.parent.absolute():
            what = f"it is kept in {file}; mend that and run again: the next run takes it in"
        else:
            what = f"it is kept in {file}; mend that, then `emoframe labels import {store} {file}`"
        super().__init__(f"{store}: an answer came and could not be stored ({why}); {what}")


def line(kept: Kept) -> str:
    """Write an answer as the line that `emoframe labels import` reads."""
    return as_json({"record": "answer", **plain(kept)})


def waiting(store: Path) -> list[Path]:
    """Return the answers that wait beside a store."""
    return sorted(store.parent.glob(f"{_escaped(store.name)}.unsaved-*.jsonl"))


def put_aside(store: Path, kept: Kept) -> Path | None:
    """Write an answer beside the store, or where else there is room; None where there is none."""
    name = f"{store.name}.unsaved-{uuid.uuid4().hex}.jsonl"
    for folder in (store.parent, Path(tempfile.gettempdir())):
        try:
            write_text(folder / name, line(kept) + "\n")
        except OSError:
            continue  # the caller says where the answer is, and why it is not in the store
        return folder / name
    return None


def spare_of(store: Path) -> Path:
    """Return the file that keeps room for the answers in flight."""
    return store.with_name(f"{store.name}.spare")


def make_spare(store: Path) -> None:
    """Keep room for the answers in flight.

    Raises:
        LabelStoreError: There is none: no call may be made whose answer might be lost.
    """
    spare = spare_of(store)
    try:
        if spare.exists() and spare.stat().st_size == SPARE_BYTES:
            return
        # in place: several may do so at once, and a shorter one is written again
        with os.fdopen(os.open(spare, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
            file.write(os.urandom(SPARE_BYTES))  # zeros may be stored as a hole
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise LabelStoreError(
            f"{spare}: no room can be kept for the answers ({error.strerror}); free space, or make "
            "the folder writable, then run again: nothing was asked",
            full=True,
        ) from error


def free_spare(store: Path) -> None:
    """Give the room back."""
    spare_of(store).unlink(missing_ok=True)


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)

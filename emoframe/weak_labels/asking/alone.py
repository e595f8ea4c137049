"""One process at a time asks the same labeler the same thing, or both would pay for each answer.

Decided here: a POSIX lock on one byte of a file beside the store, the byte chosen by what is asked.
So two labelers, or two prompts, share a store and its budget at the same time, and a kill frees the
lock. Such a lock belongs to the process, which loses all it has on a file when it closes any handle
of it: so a process has one handle of each file, and knows itself what its own threads ask.
"""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from emoframe.core.errors import DataError

_TURN = threading.Lock()
_FILES: dict[Path, IO[str]] = {}
_HELD: set[tuple[Path, int]] = set()


@contextmanager
def alone(store: Path, prompt: str, labeler: str) -> Generator[None]:
    """Keep others from asking the same while the block runs.

    Args:
        store: File of the label store.
        prompt: Hash of the prompt.
        labeler: Key of the labeler.

    Raises:
        DataError: Somebody else asks it now, or there is no room for the lock.
    """
    byte = int(prompt[:7], 16) ^ int(labeler[:7], 16)
    path = store.with_name(f"{store.name}.lock").resolve()
    with _TURN:
        if (path, byte) in _HELD or not _locked(path, byte):
            raise DataError(
                f"{store}: another process asks this labeler the same at the moment; wait until it "
                "has ended, or give this one another prompt, labeler or store"
            )
        _HELD.add((path, byte))
    try:
        yield
    finally:
        with _TURN:
            _HELD.remove((path, byte))
            fcntl.lockf(_FILES[path], fcntl.LOCK_UN, 1, byte)
            _close_unused(path)


def _locked(path: Path, byte: int) -> bool:
    """Take a lock, and say whether it was free."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = _FILES.get(path) or path.open("a")
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}); choose another") from error
    _FILES[path] = file
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
    except (BlockingIOError, PermissionError):
        _close_unused(path)
        return False
    except OSError as error:  # a file system that knows no locks
        _close_unused(path)
        raise DataError(f"{path}: cannot be locked ({error.strerror}); choose another") from error
    return True


def _close_unused(path: Path) -> None:
    if path not in {one for one, _ in _HELD}:
        _FILES.pop(path).close()

"""Files: written so that a kill leaves the old one or the new one, never half; and their hashes."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Give the block a temp file beside `path`; it takes that name once it is safe on disk."""
    partial = path.with_name(f"{path.name}.partial")
    yield partial
    settle(path, partial)


def settle(path: Path, partial: Path) -> None:
    """Give a finished temp file its name: fsync, rename, fsync of the folder."""
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def file_hash(path: Path, *, fresh: bool = False) -> str:
    """Return the sha256 of a file in hex.

    Args:
        path: The file.
        fresh: Whether it is read in any case; else once, until its size or time changes, since
            weights and videos are large and asked for often.

    Raises:
        OSError: It cannot be read.
    """
    stat = path.stat()
    hashed = _hash.__wrapped__ if fresh else _hash
    return hashed(path.resolve(), stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=4096)
def _hash(path: Path, size: int, mtime_ns: int) -> str:  # noqa: ARG001
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

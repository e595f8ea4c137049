"""Writing files so that a kill leaves either the old one or the new one, never half of one."""

from __future__ import annotations

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

"""mmengine's model classes, without the seconds that its import would take.

Importing `mmengine.model` tries to register an optimiser of transformers, and with that loads all
of transformers and peft where they are installed: a third of the start of a command. Nothing here
uses it, so transformers is out of sight for as long as that import lasts.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _without(package: str) -> Iterator[None]:
    """Let a package that is not loaded yet seem to be missing."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # pyright: ignore[reportArgumentType]
    try:
        yield
    finally:
        del sys.modules[package]


with _without("transformers"):
    from mmengine.model import BaseModel, MMDistributedDataParallel

__all__ = ["BaseModel", "MMDistributedDataParallel"]

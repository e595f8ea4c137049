"""Where weights lie that need no download: the current folder and the plugins' cache."""

from __future__ import annotations

import os
from pathlib import Path

SUFFIXES = {".pt", ".onnx", ".task", ".safetensors"}


def local_weights() -> list[Path]:
    """Return every file of weights in the current folder and below `~/.cache/emoframe`."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "emoframe"
    files = [*sorted(Path().glob("*")), *sorted(cache.rglob("*"))]
    return [path for path in files if path.suffix in SUFFIXES and path.is_file()]

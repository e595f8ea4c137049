"""emoframe: hidden emotion in video, from pixels to a result that can be believed.

The rooms, in the order of the data, on a foundation that knows nothing of them:

    perception   a video becomes keypoints and frame features, once, in a store
    weak_labels  a model says what it sees in a video, once, in a store
    learning     branches, fusion and training, composed by an mmengine Runner
    evidence     metrics with intervals, the sealed test set, reports
    core         components, plugins, registries, schemas, configs

Importing this package imports nothing heavy; each name below is loaded on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from emoframe.core.component import Component
from emoframe.core.errors import ComponentError, DataError, EmoframeError
from emoframe.core.hookspecs import hookimpl

if TYPE_CHECKING:
    from emoframe.api import ablate, compare, evaluate, extract, load_run, predict, train
    from emoframe.core.files import file_hash
    from emoframe.core.plugins import component
    from emoframe.core.registry import build
    from emoframe.perception.keypoint_files import read_openpose_people

__version__ = "0.1.0"
__all__ = [
    "Component",
    "ComponentError",
    "DataError",
    "EmoframeError",
    "ablate",
    "build",
    "compare",
    "component",
    "evaluate",
    "extract",
    "file_hash",
    "hookimpl",
    "load_run",
    "predict",
    "read_openpose_people",
    "train",
]

_HOME = {
    "ablate": "emoframe.api",
    "compare": "emoframe.api",
    "build": "emoframe.core.registry",
    "component": "emoframe.core.plugins",
    "evaluate": "emoframe.api",
    "file_hash": "emoframe.core.files",
    "extract": "emoframe.api",
    "load_run": "emoframe.api",
    "predict": "emoframe.api",
    "read_openpose_people": "emoframe.perception.keypoint_files",
    "train": "emoframe.api",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its home on first use."""
    if name not in _HOME:
        raise AttributeError(f"emoframe has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)

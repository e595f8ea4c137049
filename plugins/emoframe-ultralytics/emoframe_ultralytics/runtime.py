"""ultralytics in a worker: quiet, and on no more threads than the worker's share.

A worker is told its share by `OMP_NUM_THREADS`, and two things go past it. ultralytics sets that
variable itself on import where nobody has, and gives torch nearly all cores when it loads a model
for the CPU. onnxruntime takes all cores whatever the variable says, and its threads spin while they
wait: with two threads on two busy cores a YOLO11n took 48 ms a frame, with one 23 ms. ultralytics
has no setting for it, so that the session which it has opened is replaced by one that is told.
"""

from __future__ import annotations

import importlib
import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

SHARE = "OMP_NUM_THREADS"
QUIET = {
    "YOLO_OFFLINE": "true",
    "YOLO_AUTOINSTALL": "false",
    "YOLO_VERBOSE": "false",
    "ORT_DISABLE_TELEMETRY": "1",
}
RUNTIMES = ("onnxruntime", "onnxruntime-gpu")
"""Distributions of onnxruntime; which of them is installed says where it computes, not what."""


def import_quietly() -> Any:
    """Import ultralytics, quiet unless the user wants it otherwise; the share stays as it is."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    importlib.import_module("torch")  # it reads the share once, so before ultralytics changes it
    given = os.environ.get(SHARE)
    try:
        return importlib.import_module("ultralytics")
    finally:
        if given is None:
            os.environ.pop(SHARE, None)


def keep_to_share(model: Any, file: Path) -> None:
    """Keep a model that is loaded to the worker's share of threads.

    A model whose session is not where it is looked for keeps its own: slower, never wrong.

    Args:
        model: A `YOLO` that has predicted once, and so has opened what it runs.
        file: Its weights.
    """
    share = threads()
    if share:
        torch = importlib.import_module("torch")
        torch.set_num_threads(min(share, torch.get_num_threads()))
    loaded = getattr(getattr(model, "predictor", None), "model", None)
    holder = getattr(loaded, "backend", loaded)  # up to 8.3 it was the holder itself
    session = getattr(holder, "session", None)
    if file.suffix != ".onnx" or session is None:
        return
    runtime = importlib.import_module("onnxruntime")
    if isinstance(session, runtime.InferenceSession) and session.get_providers() == [
        "CPUExecutionProvider"
    ]:
        options = session.get_session_options()
        options.intra_op_num_threads = share
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        vars(holder)["session"] = runtime.InferenceSession(
            str(file), options, providers=session.get_providers()
        )


def threads() -> int:
    """Return how many threads the worker may use; 0 where nobody has said."""
    first = os.environ.get(SHARE, "").partition(",")[0].strip()  # it may be a list, by depth
    return int(first) if first.isdecimal() else 0


def runtime_version() -> str:
    """Return the version of onnxruntime, whichever distribution it comes from."""
    for name in RUNTIMES:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "absent"

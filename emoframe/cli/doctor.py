"""`emoframe doctor`: what this machine has, and what does not fit together."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import typer

from emoframe.cli.output import Json, as_json, rows
from emoframe.core.errors import EXIT_SOME_FAILED
from emoframe.core.plugins import loaded

REQUIRED = ("emoframe", "torch", "numpy", "omegaconf", "pluggy", "av")
OPTIONAL = ("torchvision", "ultralytics", "mediapipe", "onnxruntime", "pose-format", "transformers")
KEYS = ("GEMINI_API_KEY", "GOOGLE_API_KEY", "OPENAI_API_KEY")


def examine() -> list[dict[str, Any]]:
    """Return one row per thing looked at: what, what was found, and what is wrong with it."""
    found = [_row("python", platform.python_version())]
    found += [_row(name, _version(name), "" if _version(name) else "required") for name in REQUIRED]
    found += [_mmengine(), *(_row(name, _version(name) or "not installed") for name in OPTIONAL)]
    found += [_torchvision(), _devices(), _weights()]
    # never their values
    found += [_row(key, "set" if os.environ.get(key) else "not set") for key in KEYS]
    found += [_row(f"plugin {p.name}", p.distribution, p.error) for p in loaded().plugins]
    return found


def _row(what: str, found: str | None, problem: str = "") -> dict[str, Any]:
    return {"what": what, "found": found or "not installed", "problem": problem}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _mmengine() -> dict[str, Any]:
    """Either distribution of mmengine will do; both at once overwrite one another."""
    have = [
        f"{n} {v}" for n in ("mmengine", "mmengine-lite", "onedl-mmengine") if (v := _version(n))
    ]
    both = f"{len(have)} distributions share one import name; uninstall all but one"
    return _row("mmengine", ", ".join(have), both if len(have) > 1 else "" if have else "required")


def _torchvision() -> dict[str, Any]:
    """A torchvision built for another torch breaks every vision model that imports it."""
    if not _version("torchvision"):
        return _row("torch and torchvision", "torchvision is not needed")
    try:
        import torchvision.ops

        torchvision.ops.nms  # noqa: B018 (registering the operator is what fails)
    except (RuntimeError, ImportError, AttributeError) as error:
        reason = f"{str(error).splitlines()[0]}; install the pair from one registry"
        return _row("torch and torchvision", "do not match", reason)
    return _row("torch and torchvision", "match")


def _devices() -> dict[str, Any]:
    import torch

    gpus = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    return _row("devices", ", ".join([f"{os.cpu_count()} CPU cores", *gpus]))


def _weights() -> dict[str, Any]:
    """Weights that parts find without a download."""
    from emoframe.perception.weights import local_weights

    inside = ["mediapipe holistic (in its wheel)"] if _version("mediapipe") else []
    names = [path.name for path in local_weights()]
    return _row("weights", ", ".join([*names, *inside]) or "none here")


def command(json: Json = False) -> None:
    """Examine versions, devices, packages, weights and keys; exit code 1 if something is wrong."""
    found = examine()
    as_json(found) if json else rows(found)
    if any(row["problem"] for row in found):
        raise typer.Exit(EXIT_SOME_FAILED)

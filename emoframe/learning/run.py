"""A run folder: what was trained, on what, with which versions, and the weights.

    resolved.yaml     the experiment with every default
    run.json          versions, data hash, and all that a prediction needs without the data set
    checkpoints/      last epoch and best.pth
    history.json      one row per epoch
    openings.jsonl    every opening of the test labels
    predictions-*.csv, scores-*.json

A folder belongs to one config and one state of the data; anything else is refused, so that a
result can always be traced to what made it.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
import yaml

from emoframe.core import config
from emoframe.core.errors import RunError
from emoframe.core.plugins import loaded
from emoframe.core.schema import plain
from emoframe.learning.checkpoint import load_from_emoframe
from emoframe.learning.data import Data
from emoframe.learning.experiment import Experiment
from emoframe.learning.model import Recognizer, Wiring
from emoframe.skeleton import SkeletonLayout

RESOLVED, CARD, HISTORY = "resolved.yaml", "run.json", "history.json"
LIBRARIES = ("emoframe", "torch", "mmengine", "onedl-mmengine", "numpy", "omegaconf", "av")


@dataclass(frozen=True)
class Run:
    """A finished or unfinished run, read from its folder.

    Attributes:
        folder: The run folder.
        experiment: What it was asked to do.
        card: What `run.json` says.
    """

    folder: Path
    experiment: Experiment
    card: dict[str, Any]

    @property
    def classes(self) -> list[str]:
        """Names of the classes."""
        return self.card["classes"]

    @property
    def synthetic(self) -> bool:
        """Whether it was trained on generated data."""
        return self.card["synthetic"]

    @property
    def wiring(self) -> Wiring:
        """What its model has to know of its data."""
        spec = self.card["wiring"]
        joints = spec["layout"]
        layout = SkeletonLayout(
            name=joints["name"],
            joints=tuple(joints["joints"]),
            edges=tuple((a, b) for a, b in joints["edges"]),
            groups={name: tuple(group) for name, group in joints["groups"].items()},
            mirror=tuple(joints["mirror"]),
        )
        return Wiring(layout, spec["dims"], spec["lags"], tuple(spec["class_counts"]))

    def history(self) -> list[dict[str, float]]:
        """Return one row per finished epoch; empty before the first."""
        path = self.folder / HISTORY
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []

    def model(self) -> Recognizer:
        """Return the model with its selected weights, in evaluation mode.

        Raises:
            RunError: There are none yet, or they do not fit.
        """
        weights = self.folder / "checkpoints" / "best.pth"
        if not weights.is_file():
            raise RunError(
                f"{self.folder}: no epoch has finished yet; train on with `emoframe train`"
            )
        model = Recognizer(self.experiment.model, self.wiring)
        try:
            model.load_state_dict(load_from_emoframe(weights)["state_dict"])
        except RuntimeError as error:
            raise RunError(f"{weights} does not fit the model of {RESOLVED}: {error}") from error
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        model.to(device).eval()
        return model


def open_run(folder: Path, experiment: Experiment, data: Data) -> Run:
    """Start a run folder, or go on with one that holds the same experiment.

    Raises:
        RunError: The folder holds another experiment, or its data changed.
    """
    resolved, card = folder / RESOLVED, _card(experiment, data)
    if not resolved.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / CARD, json.dumps(card, indent=2))
        _write(resolved, config.dump(experiment))
        return Run(folder, experiment, card)
    before = yaml.safe_load(resolved.read_text(encoding="utf-8"))
    changed = _differences(before, yaml.safe_load(config.dump(experiment)))
    if changed:
        raise RunError(
            f"{folder} holds a run of another config ({'; '.join(changed[:5])}"
            f"{f'; and {len(changed) - 5} more' if len(changed) > 5 else ''}); "
            "choose another folder with --run"
        )
    run = load_run(folder)
    if run.card["data_hash"] != card["data_hash"]:
        raise RunError(
            f"{folder}: the data set changed since this run began; choose another folder with --run"
        )
    return run


def load_run(path: str | Path) -> Run:
    """Read a run folder.

    Raises:
        RunError: It is none, or a plugin that it used is not installed.
    """
    folder = Path(path)
    lacking = [name for name in (RESOLVED, CARD) if not (folder / name).is_file()]
    if lacking:
        raise RunError(f"{folder} is no run folder: it has no {' and no '.join(lacking)}")
    experiment = config.check(Experiment, config.load(folder / RESOLVED))
    card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    return Run(folder, experiment, card)


def save_history(folder: Path, history: list[dict[str, float]]) -> None:
    """Write the epochs so far."""
    _write(folder / HISTORY, json.dumps(history, indent=1))


def _card(experiment: Experiment, data: Data) -> dict[str, Any]:
    return {
        "classes": list(data.dataset.classes),
        "protocol": data.dataset.protocol,
        "synthetic": data.dataset.synthetic,
        "data_hash": data.hash,
        "items": {name: len(getattr(data, name)) for name in ("train", "val", "test")},
        "wiring": plain(data.wiring),
        "seed": experiment.seed,
        "python": platform.python_version(),
        "libraries": {name: found for name in LIBRARIES if (found := _version(name))},
        "plugins": sorted({p.distribution for p in loaded().plugins if not p.error}),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _differences(before: Any, after: Any, path: str = "") -> list[str]:
    """List the leaves in which two configs differ, as `key was 1, now 2`."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        keys = list(dict.fromkeys([*before, *after]))
        pairs = [(before.get(k), after.get(k), f"{path}.{k}".strip(".")) for k in keys]
        return [line for old, new, inner in pairs for line in _differences(old, new, inner)]
    return [] if before == after else [f"{path} was {before!r}, now {after!r}"]


def _write(path: Path, text: str) -> None:
    """Write a small file whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)

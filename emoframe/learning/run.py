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

import datetime as dt
import fcntl
import json
import platform
from collections.abc import Generator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from emoframe.core import config
from emoframe.core.errors import RunError
from emoframe.core.files import write_text
from emoframe.core.plugins import loaded
from emoframe.core.schema import plain
from emoframe.learning.branches import Wiring
from emoframe.learning.checkpoint import load_from_emoframe
from emoframe.learning.data import Data
from emoframe.learning.experiment import Experiment
from emoframe.learning.model import Recognizer
from emoframe.learning.processes import leader_first, leading, together
from emoframe.learning.scope import scope_of, seen_of
from emoframe.skeleton import SkeletonLayout

RESOLVED, CARD, HISTORY = "resolved.yaml", "run.json", "history.json"
BEST = "checkpoints/best.pth"
LIBRARIES = ("emoframe", "torch", "mmengine", "onedl-mmengine", "numpy", "omegaconf", "av")


@dataclass(frozen=True)
class Run:
    """A finished or unfinished run, read from its folder.

    Attributes:
        folder: The run folder.
        asked: What it was asked to do, all stages included.
        card: What `run.json` says.
    """

    folder: Path
    asked: Experiment
    card: dict[str, Any]

    @property
    def experiment(self) -> Experiment:
        """What was trained in this folder: one stage, where there are several."""
        return self.asked.stage(self.card.get("stage", ""))

    @property
    def mode(self) -> str:
        """Which items had weak labels: `inductive`, `transductive`, or empty for none.

        A run that starts from another takes its mode over.
        """
        return self.card.get("mode", "")

    @property
    def classes(self) -> list[str]:
        """Names of the classes."""
        return self.card["classes"]

    @property
    def synthetic(self) -> bool:
        """Whether it was trained on generated data, made-up rationales included."""
        return self.card["synthetic"]

    @property
    def wiring(self) -> Wiring:
        """What its model has to know of its data."""
        spec = self.card["wiring"]
        joints = spec["layout"]
        layout = joints and SkeletonLayout(
            name=joints["name"],
            joints=tuple(joints["joints"]),
            edges=tuple((a, b) for a, b in joints["edges"]),
            groups={name: tuple(group) for name, group in joints["groups"].items()},
            mirror=tuple(joints["mirror"]),
        )
        counts = tuple(spec["class_counts"])
        # runs of before there were branches of frames say nothing of them
        noise = spec.get("noise_matrix")
        return Wiring(
            layout, spec["dims"], spec["lags"], counts, spec.get("frame_dims", {}),
            noise and tuple(map(tuple, noise)),
        )  # fmt: skip

    def history(self) -> list[dict[str, float]]:
        """Return one row per finished epoch; empty before the first."""
        path = self.folder / HISTORY
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []

    @property
    def finished(self) -> bool:
        """Whether training has ended: all epochs, or early."""
        history, train = self.history(), self.experiment.train
        if not history:
            return False
        best = min(history, key=lambda row: row["val_loss"])
        waited = history[-1]["epoch"] - best["epoch"]
        return len(history) >= train.epochs or waited >= train.patience

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the selected weights.

        Raises:
            RunError: There are none yet.
        """
        file = self.folder / BEST
        if not file.is_file():
            raise RunError(
                f"{self.folder}: no epoch has finished yet; train on with `emoframe train`"
            )
        return load_from_emoframe(file)["state_dict"]

    def model(self) -> Recognizer:
        """Return the model with its selected weights, in evaluation mode.

        Raises:
            RunError: There are none yet, or they do not fit.
        """
        model = Recognizer(self.experiment.model, self.wiring)
        try:
            model.load_state_dict(self.weights())
        except RuntimeError as error:
            where = self.folder / BEST
            raise RunError(f"{where} does not fit the model of {RESOLVED}: {error}") from error
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        model.to(device).eval()
        return model


@contextmanager
def alone(folder: Path, *, wait: bool = False) -> Generator[None]:
    """Keep other trainings off a run folder while all processes of one run the block.

    Args:
        folder: The run folder.
        wait: Whether to wait until another process is done in it.

    Raises:
        RunError: Another process trains in it, or it cannot be a folder.
    """
    with _lock(folder, wait=wait) if leading() else nullcontext():
        together()
        yield
        together()


@contextmanager
def _lock(folder: Path, *, wait: bool) -> Generator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise RunError(f"{folder} cannot be a run folder: {error}") from error
    with lock:
        try:
            # not flock: loader workers would inherit that and outlive a killed training with it
            fcntl.lockf(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except (BlockingIOError, PermissionError) as error:
            raise RunError(f"another process is training in {folder}") from error
        yield


@leader_first()
def open_run(
    folder: Path, experiment: Experiment, data: Data, more: Mapping[str, Any] | None = None
) -> Run:
    """Start a run folder, or go on with one that holds the same experiment.

    Args:
        folder: The run folder.
        experiment: What it is asked to do, all stages included.
        data: What is trained in it learns from.
        more: What else the record says: the stage, what it starts from, and its weak labels. None
            where nothing is trained.

    Raises:
        RunError: The folder holds another experiment, or its data, weak labels or first weights
            changed.
    """
    resolved, card = folder / RESOLVED, _card(experiment, data) | dict(more or {})
    if not resolved.is_file():
        card["scope"] = scope_of(data)
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / CARD, json.dumps(card, indent=2))
        write_text(resolved, config.dump(experiment))
        return Run(folder, experiment, card)
    run = load_run(folder)
    changed = _differences(plain(run.asked), plain(experiment))
    if changed:
        raise RunError(
            f"{folder} holds a run of another config ({'; '.join(changed[:5])}"
            f"{f'; and {len(changed) - 5} more' if len(changed) > 5 else ''}); "
            "choose another folder with --run"
        )
    if run.card["data_hash"] != card["data_hash"]:
        raise RunError(
            f"{folder}: the data set changed since this run began; choose another folder with --run"
        )
    for key, what in (("weak", "weak labels"), ("init", "weights that it starts from")):
        if more and run.card.get(key, more[key]) != more[key]:
            raise RunError(
                f"{folder}: the {what} changed since this run began; choose another folder with "
                "--run"
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
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{folder / CARD} is damaged ({error}); this run cannot be used") from error
    return Run(folder, experiment, card)


def save_history(folder: Path, history: list[dict[str, float]]) -> None:
    """Write the epochs so far; of several processes the first does."""
    if leading():
        write_text(folder / HISTORY, json.dumps(history, indent=1))


def _card(experiment: Experiment, data: Data) -> dict[str, Any]:
    return {
        "classes": list(data.dataset.classes),
        "protocol": data.dataset.protocol,
        "synthetic": data.synthetic,
        "data_hash": data.hash,
        "seen": seen_of(experiment, data),
        "items": {name: len(getattr(data, name)) for name in ("train", "val", "held", "test")},
        "rationales": data.origin,
        "wiring": plain(data.wiring),
        "seed": experiment.seed,
        "started": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "threads": torch.get_num_threads(),
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

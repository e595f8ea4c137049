"""Trains one experiment through a list of kills -9, each in a fresh fork, and to the end.

Run as a program, so that every child starts from a process in which nothing has been computed:
    kills.py FOLDER [PLACE:COUNT ...]
PLACE is where the child kills itself at the COUNT-th visit; `time` kills after COUNT milliseconds.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from emoframe import api
from emoframe.learning import runner

OVERRIDES = [
    "dataset.train=24", "dataset.test=4", "dataset.frames=24", "dataset.videos_per_subject=2",
    "view.keypoints.frames=16", "train.epochs=16", "train.batch_size=6", "train.workers=2",
    "train.patience=30", "model.branches.keypoints.keypoint_backbone.hidden=8",
    "model.branches.keypoints.keypoint_backbone.dropout=0.3",
    "model.branches.keypoints.temporal_encoder.dim=8",
    "model.branches.keypoints.temporal_encoder.heads=2", "model.branches.keypoints.out_dim=8",
]  # fmt: skip


def dying(function: Callable[..., Any], count: int, before: bool = True) -> Callable[..., Any]:
    """Return the function, killing the process at its `count`-th call."""
    calls = 0

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == count and before:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*args, **kwargs)
        if calls == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return wrapped


def half_written(path: Path, partial: Path) -> None:
    """Leave half a temp file behind, as a kill in the middle of a write does."""
    with partial.open("r+b") as file:
        file.truncate(partial.stat().st_size // 2)
    os.kill(os.getpid(), signal.SIGKILL)


def arm(place: str, count: int) -> None:
    """Prepare the kill of this process."""
    if place == "time":
        threading.Timer(count / 1000, os.kill, (os.getpid(), signal.SIGKILL)).start()
    elif place == "writing":
        original, calls = runner.settle, 0

        def write(path: Path, partial: Path) -> None:
            nonlocal calls
            calls += 1
            half_written(path, partial) if calls == count else original(path, partial)

        runner.settle = write
    else:
        owner, name, before = {
            "validation": (runner.ValidationLoss, "process", True),
            "step": (runner.Recognizer, "train_step", True),
            "best": (runner, "save", False),
            "saved": (runner, "settle", False),
            "start": (runner.EpochStart, "before_train_epoch", True),
        }[place]
        setattr(owner, name, dying(getattr(owner, name), count, before))


def main(folder: Path, kills: list[str]) -> None:
    """Train through every kill, then to the end."""
    experiment = api.load("quickstart", OVERRIDES)
    for kill in [*kills, ""]:
        child = os.fork()
        if child == 0:
            if kill:
                place, _, count = kill.partition(":")
                arm(place, int(count))
            api.train(experiment, folder)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        died = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        if not kill and status:
            raise SystemExit(f"the last training ended with status {status}")
        sys.stdout.write(f"{kill or 'end'}: {'killed' if died else 'ended'}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])

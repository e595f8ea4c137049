"""Trains one experiment through a list of kills -9, each in a fresh fork, and to the end.

Run as a program, so that every child starts from a process in which nothing has been computed:
    kills.py FOLDER CONFIG [PLACE:COUNT ...]
PLACE is where the child kills itself at the COUNT-th visit; `time` kills after COUNT milliseconds,
`half=NAME` in the middle of writing a file whose name begins so, `kept=NAME` once it is in place.
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
from emoframe.core import files
from emoframe.learning import hooks
from emoframe.learning.model import Recognizer

PLACES = {
    "validation": (hooks.ValidationLoss, "process"),
    "step": (Recognizer, "train_step"),
    "start": (hooks.EpochStart, "before_train_epoch"),
}


def die() -> None:
    """Kill this process, which can do nothing about it."""
    os.kill(os.getpid(), signal.SIGKILL)


def dying(function: Callable[..., Any], count: int) -> Callable[..., Any]:
    """Return the function, killing the process before its `count`-th call."""
    calls = 0

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == count:
            die()
        return function(*args, **kwargs)

    return wrapped


def arm_files(how: str, name: str, count: int) -> None:
    """Prepare the kill at the `count`-th file of a name, half written or just in place."""
    original, calls = files.settle, 0

    def settle(path: Path, partial: Path) -> None:
        nonlocal calls
        calls += path.name.startswith(name)
        now = calls == count and path.name.startswith(name)
        if now and how == "half":
            with partial.open("r+b") as file:
                file.truncate(partial.stat().st_size // 2)
            die()
        original(path, partial)
        if now:
            die()

    files.settle = hooks.settle = settle


def arm(place: str, count: int) -> None:
    """Prepare the kill of this process."""
    how, _, name = place.partition("=")
    if place == "time":
        threading.Timer(count / 1000, die).start()
    elif name:
        arm_files(how, name, count)
    else:
        owner, attribute = PLACES[place]
        setattr(owner, attribute, dying(getattr(owner, attribute), count))


def main(folder: Path, config: Path, kills: list[str]) -> None:
    """Train through every kill, then to the end."""
    experiment = api.load(config)
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
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])

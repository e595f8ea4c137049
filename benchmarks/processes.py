"""What a process and its children take from `ready` on: wall clock, CPU time and memory."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Measured:
    """One side.

    Attributes:
        frames: Frames done.
        seconds: Wall clock, models loaded.
        cpu: CPU seconds of all its processes.
        peak: Most memory of all its processes together, bytes, without what files are mapped.
    """

    frames: int
    seconds: float
    cpu: float
    peak: int

    @property
    def rate(self) -> float:
        """Frames per second."""
        return self.frames / self.seconds

    @property
    def cores(self) -> float:
        """Cores kept busy."""
        return self.cpu / self.seconds


def ready() -> None:
    """Tell the measuring process that the models are loaded."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def measure(script: list[str]) -> Measured:
    """Run a script in a process of its own, and watch it and its children from `ready` on.

    Args:
        script: The file and its arguments; the last word that it prints is the number of frames.
    """
    with subprocess.Popen([sys.executable, *script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        tree = psutil.Process(process.pid)
        for line in process.stdout:
            if line == "ready\n":
                break
        started, before = time.perf_counter(), _cpu(tree)
        watched: dict[str, float] = {"cpu": before, "peak": 0}

        def watch() -> None:
            while process.poll() is None:
                watched["cpu"] = max(watched["cpu"], _cpu(tree))
                watched["peak"] = max(watched["peak"], _memory(tree))
                time.sleep(1.0)  # to sum the pages of all processes up takes a while itself

        thread = threading.Thread(target=watch)
        thread.start()
        frames = int(process.stdout.read().split()[-1])
        seconds = time.perf_counter() - started
        process.wait()
        thread.join()
    return Measured(frames, seconds, watched["cpu"] - before, int(watched["peak"]))


def _tree(process: psutil.Process) -> Iterator[psutil.Process]:
    try:
        yield from [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return


def _cpu(process: psutil.Process) -> float:
    total = 0.0
    for one in _tree(process):
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + (times.children_user if one is process else 0)
    return total


def _memory(process: psutil.Process) -> int:
    """Sum up what is theirs alone; pages of libraries depend on who else runs and maps them."""
    total = 0
    for one in _tree(process):
        try:
            info = one.memory_info()
        except psutil.NoSuchProcess:
            continue
        total += info.rss - info.shared
    return total

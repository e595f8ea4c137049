"""Many trainings, one after the other or several at once: here, in processes, or on Ray.

Decided here: each training is a process of its own, which ends with it, since starting one costs
seconds and a training minutes; so a crash costs one run. Where two trainings need the same stage,
its lock makes the second wait and then take it as it is. A process whose parent is gone ends.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process, set_start_method
from pathlib import Path
from typing import Any, Literal

from emoframe.core.errors import ComponentError, EmoframeError
from emoframe.core.plugins import loaded
from emoframe.evidence.evaluate import predictions_of
from emoframe.learning.experiment import Experiment
from emoframe.learning.recipe import train_recipe

Executor = Literal["local", "ray"]
OnEpoch = Callable[[Path, Mapping[str, Any]], None]
OnRun = Callable[["Training", str], None]
AGAIN = "start the same command again to go on"


@dataclass(frozen=True)
class Training:
    """One run that is to be there.

    Attributes:
        row: Name of the row that it belongs to.
        experiment: What is trained.
        folder: Its run folder.
        stages: Where the stages before its last lie, shared with others.
        split: What it is scored on once it is trained; empty for nothing.
        plugins: Plugin files that a process of its own has to load.
    """

    row: str
    experiment: Experiment
    folder: Path
    stages: Path
    split: str = ""
    plugins: tuple[Path, ...] = ()

    def run(self, on_epoch: OnEpoch = lambda folder, row: None) -> str:
        """Train and score; return why that failed, empty where it did not."""
        try:
            run = train_recipe(
                self.experiment, self.folder, lambda row: on_epoch(self.folder, row), self.stages
            )
            if self.split:
                predictions_of(run, self.split)
        except EmoframeError as error:
            return str(error)
        return ""


def train_all(
    trainings: Sequence[Training],
    on_run: OnRun,
    on_epoch: OnEpoch = lambda folder, row: None,
    jobs: int = 1,
    executor: Executor = "local",
) -> None:
    """Train what is missing; what follows in a row that has failed is left out.

    Args:
        trainings: In their order.
        on_run: Called with each that has ended and why it failed, empty where it did not.
        on_epoch: Called with the run folder and one row per finished epoch, where there is one job
            on this machine.
        jobs: How many train at once.
        executor: This machine, or a Ray cluster that shares its folders.

    Raises:
        ComponentError: Ray is not installed.
    """
    failed: set[str] = set()
    waiting = deque(trainings)
    here = _Here(on_epoch) if jobs == 1 else _Processes(jobs)
    crew = _on_ray() if executor == "ray" else here
    try:
        while waiting or crew.running:
            while waiting and len(crew.running) < jobs:
                if (one := waiting.popleft()).row not in failed:
                    crew.start(one)
            if crew.running:
                one, reason = crew.wait()
                failed |= {one.row} if reason else set()
                on_run(one, reason)
    finally:
        crew.stop()


class _Here:
    """This process, one training at a time."""

    def __init__(self, on_epoch: OnEpoch) -> None:
        self.on_epoch, self.running = on_epoch, list[Training]()

    def start(self, training: Training) -> None:
        """Take a training."""
        self.running.append(training)

    def wait(self) -> tuple[Training, str]:
        """Train it, and return why that failed."""
        training = self.running.pop()
        return training, training.run(self.on_epoch)

    def stop(self) -> None:
        """There is nothing to end."""


class _Processes:
    """Processes of this machine, each with its share of the cores."""

    def __init__(self, jobs: int) -> None:
        self.context = get_context("spawn")  # a fork would copy the locks of threads
        self.threads = max(1, len(os.sched_getaffinity(0)) // jobs)
        self.running: dict[Any, tuple[Any, Training]] = {}

    def start(self, training: Training) -> None:
        """Begin a training."""
        pipe, theirs = self.context.Pipe(duplex=False)
        # no daemon, since those may not have loader workers
        process = self.context.Process(target=_serve, args=(theirs, training, self.threads))
        process.start()
        theirs.close()
        self.running[pipe] = process, training

    def wait(self) -> tuple[Training, str]:
        """Return one that has ended, and why it failed."""
        pipe: Any = connection.wait(list(self.running))[0]
        process, training = self.running.pop(pipe)
        try:
            reason = pipe.recv()
        except (EOFError, OSError):
            process.join()
            reason = f"the process that trained it ended with exit code {process.exitcode}; {AGAIN}"
        process.join()
        pipe.close()
        return training, reason

    def stop(self) -> None:
        """End what still runs: each run goes on from its last epoch another time."""
        for process, _ in self.running.values():
            process.kill()
            process.join()


def _serve(pipe: Any, training: Training, threads: int) -> None:
    """Train one run: the life of a process."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # its parent ends it
    set_start_method("fork", force=True)  # for loader workers; mmengine would, and warn of it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(threads)
    pipe.send(_run(training))


def _run(training: Training) -> str:
    """Train one run in a process that knows nothing yet."""
    known = [plugin.distribution for plugin in loaded().plugins]
    for file in training.plugins:
        if str(file) not in known:
            loaded().load_file(file)
    return training.run()


def _end_with_parent() -> None:
    if parent := parent_process():
        connection.wait([parent.sentinel])
        os._exit(1)  # whatever was not finished is done again from the last epoch


def plugin_files() -> tuple[Path, ...]:
    """Return the files that `--plugin` loaded here, for other processes to load."""
    return tuple(p for one in loaded().plugins if (p := Path(one.distribution)).is_file())


class _Ray:
    """Tasks on the Ray cluster that is there, or on one that is started here."""

    def __init__(self, ray: Any) -> None:
        import torch

        self.ray, self.running = ray, dict[Any, Training]()
        if not ray.is_initialized():
            ray.init(include_dashboard=False, log_to_driver=False, configure_logging=False)
        gpus = int(torch.cuda.is_available())
        self.task: Any = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=0)(_run)

    def start(self, training: Training) -> None:
        """Begin a training."""
        self.running[self.task.remote(training)] = training

    def wait(self) -> tuple[Training, str]:
        """Return one that has ended, and why it failed."""
        from ray.exceptions import RayError

        (done, *_), _ = self.ray.wait(list(self.running))
        training = self.running.pop(done)
        try:
            return training, self.ray.get(done)
        except RayError as error:
            lost = f"Ray lost the process that trained it ({type(error).__name__})"
            return training, f"{lost}; {AGAIN}"

    def stop(self) -> None:
        """End what still runs."""
        for one in self.running:
            self.ray.cancel(one, force=True)


def _on_ray() -> _Ray:
    try:
        import ray
    except ImportError as error:
        raise ComponentError("the executor ray needs Ray; pip install ray") from error
    return _Ray(ray)

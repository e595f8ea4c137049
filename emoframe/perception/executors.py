"""Where an extraction runs: in this process, in worker processes of this machine, or on Ray.

Each worker builds its own parts from the config and takes one video at a time. A worker that dies
(a crash in a codec, no memory left) costs its video alone and is replaced. So every worker has a
pipe of its own, since a process that is killed while it writes into a shared queue would keep all
others out; that is why neither `concurrent.futures` nor a queue is used. A worker whose parent is
gone ends by itself.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from emoframe.core.errors import ComponentError, EmoframeError
from emoframe.core.plugins import loaded
from emoframe.perception.events import Died, Event, Finished, Item
from emoframe.perception.settings import Perception
from emoframe.perception.stages import Parts, build_parts, stage_keys
from emoframe.perception.store import Store, StoreError
from emoframe.perception.work import VideoWork

Note = Callable[[Event], None]
"""Takes what is told; what it raises ends the extraction."""
FATAL = (StoreError, ComponentError, EmoframeError)
"""What no video could survive, from the special to the general."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Job:
    """What a worker needs to know to begin.

    Attributes:
        perception: Section of the config.
        devices: Where the parts compute: the workers take turns.
        retry_failed: Whether failures that the store remembers are tried again.
        plugins: Plugin files to load, as `--plugin` does.
        threads: CPU threads that one worker may use; None leaves it to the libraries.
    """

    perception: Perception
    devices: tuple[str, ...] = ("cpu",)
    retry_failed: bool = False
    plugins: tuple[Path, ...] = ()
    threads: int | None = None

    def start(self, note: Note, number: int = 0, parts: Parts | None = None) -> VideoWork:
        """Build the parts of a worker.

        Args:
            note: Takes what the work tells.
            number: Which worker it is.
            parts: Parts that are built already.

        Raises:
            EmoframeError: A part cannot be built.
        """
        known = [plugin.distribution for plugin in loaded().plugins]
        for file in self.plugins:
            if str(file) not in known:
                loaded().load_file(file)
        if parts is None:
            parts = build_parts(self.perception, self.devices[number % len(self.devices)])
        store = Store(Path(self.perception.store))
        return VideoWork(parts, stage_keys(parts), store, note, retry_failed=self.retry_failed)


def run_here(job: Job, items: Sequence[Item], note: Note, parts: Parts | None = None) -> None:
    """Run in this process.

    Raises:
        EmoframeError: Something that no video could survive.
    """
    work = job.start(note, parts=parts)
    for item in items:
        work.run(item)
        note(Finished(item))


def run_local(job: Job, items: Sequence[Item], note: Note, workers: int) -> None:
    """Run in worker processes of this machine.

    Raises:
        EmoframeError: Something that no video could survive.
    """
    waiting, crew = deque(items), dict[Any, _Worker]()
    started = 0
    try:
        while waiting or crew:
            while waiting and len(crew) < workers:
                worker = _Worker(job, started, waiting.popleft())
                crew[worker.pipe], started = worker, started + 1
            for pipe in connection.wait(list(crew)):
                worker = crew[pipe]
                event = worker.listen()
                note(event)
                if isinstance(event, Finished) and waiting:
                    worker.take(waiting.popleft())
                elif isinstance(event, Finished | Died):
                    crew.pop(worker.pipe).dismiss()
    finally:
        for worker in crew.values():
            worker.stop()


class _Worker:
    """One process, its pipe, and the video that it works at."""

    def __init__(self, job: Job, number: int, item: Item) -> None:
        context = get_context("spawn")  # a fork would copy the locks of threads, not the threads
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, job, number), daemon=True)
        with _few_threads(job.threads):
            self.process.start()
        theirs.close()
        self.begun = False
        self.take(item)

    def take(self, item: Item) -> None:
        """Give it a video."""
        self.item = item
        with suppress(OSError):  # it died meanwhile: its end of the pipe will tell
            self.pipe.send(item)

    def listen(self) -> Event:
        """Return what it tells, be it that it died.

        Raises:
            EmoframeError: Something that no video could survive.
        """
        try:
            said = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            if not self.begun:
                raise ComponentError(
                    f"a worker process {_end(self.process.exitcode)} before its first video; "
                    "--workers 0 runs in this process and shows why"
                ) from None
            return Died(
                self.item,
                f"the process that worked at it {_end(self.process.exitcode)}; the next run tries "
                "it again",
            )
        if isinstance(said, _Fatal):
            raise FATAL[said.sort](said.text)
        self.begun = True
        return said

    def dismiss(self) -> None:
        """Let it end when it has nothing more to do."""
        with suppress(OSError):
            self.pipe.send(None)
        self.process.join()
        self.pipe.close()

    def stop(self) -> None:
        """End it now: nothing half done is ever taken for done."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _end(code: int | None) -> str:
    """Say how a process ended."""
    if code is None or code >= 0:
        return f"ended with exit code {code}"
    name = signal.Signals(-code).name
    return f"was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


@contextmanager
def _few_threads(threads: int | None) -> Iterator[None]:
    """Tell the libraries of a new process, which read its environment, how many threads to use."""
    before = {name: os.environ.get(name) for name in THREADS}
    if threads:
        os.environ.update(dict.fromkeys(THREADS, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@dataclass(frozen=True)
class _Fatal:
    """What stops everything, in a form that every process can read."""

    sort: int
    text: str

    @staticmethod
    def of(error: EmoframeError) -> _Fatal:
        return _Fatal(
            next(n for n, sort in enumerate(FATAL) if isinstance(error, sort)), str(error)
        )


def _serve(pipe: Connection, job: Job, number: int) -> None:
    """Work at one video after the other until there is none: the life of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        work = job.start(pipe.send, number)
        for item in iter(pipe.recv, None):
            work.run(item)
            pipe.send(Finished(item))
    except EmoframeError as error:
        pipe.send(_Fatal.of(error))


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def run_on_ray(job: Job, items: Sequence[Item], note: Note, workers: int) -> None:
    """Run on the Ray cluster that is there, or on one that is started here.

    The store must be a folder that all of its machines share. What a worker tells comes when its
    video is done.

    Raises:
        ComponentError: Ray is not installed.
        EmoframeError: Something that no video could survive.
    """
    try:
        import ray
        from ray.exceptions import RayError
    except ImportError as error:
        raise ComponentError("the executor ray needs Ray; pip install ray") from error
    if not ray.is_initialized():
        ray.init(include_dashboard=False, log_to_driver=False, configure_logging=False)
    gpus = int(job.devices[0] != "cpu")
    task: Any = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=0)(_one_on_ray)
    waiting, running = deque(items), dict[Any, Item]()
    while waiting or running:
        while waiting and len(running) < workers:
            item = waiting.popleft()
            running[task.remote(job, item)] = item
        (done, *_), _ = ray.wait(list(running))
        item = running.pop(done)
        try:
            said = ray.get(done)
        except RayError as error:
            note(Died(item, f"Ray lost the process that worked at it ({type(error).__name__})"))
            continue
        for event in said:
            if isinstance(event, _Fatal):
                raise FATAL[event.sort](event.text)
            note(event)


_kept: dict[str, tuple[VideoWork, list[Any]]] = {}
"""What a Ray worker has built, by its job: it is used for many videos."""


def _one_on_ray(job: Job, item: Item) -> list[Any]:
    """Do one video and return what was told."""
    try:
        if repr(job) not in _kept:
            events: list[Any] = []
            _kept[repr(job)] = job.start(events.append), events
        work, events = _kept[repr(job)]
        events.clear()
        work.run(item)
    except EmoframeError as error:
        return [_Fatal.of(error)]
    return [*events, Finished(item)]

"""Worker processes of this machine, each with models of its own and one video at a time.

A worker that dies (a crash in a codec, no memory left) costs its video alone and is replaced. So
every worker has a pipe of its own, since a process that is killed while it writes into a shared
queue would keep all others out; that is why neither `concurrent.futures` nor a queue is used. A
worker whose parent is gone ends by itself.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from typing import Any

from emoframe.core.errors import ComponentError, EmoframeError
from emoframe.perception.events import Died, Event, Finished, Item, Ready
from emoframe.perception.failures import AGAIN
from emoframe.perception.job import Fatal, Job, Note

PATIENCE_S = 5.0
"""How long a worker may take to end by itself."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
QUIET = {"OMP_WAIT_POLICY": "PASSIVE", "MALLOC_ARENA_MAX": "2"}
"""Idle threads sleep; and glibc keeps freed memory in few places, or a process grows for hours."""


def run_local(job: Job, items: Sequence[Item], note: Note, workers: int) -> None:
    """Run in worker processes of this machine.

    Raises:
        EmoframeError: Something that no video could survive.
    """
    _Crew(job, items, note, workers).run()


class _Crew:
    """The worker processes, and the videos that wait for them."""

    def __init__(self, job: Job, items: Sequence[Item], note: Note, workers: int) -> None:
        self.job, self.note, self.size = job, note, workers
        self.waiting = deque(items)
        self.workers: dict[Any, _Worker] = {}
        self.started = self.stillborn = 0
        self.again: set[Item] = set()

    def run(self) -> None:
        """Work until nothing waits and nobody works."""
        try:
            while self.waiting or self.workers:
                while self.waiting and len(self.workers) < self.size:
                    worker = _Worker(self.job, self.started, self.waiting.popleft())
                    self.workers[worker.pipe] = worker
                    self.started += 1
                for pipe in connection.wait(list(self.workers)):
                    self._hear(self.workers[pipe])
        finally:
            for worker in self.workers.values():
                worker.stop()

    def _hear(self, worker: _Worker) -> None:
        """Take one event from a worker, and give it the next video or let it go."""
        event = worker.listen()
        if isinstance(event, Ready):
            self.stillborn = 0
        elif isinstance(event, Died) and not worker.told:
            self._unbegun(worker, event)
        else:
            self.note(event)
        if isinstance(event, Finished) and self.waiting:
            worker.take(self.waiting.popleft())
        elif isinstance(event, Finished | Died):
            self.workers.pop(worker.pipe).dismiss()

    def _unbegun(self, worker: _Worker, event: Died) -> None:
        """A worker died before it began with its video, which therefore waits once more."""
        if not worker.ready:
            self.stillborn += 1
        if self.stillborn > self.size + 1:
            raise ComponentError(
                f"{self.stillborn} worker processes in a row could not begin; the last "
                f"{_end(worker.process.exitcode)}. --workers 0 runs in this process and shows why; "
                'a script of your own needs `if __name__ == "__main__":`'
            )
        if event.item in self.again:
            self.note(event)
        else:
            self.again.add(event.item)
            self.waiting.append(event.item)


class _Worker:
    """One process, its pipe, and the video that it works at.

    Attributes:
        ready: Whether it has built its parts.
        told: Whether it has told anything of its video.
    """

    def __init__(self, job: Job, number: int, item: Item) -> None:
        context = get_context("spawn")  # a fork would copy the locks of threads, not the threads
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, job, number), daemon=True)
        with _modest(job.threads), _deaf_to_interrupts():
            self.process.start()
        theirs.close()
        self.ready = False
        self.take(item)

    def take(self, item: Item) -> None:
        """Give it a video."""
        self.item, self.told = item, False
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
            how = _end(self.process.exitcode)
            return Died(self.item, f"the process that worked at it {how}; {AGAIN}")
        if isinstance(said, Fatal):
            raise said.error()
        if isinstance(said, Ready):
            self.ready = True
        else:
            self.told = True
        return said

    def dismiss(self) -> None:
        """Let it end when it has nothing more to do."""
        with suppress(OSError):
            self.pipe.send(None)
        self.process.join()
        self.pipe.close()

    def stop(self) -> None:
        """End it now: nothing half done is ever taken for done."""
        self.process.terminate()  # so that it ends its own children and its temporary files
        self.process.join(PATIENCE_S)
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
def _modest(threads: int | None) -> Iterator[None]:
    """Tell the libraries of a new process, which read its environment, to take little."""
    wanted = QUIET | (dict.fromkeys(THREADS, str(threads)) if threads else {})
    unset = [name for name in wanted if name not in os.environ]
    os.environ.update({name: wanted[name] for name in unset})
    try:
        yield
    finally:
        for name in unset:
            del os.environ[name]


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Start a process that Ctrl-C does not reach: its parent ends it."""
    if threading.current_thread() is not threading.main_thread():
        yield  # elsewhere Python lets nobody decide
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _serve(pipe: Connection, job: Job, number: int) -> None:
    """Work at one video after the other until there is none: the life of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # unlike a kill, this tidies up
    threading.Thread(target=_end_with_parent, daemon=True).start()
    item = None
    try:
        work = job.start(pipe.send, number)
        pipe.send(Ready())
        for item in iter(pipe.recv, None):
            work.run(item)
            pipe.send(Finished(item))
    except EmoframeError as error:
        pipe.send(Fatal.of(error))
    except Exception as error:
        if item is None:
            raise
        pipe.send(Died(item, f"{type(error).__name__}: {error}; {AGAIN}"))


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(PATIENCE_S)
        os._exit(1)

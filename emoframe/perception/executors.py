"""Where an extraction runs: in this process, in worker processes of this machine, or on Ray."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from emoframe.core.errors import ComponentError, EmoframeError
from emoframe.perception.events import Died, Event, Finished, Item
from emoframe.perception.failures import AGAIN
from emoframe.perception.job import Fatal, Job, Note
from emoframe.perception.stages import Parts
from emoframe.perception.work import VideoWork
from emoframe.perception.workers import run_local

__all__ = ["run_here", "run_local", "run_on_ray"]


def run_here(job: Job, items: Sequence[Item], note: Note, parts: Parts | None = None) -> None:
    """Run in this process.

    Raises:
        EmoframeError: Something that no video could survive.
    """
    work = job.start(note, parts=parts)
    for item in items:
        work.run(item)
        note(Finished(item))


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
    except ImportError as error:
        raise ComponentError("the executor ray needs Ray; pip install ray") from error
    if not ray.is_initialized():
        ray.init(include_dashboard=False, log_to_driver=False, configure_logging=False)
    gpus = int(job.devices[0] != "cpu")
    task: Any = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=0)(_one_on_ray)
    waiting, running = deque(items), dict[Any, Item]()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                item = waiting.popleft()
                running[task.remote(job, item)] = item
            (done, *_), _ = ray.wait(list(running))
            for event in _from_ray(done, running.pop(done)):
                note(event)
    finally:
        for one in running:
            ray.cancel(one, force=True)


def _from_ray(done: Any, item: Item) -> Iterator[Event]:
    """Yield what a task told.

    Raises:
        EmoframeError: Something that no video could survive.
    """
    import ray
    from ray.exceptions import RayError

    try:
        said = ray.get(done)
    except RayError as error:
        why = f"Ray lost the process that worked at it ({type(error).__name__}); {AGAIN}"
        said = [Died(item, why)]
    for event in said:
        if isinstance(event, Fatal):
            raise event.error()
        yield event


_kept: dict[str, tuple[VideoWork, list[Any]]] = {}
"""What a Ray worker has built, by its job: it is used for many videos."""


def _one_on_ray(job: Job, item: Item) -> list[Any]:
    """Do one video and return what was told."""
    events: list[Any] = []
    try:
        if repr(job) not in _kept:
            _kept[repr(job)] = job.start(events.append), events
        work, events = _kept[repr(job)]
        events.clear()
        work.run(item)
    except EmoframeError as error:
        return [*events, Fatal.of(error)]
    except Exception as error:
        return [*events, Died(item, f"{type(error).__name__}: {error}; {AGAIN}")]
    return [*events, Finished(item)]

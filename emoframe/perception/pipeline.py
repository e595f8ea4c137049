"""From videos to features in the store: what is to be done, by whom, and what became of it.

Resuming is the default: what is finished is never done twice, and what was in flight when a run was
killed is done again. This process alone writes the ledger; the workers write the store.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from emoframe.core.errors import DataError
from emoframe.core.plugins import loaded
from emoframe.perception.events import Begun, Died, Event, Finished, Item, Progress, Row
from emoframe.perception.executors import run_here, run_local, run_on_ray
from emoframe.perception.job import Job
from emoframe.perception.ledger import Ledger
from emoframe.perception.settings import Perception
from emoframe.perception.stages import Parts, StageKeys, build_parts, stage_keys

Executor = Literal["local", "ray"]
OnProgress = Callable[[Progress], None]
OnRow = Callable[[Row], None]


@dataclass(frozen=True)
class How:
    """How an extraction runs; nothing here changes what comes out.

    Attributes:
        workers: Processes at work; 0 works in this one; None takes one per CPU core, or two per
            GPU, but not more than there are videos.
        executor: `local` on this machine, `ray` on a Ray cluster.
        devices: Where the parts compute; the workers take turns.
        shard: Number, from 1, and count of this job in an array of jobs, each of which takes its
            share of the videos; None for all.
        retry_failed: Whether failures that the store remembers are tried again.
        max_failures: Stop once more videos than this have failed; None goes on.
    """

    workers: int | None = None
    executor: Executor = "local"
    devices: tuple[str, ...] = ("cpu",)
    shard: tuple[int, int] | None = None
    retry_failed: bool = False
    max_failures: int | None = None


class StoppedError(DataError):
    """An extraction that was stopped since too many videos had failed.

    Attributes:
        rows: What became of each stage until then.
    """

    def __init__(self, text: str, rows: Sequence[Row]) -> None:
        super().__init__(text)
        self.rows = list(rows)


def extract(
    videos: Iterable[Path | Item],
    perception: Perception,
    how: How | None = None,
    *,
    parts: Parts | None = None,
    on_progress: OnProgress = lambda _: None,
    on_row: OnRow = lambda _: None,
) -> list[Row]:
    """Extract one person's keypoints and frame features from each video into the store.

    Args:
        videos: The files, or items of a data set.
        perception: With what, and where to.
        how: By whom.
        parts: Parts that are built already, instead of those of `perception`; only in this process.
        on_progress: Told after each chunk of frames.
        on_row: Told of each row as soon as it is there.

    Returns:
        One row per video and stage; after a failure there are none of the stages that read it.

    Raises:
        StoppedError: More videos failed than `how.max_failures`.
        ComponentError: A part cannot work at all.
        StoreError: The store cannot be written.
    """
    how = how or How()
    items = [v if isinstance(v, Item) else Item(Path(v), Path(v).name) for v in videos]
    if how.shard:
        items = items[how.shard[0] - 1 :: how.shard[1]]
    keys = stage_keys(parts or build_parts(perception))
    with Ledger(perception.store, how.shard) as ledger:
        for stage in keys.all():
            ledger.settings(stage.name, stage.key, stage.content)
        clerk = _Clerk(ledger, keys, how.max_failures, on_progress, on_row)
        workers = _workers(how, len(items))
        job = Job(perception, how.devices, how.retry_failed, _plugin_files(), _threads(workers))
        try:
            if how.executor == "ray":
                run_on_ray(job, items, clerk.note, max(1, workers))
            elif parts or not workers:
                run_here(job, items, clerk.note, parts)
            else:
                run_local(job, items, clerk.note, workers)
        except BaseException:
            clerk.abandon()
            raise
    places = {item: n for n, item in enumerate(items)}
    stages = [stage.name for stage in keys.all()]
    return sorted(clerk.rows, key=lambda row: (places[row.item], stages.index(row.stage)))


@dataclass
class _Clerk:
    """Writes down what the workers tell, and tells it on."""

    ledger: Ledger
    keys: StageKeys
    max_failures: int | None
    on_progress: OnProgress
    on_row: OnRow
    rows: list[Row] = field(default_factory=list[Row])
    running: dict[Item, list[Begun]] = field(default_factory=dict[Item, list[Begun]])
    failed: set[Item] = field(default_factory=set[Item])

    def note(self, event: Event) -> None:
        """Take one event."""
        if isinstance(event, Progress):
            self.on_progress(event)
        elif isinstance(event, Begun):
            item = event.item
            self.ledger.sample(item.dataset, item.id, item.video, event.digest)
            self.ledger.begin(event.digest, event.stage, event.key)
            self.running.setdefault(item, []).append(event)
        elif isinstance(event, Row):
            self._row(event)
        elif isinstance(event, Died):
            self._died(event)
        elif isinstance(event, Finished):
            self.running.pop(event.item, None)
            self._count()

    def abandon(self) -> None:
        """Strike out what was begun and is not made."""
        for begun in self.running.values():
            for one in begun:
                self.ledger.forget(one.digest, one.stage, one.key)

    def _row(self, row: Row) -> None:
        item = row.item
        if not row.digest:
            self.ledger.refuse(item.dataset, item.id, item.video, row.reason)
        else:
            begun = self.running.get(item, [])
            self.running[item] = [one for one in begun if one.key != row.key]
            status = "failed" if row.status == "failed" else "done"
            told = (row.reason, row.seconds, row.frames, row.valid)
            if row.remembered:  # what the ledger says of that day is better
                self.ledger.sample(item.dataset, item.id, item.video, row.digest)
            else:
                self.ledger.end(row.digest, row.stage, row.key, status, *told)
        self._tell(row)

    def _tell(self, row: Row) -> None:
        if row.status == "failed":
            self.failed.add(row.item)
        self.rows.append(row)
        self.on_row(row)

    def _died(self, event: Died) -> None:
        """A worker is gone: what it worked at has failed in this run; the store knows nothing."""
        for one in self.running.pop(event.item, []):
            lost = Row(event.item, one.stage, "failed", event.reason)
            self._row(replace(lost, digest=one.digest, key=one.key))
        if event.item not in self.failed:  # it died between two stages
            self._tell(Row(event.item, self.keys.detect.name, "failed", event.reason))
        self._count()

    def _count(self) -> None:
        if self.max_failures is not None and len(self.failed) > self.max_failures:
            first = next(row for row in self.rows if row.status == "failed")
            raise StoppedError(
                f"stopped: failed videos: {len(self.failed)}, and --max-failures allows "
                f"{self.max_failures}; what is done is kept. The first: {first.video.name}: "
                f"{first.reason}",
                self.rows,
            )


def _workers(how: How, items: int) -> int:
    if how.workers is not None:
        return min(how.workers, items)
    gpus = [device for device in how.devices if device != "cpu"]
    return min(2 * len(gpus) or _cores(), items)


def _threads(workers: int) -> int | None:
    """Share the cores out: workers that each take all of them get into each other's way."""
    return max(1, _cores() // workers) if workers else None


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _plugin_files() -> tuple[Path, ...]:
    """Return the files that `--plugin` loaded here, for the workers to load."""
    return tuple(p for one in loaded().plugins if (p := Path(one.distribution)).is_file())

"""What is done for one video: every stage that is not there yet, each written whole or not at all.

The video is decoded once for the detector and once for all parts that need the followed person
alone; an encoder that reads keypoints has to wait for them, and decodes again. What fails is kept
in the store like a result, since the same bytes fail again, and so are the stages after it, marked
as inherited: they follow by themselves once it succeeds. Only what no video could survive stops
everything: a part that cannot work (`ComponentError`) and a store that cannot be written.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from emoframe.core.errors import ComponentError, DataError
from emoframe.perception import video as video_file
from emoframe.perception.crop import follow
from emoframe.perception.encode import encode, stored
from emoframe.perception.events import Begun, Emit, Event, Item, Progress, Row
from emoframe.perception.failures import Stamp, failure, nobody, passing, stamp
from emoframe.perception.flow import share
from emoframe.perception.index import DamagedError
from emoframe.perception.people import Seen, observe
from emoframe.perception.pose import measure
from emoframe.perception.read import keypoints_of, track_of
from emoframe.perception.stages import Parts, StageKey, StageKeys, StagePart
from emoframe.perception.store import Stage, Store, StoreError
from emoframe.records import Boxes, Frames, Track

INHERITED = "inherited"
"""Marks the failure of a stage that could not begin because the one before it failed."""
TRACK_ARRAYS = ("box", "cut", "time_s", "track_id", "shot")
CHUNK = 16
"""Frames that are decoded, and handed on, together."""
Arrays = dict[str, Any]
Meta = dict[str, Any]


class VideoWork:
    """An extraction, video by video.

    Args:
        parts: What works.
        keys: What its stages are called.
        store: Where they go.
        emit: Told of what begins, goes on and ends; never from two threads at once.
        retry_failed: Whether failures that the store remembers are tried again.
    """

    def __init__(
        self, parts: Parts, keys: StageKeys, store: Store, emit: Emit, *, retry_failed: bool = False
    ) -> None:
        self.parts, self.keys, self.store, self.retry_failed = parts, keys, store, retry_failed
        self._tell, self._lock = emit, threading.Lock()

    def run(self, item: Item) -> None:
        """Do what is not done for one video; the lock keeps other processes off it.

        Raises:
            ComponentError: A part cannot work at all.
            StoreError: The store cannot be written.
        """
        try:
            file = stamp(item.video)
            digest = video_file.video_hash(item.video)
        except DataError as error:
            first = self.keys.detect.name
            self.emit(Row(item, first, "failed", str(error)))
            return
        with self.store.lock(digest):
            _Video(self, item, digest, file).run()

    def emit(self, event: Event) -> None:
        """Tell of an event."""
        with self._lock:
            self._tell(event)


@dataclass(frozen=True)
class _Task:
    """One stage of one video: where it goes, what makes it, and whether that takes frames."""

    stage: Stage
    make: Callable[[Iterator[Frames], Meta], Iterator[Arrays]]
    after: Stage | None = None
    decodes: bool = True


class _Video:
    """The stages of one video."""

    def __init__(self, work: VideoWork, item: Item, digest: str, file: Stamp) -> None:
        self.work, self.item, self.digest, self.file = work, item, digest, file

        def stage(key: StageKey) -> Stage:
            return work.store.stage(digest, key.name, key.key)

        keys = work.keys
        self.detected, self.cropped = stage(keys.detect), stage(keys.crop)
        self.posed = stage(keys.pose) if keys.pose else None
        self.encoded = [stage(key) for key in keys.frames]

    def run(self) -> None:
        """Do the stages level by level; those of one level share the decoded frames."""
        pose, encoders = self.work.parts.pose_estimator, self.work.parts.frame_encoders
        people = [_Task(self.detected, self._detect)]
        person = [_Task(self.cropped, self._crop, self.detected, decodes=False)]
        early: list[_Task] = []
        late: list[_Task] = []
        if pose and self.posed:
            early.append(_Task(self.posed, partial(self._pose, pose), self.cropped))
        for encoder, stage in zip(encoders, self.encoded, strict=True):
            reads = encoder.part.reads_keypoints
            after = self.posed if reads else self.cropped
            (late if reads else early).append(_Task(stage, partial(self._encode, encoder), after))
        for level in (people, person, early, late):
            self._do([task for task in level if self._may(task)])

    def _may(self, task: _Task) -> bool:
        """Whether a stage can begin; where the one before it failed it inherits the failure."""
        try:
            before = task.after.status if task.after else "ok"
            if task.after and before == "failed":
                reason = task.after.reason
                if task.stage.status != "ok" and task.stage.reason != reason:
                    task.stage.fail(reason, {"video": self.item.video.name, INHERITED: True})
        except DamagedError as error:
            self._row(task.stage, "failed", str(error))
            return False
        return before == "ok"

    def _do(self, tasks: Sequence[_Task]) -> None:
        """Make the stages that are not made, on the same frames, and tell of all."""
        todo = [task for task in tasks if self._needed(task.stage)]
        for task in todo:
            stage = task.stage
            self.work.emit(Begun(self.item, self.digest, stage.name, stage.key))
        consumers = [partial(self._make, task) for task in todo]
        if any(task.decodes for task in todo):
            share(video_file.read(self.item.video, chunk=CHUNK), consumers)
        else:
            for consume in consumers:
                consume(iter(()))

    def _needed(self, stage: Stage) -> bool:
        """Whether a stage has to be made; if not, tell how it ended before."""
        try:
            again = self.work.retry_failed or INHERITED in stage.meta
            if stage.status is None or (stage.status == "failed" and again):
                return True
        except DamagedError as error:  # the user's to delete, and not to be remembered
            self._row(stage, "failed", str(error))
            return False
        status = "cached" if stage.status == "ok" else "failed"
        self._row(stage, status, stage.reason, remembered=True)
        return False

    def _make(self, task: _Task, chunks: Iterator[Frames]) -> None:
        """Write a stage, or the reason why there is none."""
        started = time.perf_counter()
        meta: Meta = {"video": self.item.video.name}
        reason = ""
        try:
            task.stage.write(self._of_one_file(task.make(chunks, meta)), meta)
        except Exception as error:  # one strange video must not end a night's work
            changed = self._changed()
            reason = failure(error, self.item.video, changed=changed)
            if changed or passing(error):
                self._row(task.stage, "failed", reason)
                return
            if isinstance(error, ComponentError | StoreError):
                raise
            task.stage.fail(reason, meta)
        seconds = time.perf_counter() - started
        self._row(task.stage, "failed" if reason else "ok", reason, seconds)

    def _of_one_file(self, arrays: Iterator[Arrays]) -> Iterator[Arrays]:
        """Pass a stage on, unless the file is another one at its end."""
        yield from arrays
        if self._changed():
            raise DataError("changed")

    def _changed(self) -> bool:
        """Whether the file is no longer the one whose hash was taken."""
        return stamp(self.item.video) != self.file

    def _row(
        self,
        stage: Stage,
        status: Any,
        reason: str = "",
        seconds: float = 0.0,
        *,
        remembered: bool = False,
    ) -> None:
        ended = Row(self.item, stage.name, status, reason, seconds=seconds, remembered=remembered)
        row = replace(ended, digest=self.digest, key=stage.key)
        if status != "failed":
            frames = stage.meta.get("tokens", stage.frames)
            row = replace(row, frames=frames, valid=stage.meta.get("valid", {}))
        self.work.emit(row)

    def _detect(self, chunks: Iterator[Frames], meta: Meta) -> Iterator[Arrays]:
        """Find everybody."""
        detect = self.work.parts.detector.part.detect

        def people(frames: Frames) -> tuple[Frames, list[Boxes]]:
            return frames, detect(frames)

        watched = self._watched(chunks, self.detected.name, self._total)
        frames = anybody = 0
        for arrays in observe(map(people, self._measured(watched, meta))):
            frames += len(arrays["time_s"])
            anybody += int(np.isfinite(arrays["box"]).all(axis=-1).any(axis=-1).sum())
            yield arrays
        meta |= {"valid": {"people": anybody / frames}}

    def _crop(self, chunks: Iterator[Frames], meta: Meta) -> Iterator[Arrays]:
        """Follow one of them."""
        width, height = self.detected.meta.get("size", (0, 0))
        parts = (Seen(**part, size=(width, height)) for part in self.detected.shards())
        track = follow(parts, self.work.parts.crop)
        if not track.valid.any():
            raise nobody(f"no person was found in any of {len(track.valid)} frames")
        meta |= {"policy": track.policy, "valid": {"person": float(track.valid.mean())}}
        yield {name: getattr(track, name) for name in TRACK_ARRAYS}

    def _pose(self, pose: StagePart, chunks: Iterator[Frames], meta: Meta) -> Iterator[Arrays]:
        """Measure the followed person."""
        total = len(self._track.time_s)
        return measure(pose, self._watched(chunks, pose.name, total), self._track, meta)

    def _encode(self, encoder: StagePart, chunks: Iterator[Frames], meta: Meta) -> Iterator[Arrays]:
        """Turn pictures of the followed person into vectors."""
        track = self._track
        keypoints = None
        if encoder.part.reads_keypoints:
            assert self.posed is not None  # the keys have been checked
            keypoints = keypoints_of(self.posed)
        watched = self._watched(chunks, encoder.name, len(track.time_s))
        yield from stored(encode(encoder.part, watched, track, keypoints), meta)

    @cached_property
    def _track(self) -> Track:
        return replace(track_of(self.cropped), video=self.item.video)

    @cached_property
    def _total(self) -> int | None:
        return video_file.probe(self.item.video).frames_estimate

    def _measured(self, chunks: Iterator[Frames], meta: Meta) -> Iterator[Frames]:
        """Note the size of the pictures."""

        def note(frames: Frames) -> Frames:
            meta["size"] = frames.rgb.shape[2:0:-1]
            return frames

        return map(note, chunks)

    def _watched(self, chunks: Iterator[Frames], stage: str, total: int | None) -> Iterator[Frames]:
        """Report each chunk when it is taken."""

        def told(frames: Frames) -> Frames:
            self.work.emit(Progress(self.item.video, stage, int(frames.index[-1]) + 1, total))
            return frames

        return map(told, chunks)  # a generator here would keep a second chunk alive

"""From videos to keypoints in the store, one (video, stage) after the other.

Two stages per video, each named by its part: the detector's (decode, detect, follow one person) and
the pose estimator's, whose key holds the first one's. What is finished is never done twice; what
fails is a row with its reason, and the next video follows. A failure is kept in the store like a
result, since the same bytes fail again; `retry_failed` tries them once more. Only what no video
could survive stops everything: a part that cannot work (`ComponentError`) and a store that cannot
be written (`StoreError`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from emoframe.core.errors import ComponentError, DataError, EmoframeError
from emoframe.perception import video as video_file
from emoframe.perception.crop import CropSettings, track_person
from emoframe.perception.stages import (
    StagePart,
    read_keypoints,
    read_track,
    stage_keys,
    stage_part,
    track_of,
)
from emoframe.perception.store import DamagedError, Stage, Store, StoreError
from emoframe.records import Frames, Keypoints, Track
from emoframe.skeleton import SkeletonLayout, layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "Progress",
    "Row",
    "StagePart",
    "extract",
    "read_keypoints",
    "read_track",
    "stage_keys",
    "stage_part",
]
INHERITED = "inherited"
"""Marks the failure of a stage that could not begin because the one before it failed."""
Meta = dict[str, Any]
Arrays = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """What became of one stage of one video.

    Attributes:
        video: The file.
        stage: Name of the part; a video that cannot be read ends at the first stage.
        status: `ok` done now, `cached` done before, `failed` now or before.
        reason: Why it failed; empty where it did not.
        frames: Number of frames stored.
        valid: Share of the frames in which anything was measured, per layout group; for a detector,
            in which the person has a box, as `person`.
        seconds: Time that it took now.
    """

    video: Path
    stage: str
    status: Literal["ok", "cached", "failed"]
    reason: str = ""
    frames: int = 0
    valid: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Progress:
    """Where an extraction is.

    Attributes:
        video: The file in flight.
        stage: Name of the part at work.
        done: Frames done.
        total: Frames to do; None where the video does not say.
    """

    video: Path
    stage: str
    done: int
    total: int | None


OnProgress = Callable[[Progress], None]
OnRow = Callable[[Row], None]


def extract(
    videos: Iterable[Path],
    *,
    detector: StagePart,
    pose_estimator: StagePart,
    store: Path,
    crop: CropSettings | None = None,
    on_progress: OnProgress = lambda _: None,
    on_row: OnRow = lambda _: None,
    retry_failed: bool = False,
) -> list[Row]:
    """Extract the keypoints of one person from each video into the store.

    Args:
        videos: The files.
        detector: Finds everybody.
        pose_estimator: Measures one person.
        store: Folder of the store.
        crop: How that person is chosen and followed; None for the defaults.
        on_progress: Told after each chunk of frames.
        on_row: Told of each row as soon as it is there.
        retry_failed: Whether failures that the store remembers are tried again.

    Returns:
        Two rows per video, or the one that failed first.

    Raises:
        ComponentError: A part cannot work at all.
        StoreError: The store cannot be written.
    """
    crop = crop or CropSettings()
    keys = stage_keys(detector, pose_estimator, crop)
    work = _Work(detector, pose_estimator, crop, Store(Path(store)), on_progress, retry_failed)
    rows: list[Row] = []
    for path in videos:
        for row in work.rows(Path(path), keys.track, keys.pose):
            rows.append(row)
            on_row(row)
    return rows


@dataclass(frozen=True)
class _Work:
    """An extraction: what to do with each video."""

    detector: StagePart
    pose_estimator: StagePart
    crop: CropSettings
    store: Store
    on_progress: OnProgress
    retry_failed: bool

    def rows(self, path: Path, track_key: str, pose_key: str) -> Iterator[Row]:
        """Do what is not done for one video; the lock keeps other processes off it."""
        first, second = self.detector.name, self.pose_estimator.name
        try:
            digest = video_file.video_hash(path)
        except DataError as error:
            yield Row(path, first, "failed", str(error))
            return
        tracked = self.store.stage(digest, first, track_key)
        posed = self.store.stage(digest, second, pose_key)
        with self.store.lock(digest):
            stage = tracked
            try:
                row = self._row(path, tracked, lambda meta: self._track(path, meta))
                yield row
                if row.status == "failed":
                    if posed.status != "ok" and posed.reason != row.reason:
                        posed.fail(row.reason, {"video": path.name, INHERITED: True})
                    return
                stage = posed
                yield self._row(path, posed, lambda meta: self._pose(path, tracked, meta))
            except DamagedError as error:  # the user's to delete, and not to be remembered
                yield Row(path, stage.name, "failed", str(error))

    def _row(self, path: Path, stage: Stage, work: Callable[[Meta], Iterator[Arrays]]) -> Row:
        """Do one stage unless it is done, and say what became of it."""
        started = time.perf_counter()
        before = stage.status
        again = self.retry_failed or INHERITED in stage.meta
        if before is None or (before == "failed" and again):
            self._do(stage, work, {"video": path.name})
        row = Row(path, stage.name, "failed", seconds=time.perf_counter() - started)
        if stage.status == "failed":
            return replace(row, reason=stage.reason)
        status = "cached" if before == "ok" else "ok"
        return replace(row, status=status, frames=stage.frames, valid=stage.meta["valid"])

    def _do(self, stage: Stage, work: Callable[[Meta], Iterator[Arrays]], meta: Meta) -> None:
        """Write a stage, or the reason why there is none."""
        try:
            stage.write(work(meta), meta)
            return
        except (ComponentError, StoreError, DamagedError):
            raise
        except EmoframeError as error:
            reason = str(error)
        except Exception as error:  # one strange video must not end a night's work
            reason = f"{type(error).__name__}: {error}"
        stage.fail(reason, meta)

    def _track(self, path: Path, meta: Meta) -> Iterator[Arrays]:
        """Find everybody and follow one."""
        total = video_file.probe(path).frames_estimate
        chunks = self._watched(path, self.detector.name, total)
        detect = self.detector.part.detect
        track = track_person(((frames, detect(frames)) for frames in chunks), self.crop)
        if not track.valid.any():
            raise DataError(f"no person was found in any of {len(track.valid)} frames")
        meta |= {"policy": track.policy, "valid": {"person": float(track.valid.mean())}}
        yield {"box": track.box, "cut": track.cut, "time_s": track.time_s}

    def _pose(self, path: Path, tracked: Stage, meta: Meta) -> Iterator[Arrays]:
        """Measure the followed person."""
        name, part = self.pose_estimator.name, self.pose_estimator.part
        track, joints = replace(track_of(tracked), video=path), layout(part.layout)
        seen = dict.fromkeys(joints.groups, 0)
        count, total = 0, len(track.time_s)
        for found in part.estimate(self._watched(path, name, total), track):
            here = slice(count, count + len(found))
            _check(name, found, joints, track.valid[here])
            for group, members in joints.groups.items():
                seen[group] += int(found.valid[:, members].any(axis=1).sum())
            yield _arrays(found, track, here)
            count += len(found)
        if count != total:
            raise ComponentError(f"pose_estimator {name!r} measured {count} of {total} frames")
        if not any(seen.values()):
            raise DataError(f"no person was found: not one keypoint in any of {total} frames")
        meta |= {"layout": joints.name, "valid": {g: n / total for g, n in seen.items()}}

    def _watched(self, path: Path, stage: str, total: int | None) -> Iterator[Frames]:
        """Decode a video and report each chunk when it is taken."""

        def told(frames: Frames) -> Frames:
            self.on_progress(Progress(path, stage, int(frames.index[-1]) + 1, total))
            return frames

        return map(told, video_file.read(path))  # a generator here would keep a second chunk alive


def _arrays(found: Keypoints, track: Track, here: slice) -> Arrays:
    """Lay out a chunk for the store: NaN where masked, so that nobody takes it for data."""
    return {
        "xy": np.where(found.valid[..., None], found.xy, np.nan).astype(np.float32),
        "confidence": found.confidence.astype(np.float32),
        "valid": found.valid,
        "time_s": track.time_s[here],
        "box": track.box[here],
        "cut": track.cut[here],
    }


def _check(name: str, found: Keypoints, joints: SkeletonLayout, present: NDArray[np.bool_]) -> None:
    """Hold a pose estimator to its contract before anything of it is stored."""
    shape = (len(found), joints.num_joints)
    shapes = [found.xy.shape[:-1], found.confidence.shape, found.valid.shape]
    wrong = ""
    if any(given != shape for given in shapes) or len(present) != len(found):
        wrong = f"gave arrays of shapes {shapes} where {joints.name} needs {shape}"
    elif not np.isfinite(found.xy[found.valid]).all():
        wrong = "says that a coordinate is valid which is no finite number"
    elif found.valid[~present].any():
        wrong = "gave valid joints for a frame in which nobody has a box"
    if wrong:
        raise ComponentError(f"pose_estimator {name!r} {wrong}; this is a mistake in its code")

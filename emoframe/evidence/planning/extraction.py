"""What an extraction still has to do: videos, frames, hours of a device, and bytes on disk.

Decided here: nothing is decoded but the first frame of each video, and no file is hashed, so that
a plan of a large data set takes a minute: which video is done is known by its item or its path in
the ledger. A speed is what the store's own ledger measured, with the very settings or with others;
else what a probe of these parts measures, where one is allowed; else unknown, never guessed. The
stages of one level share the decoded frames, so a level takes as long as its slowest stage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from emoframe.core.errors import DataError, EmoframeError
from emoframe.evidence.planning.timing import probe_speeds
from emoframe.perception.entries import Entry, entries, standing
from emoframe.perception.events import Item
from emoframe.perception.index import read_index
from emoframe.perception.settings import Perception
from emoframe.perception.stages import CROP, Parts, StagePart, build_parts, stage_keys
from emoframe.perception.store import Store
from emoframe.perception.video import VideoInfo, probe
from emoframe.skeleton import layout

UNKNOWN = "unknown: nothing of the sort is in the store; --probe times a few frames"
DETECTED, FOLLOWED = 190.0, 34.0
"""Bytes a frame of the records of a detector, with one person in view, and of `crop`."""


@dataclass(frozen=True)
class StagePlan:
    """What is left of one stage.

    Attributes:
        stage: Its name in the store.
        level: Stages of one level share the decoded frames, and take as long as the slowest.
        videos: Videos to do.
        done: Videos that are done.
        failed: Videos whose failure the store remembers; they are not tried again.
        frames: Frames of the videos to do.
        seconds_per_frame: Seconds of one worker for a frame of the video; None where unknown.
        hours: Hours of one worker; None where unknown.
        bytes: What the store grows by; None where unknown.
        speed_rests_on: What the seconds rest on.
        disk_rests_on: What the bytes rest on.
    """

    stage: str
    level: int
    videos: int
    done: int
    failed: int
    frames: int
    seconds_per_frame: float | None
    hours: float | None
    bytes: float | None
    speed_rests_on: str
    disk_rests_on: str


@dataclass(frozen=True)
class ExtractionPlan:
    """What is left of an extraction.

    Attributes:
        videos: Videos of the data set.
        seconds: Seconds that those last which are not done whole, by their containers.
        frames: Frames in them.
        stages: One for each stage.
        hours: Hours of one worker; None where the speed of a stage is not known.
        bytes: What the store grows by, as far as known.
        warnings: What is not in the sums, a sentence each.
    """

    videos: int = 0
    seconds: float = 0.0
    frames: int = 0
    stages: Sequence[StagePlan] = ()
    hours: float | None = 0.0
    bytes: float = 0.0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Measured:
    """Seconds and bytes for each frame of a video, and where they come from."""

    seconds: float | None = None
    bytes: float | None = None
    speed: str = UNKNOWN
    disk: str = UNKNOWN


@dataclass
class _Videos:
    """The videos of a plan, what they say of themselves, and the hashes that are known."""

    count: int
    info: dict[Item, VideoInfo]
    hashes: dict[Item, str]
    warnings: list[str] = field(default_factory=list[str])


def plan_extraction(
    items: Sequence[Item], perception: Perception, *, device: str = "cpu", timed: bool = False
) -> ExtractionPlan:
    """Say what is left to extract, and what that takes.

    Args:
        items: The videos.
        perception: With what, and where to.
        device: Where a probe computes.
        timed: Whether speeds that are not known are measured on frames of a video.

    Returns:
        The plan; parts that cannot be built yet are among its warnings.
    """
    videos = _look(items, perception.store)
    if (parts := _built(perception, device, videos.warnings)) is None:
        return _sum(videos, items, [], hours=None)
    keys = {one.name: one.key for one in stage_keys(parts).all()}
    todo = {name: _left(videos, perception.store, name, key) for name, key in keys.items()}
    measured = {name: _stored(perception.store, name, key) for name, key in keys.items()}
    measured |= _computed(parts, measured)
    slow = [name for name, (left, *_) in todo.items() if left and not measured[name].seconds]
    if timed and slow:
        found = probe_speeds(todo[slow[0]][0][0].video, perception, parts, device)
        videos.warnings.extend(found.warnings)
        for name in {*slow} & {*found.seconds}:
            told = replace(measured[name], seconds=found.seconds[name], speed=found.told)
            measured[name] = told
    levels = _levels(parts)
    stages = [_stage(name, levels[name], todo[name], videos, measured[name]) for name in todo]
    open_ = dict.fromkeys(item for left, *_ in todo.values() for item in left)
    pose = int(perception.pose_estimator is not None)
    lacking = len(todo) < 2 + pose + len(perception.frame_encoders)
    return _sum(videos, list(open_), stages, None if lacking else _hours(stages))


def _sum(
    videos: _Videos, left: Sequence[Item], stages: Sequence[StagePlan], hours: float | None
) -> ExtractionPlan:
    told = [videos.info[item] for item in left if item in videos.info]
    return ExtractionPlan(
        videos.count,
        sum(one.duration_s or 0.0 for one in told),
        sum(one.frames_estimate or 0 for one in told),
        stages,
        hours,
        sum(one.bytes or 0.0 for one in stages),
        tuple(videos.warnings),
    )


def _built(perception: Perception, device: str, warnings: list[str]) -> Parts | None:
    """Build what can be built: often weights come after the plan."""
    bare = replace(perception, pose_estimator=None, frame_encoders={})
    steps = [{}, {"pose_estimator": perception.pose_estimator}]
    steps += [{"frame_encoders": {name: node}} for name, node in perception.frame_encoders.items()]
    parts: Parts | None = None
    for step in steps:
        more = step.get("frame_encoders", {})
        try:
            wider = replace(bare, **(step | {"frame_encoders": bare.frame_encoders | more}))
            built = build_parts(wider, device)
            stage_keys(built)  # which is where weights are looked for
            parts, bare = built, wider
        except EmoframeError as error:
            warnings.append(f"hours and bytes of a stage are not in the sums: {error}")
            if parts is None:
                return None
    return parts


def _look(items: Sequence[Item], store: Path) -> _Videos:
    """Open each video, and find the hash that the store knows it by."""
    known = standing(store) if store.is_dir() else []
    by_name = {(one.dataset, one.id): one.video_hash for one in known}
    by_path = {one.video: one.video_hash for one in known}
    found = _Videos(len(items), {}, {})
    for item in items:
        if digest := by_name.get((item.dataset, item.id)) or by_path.get(str(item.video)):
            found.hashes[item] = digest
        try:
            found.info[item] = probe(item.video)
        except DataError as error:
            found.warnings.append(f"not in the sums: {error}")
            continue
        if not found.info[item].frames_estimate:
            found.warnings.append(f"not in the sums: {item.video} does not say how long it is")
    return found


def _levels(parts: Parts) -> dict[str, int]:
    """Return each stage by its name, and its level."""
    pose = parts.pose_estimator
    return {
        parts.detector.name: 0,
        CROP: 1,
        **({pose.name: 2} if pose else {}),
        **{one.name: 3 if one.part.reads_keypoints else 2 for one in parts.frame_encoders},
    }


def _left(videos: _Videos, store: Path, name: str, key: str) -> tuple[list[Item], int, int]:
    """Return the videos that a stage still has to do, and how many are done and have failed."""
    left, ended = list[Item](), list[str]()
    for item in videos.info:
        digest = videos.hashes.get(item)
        status = Store(store).stage(digest, name, key).status if digest else None
        if status:
            ended.append(status)
        else:
            left.append(item)
    return left, ended.count("ok"), ended.count("failed")


def _stored(store: Path, name: str, key: str) -> _Measured:
    """Return what the store knows of a stage: of these settings, else of others."""
    if not store.is_dir():
        return _Measured()
    done = {
        (one.video_hash, one.stage, one.key): one for one in entries(store) if one.status == "done"
    }
    length = {one.video_hash: one.frames for one in done.values() if one.stage == CROP}
    named = [one for one in done.values() if one.stage == name and length.get(one.video_hash)]
    own = [one for one in named if one.key == key]
    chosen, other = (own, "") if own else (named, ", made with other settings")
    timed = [one for one in chosen if one.seconds]
    found = _Measured()
    if timed:
        seconds = sum(one.seconds for one in timed)
        told = f"measured: {len(timed)} videos in the store ({seconds:.1f} s){other}"
        frames = sum(length[one.video_hash] for one in timed)
        found = replace(found, seconds=seconds / frames, speed=told)
    if chosen:
        size = sum(_bytes(store, one) for one in chosen)
        frames = sum(length[one.video_hash] for one in chosen)
        told = f"measured: {len(chosen)} videos in the store{other}"
        found = replace(found, bytes=size / frames, disk=told)
    return found


def _bytes(store: Path, entry: Entry) -> int:
    index = read_index(Store(store).stage(entry.video_hash, entry.stage, entry.key).folder)
    return sum(shard.bytes for shard in index.shards) if index else 0


def _computed(parts: Parts, measured: Mapping[str, _Measured]) -> dict[str, _Measured]:
    """Compute the bytes of stages of which nothing is stored, from what their records hold."""
    sizes = {parts.detector.name: (DETECTED, "one person in view"), CROP: (FOLLOWED, "one box")}
    if pose := parts.pose_estimator:
        joints = layout(pose.part.layout).num_joints
        sizes[pose.name] = 13.0 * joints + 25.0, f"{joints} joints a frame"
    for one in parts.frame_encoders:
        sizes[one.name] = _vectors(one, parts.pose_estimator)
    return {
        name: replace(measured[name], bytes=size, disk=f"computed: {why}")
        for name, (size, why) in sizes.items()
        if measured[name].bytes is None
    }


def _vectors(encoder: StagePart, pose: StagePart | None) -> tuple[float, str]:
    part = encoder.part
    step = part.every * part.span
    each, why = 2.0 * part.out_dim, f"{part.out_dim} numbers every {step} frames"
    if part.reads_keypoints and pose:
        joints = layout(pose.part.layout).num_joints
        return joints * (each + 6.0) / step, f"at most: {why} for each of {joints} joints"
    return (each + 9.0) / step, why


def _stage(
    name: str,
    level: int,
    left: tuple[list[Item], int, int],
    videos: _Videos,
    measured: _Measured,
) -> StagePlan:
    todo, done, failed = left
    frames = sum(videos.info[item].frames_estimate or 0 for item in todo)
    hours = None if measured.seconds is None else measured.seconds * frames / 3600
    return StagePlan(
        name, level, len(todo), done, failed, frames, measured.seconds,
        0.0 if not frames else hours,
        0.0 if not frames else None if measured.bytes is None else measured.bytes * frames,
        measured.speed, measured.disk,
    )  # fmt: skip


def _hours(stages: Sequence[StagePlan]) -> float | None:
    """Sum up the slowest stage of each level; None where the speed of one is not known."""
    if any(one.hours is None for one in stages):
        return None
    levels = {one.level for one in stages}
    return sum(max(s.hours or 0.0 for s in stages if s.level == level) for level in levels)

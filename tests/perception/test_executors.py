"""What holds wherever an extraction runs: the same bytes, and one video per dead worker."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from emoframe import build
from emoframe.core.errors import ComponentError, ConfigError, DataError
from emoframe.core.plugins import loaded
from emoframe.perception import workers
from emoframe.perception.encode import encode
from emoframe.perception.entries import entries
from emoframe.perception.events import Died, Item, Ready, Row
from emoframe.perception.flow import share
from emoframe.perception.job import Job
from emoframe.perception.pipeline import How, StoppedError, extract
from emoframe.perception.read import read_features
from emoframe.perception.settings import CropSettings, Perception
from emoframe.perception.stages import build_parts, stage_keys, stage_part
from emoframe.perception.upkeep import verify
from emoframe.perception.work import VideoWork
from emoframe.records import Frames, Keypoints, Track

MakeVideo = Callable[..., Path]
pytestmark = pytest.mark.usefixtures("parts_plugin")
PARTS = Path(__file__).parent / "parts.py"
HERE = How(workers=0)
CHANGES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nothing": ({}, []),
    "what decides how fast": ({"frame_encoders": {
        "colour": {"type": "colour", "batch": 3}, "under_joints": {"type": "under_joints"},
    }}, []),
    "detector": (
        {"detector": {"type": "square", "level": 200}},
        ["square", "crop", "centre", "colour", "under_joints"],
    ),
    "crop": (
        {"crop": CropSettings(pad=0.5)}, ["crop", "centre", "colour", "under_joints"],
    ),
    "pose": (
        {"pose_estimator": {"type": "centre", "pause_s": 0.001}}, ["centre", "under_joints"],
    ),
    "encoder": (
        {"frame_encoders": {"colour": {"type": "colour", "every": 5}}}, ["colour"],
    ),
    "another encoder": (
        {"frame_encoders": {"more": {"type": "colour", "every": 5}}}, ["more"],
    ),
}  # fmt: skip


def perception(store: Path, **changed: Any) -> Perception:
    settings: dict[str, Any] = {
        "detector": {"type": "square"},
        "pose_estimator": {"type": "centre"},
        "frame_encoders": {"colour": {"type": "colour"}, "under_joints": {"type": "under_joints"}},
    }
    return Perception(store=store, **(settings | changed))


@pytest.fixture
def videos(make_video: MakeVideo) -> list[Path]:
    return [make_video(f"{n}.mp4", frames=n) for n in (20, 30, 40, 50)]


def contents(store: Path) -> dict[str, bytes]:
    """Everything stored, byte for byte; seconds and hosts are in the ledger alone."""
    files = [p for p in store.glob("*/*/*") if p.is_file()]
    return {str(p.relative_to(store)): p.read_bytes() for p in files}


def statuses(rows: list[Row]) -> Mapping[str, str]:
    return {f"{row.item.id} {row.stage}": row.status for row in rows}


def test_frame_features_lie_on_their_own_timeline_and_are_masked_where_nobody_is(
    videos: list[Path], tmp_path: Path
) -> None:
    clip = {"clip": {"type": "colour", "every": 3, "span": 4}}
    settings = perception(tmp_path, frame_encoders=perception(tmp_path).frame_encoders | clip)
    extract(videos[:1], settings, HERE)
    keys = {stage.name: stage.key for stage in stage_keys(build_parts(settings)).all()}

    def read(name: str) -> Any:
        return read_features(tmp_path, videos[0], name, keys[name])

    colour, clips, joints = read("colour"), read("clip"), read("under_joints")
    assert colour.x.shape == (10, 3)
    assert colour.time_s == pytest.approx(np.arange(0, 20, 2) / 25)
    assert clips.x.shape == (1, 3)  # frames 0, 3, 6 and 9; three more are no whole vector
    assert clips.time_s == pytest.approx([4.5 / 25])
    assert joints.x.shape == (7, 137, 3)
    assert joints.valid.sum(axis=1).tolist() == [1] * 7
    assert joints.x[:, 0] == pytest.approx(1, abs=0.02)  # the square is white
    assert np.isnan(joints.x[~joints.valid]).all()


@pytest.mark.parametrize(("changed", "again"), CHANGES.values(), ids=CHANGES)
def test_exactly_the_stages_run_again_that_read_what_was_changed(
    videos: list[Path], tmp_path: Path, changed: dict[str, Any], again: list[str]
) -> None:
    extract(videos[:1], perception(tmp_path), HERE)
    rows = extract(videos[:1], perception(tmp_path, **changed), HERE)
    assert [row.stage for row in rows if row.status == "ok"] == again


def test_only_what_a_part_itself_names_is_left_out_of_its_key() -> None:
    pose = stage_part("pose_estimator", {"type": "centre", "pause_s": 1.0})
    assert pose.config == {"type": "centre", "pause_s": 1.0, "dies_at": 0, "fails_at": 0}
    assert "batch" not in stage_part("frame_encoder", {"type": "colour", "batch": 3}).config
    inside = {part: {"type": "mediapipe"} for part in ("body", "face", "hands")}
    merged = stage_part("pose_estimator", {"type": "merge", **inside}).config
    assert "smooth" in merged["face"]
    assert "model" not in merged["face"]


def test_worker_processes_store_what_one_process_stores(videos: list[Path], tmp_path: Path) -> None:
    told: list[Any] = []
    one = extract(videos, perception(tmp_path / "one"), HERE)
    two = extract(videos, perception(tmp_path / "two"), How(workers=2), on_progress=told.append)
    assert statuses(two) == statuses(one)
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    assert {progress.video for progress in told} == set(videos)
    assert {entry.status for entry in entries(tmp_path / "two")} == {"done"}


def test_a_worker_that_dies_costs_one_video_and_the_next_run_tries_it_again(
    videos: list[Path], tmp_path: Path
) -> None:
    deadly = perception(tmp_path, pose_estimator={"type": "centre", "dies_at": 30})
    rows = extract(videos, deadly, How(workers=2))
    failed = [row for row in rows if row.status == "failed"]
    assert {row.item.id for row in failed} == {"30.mp4"}
    assert {row.stage for row in failed} >= {"centre"}
    assert "was killed by SIGKILL" in failed[0].reason
    assert "the next run tries it again" in failed[0].reason
    assert sum(row.stage == "centre" and row.status == "ok" for row in rows) == 3
    again = extract(videos, perception(tmp_path), How(workers=2))
    assert {row.status for row in again if row.stage == "square"} == {"cached"}
    assert {row.status for row in again if row.item.id == "30.mp4"} == {"cached", "ok"}


def test_a_worker_that_dies_before_it_begins_costs_nothing(
    videos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, killed = workers._Worker.__init__, []

    def dying(worker: Any, *given: Any) -> None:
        start(worker, *given)
        if not killed:
            killed.append(worker.process.pid)
            os.kill(worker.process.pid, signal.SIGKILL)

    monkeypatch.setattr(workers._Worker, "__init__", dying)
    rows = extract(videos, perception(tmp_path), How(workers=2))
    assert killed
    assert {row.status for row in rows} == {"ok"}


def test_workers_that_can_never_begin_are_a_sentence(
    videos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_serve", os._exit)
    with pytest.raises(
        ComponentError, match="in a row could not begin; .* --workers 0 .* shows why"
    ):
        extract(videos, perception(tmp_path), How(workers=1))


def test_a_strange_error_of_a_worker_keeps_its_reason(
    videos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd(work: VideoWork, item: Item) -> None:
        raise KeyError("moon")

    monkeypatch.setattr(VideoWork, "run", odd)
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    ours, theirs = Pipe()
    item = Item(videos[0], "a")
    ours.send(item)
    try:
        workers._serve(theirs, Job(perception(tmp_path)), 0)
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            signal.signal(number, handler)
    assert [ours.recv(), ours.recv()] == [
        Ready(), Died(item, "KeyError: 'moon'; the next run tries it again"),
    ]  # fmt: skip


def test_one_fatal_part_ends_the_stage_of_all_at_once(tmp_path: Path) -> None:
    taken: list[int] = []

    def bad(_: Iterator[int]) -> None:
        raise ComponentError("cannot work")

    def slow(stream: Iterator[int]) -> None:
        for number in stream:
            taken.append(number)
            time.sleep(0.05)

    with pytest.raises(ComponentError, match="cannot work"):
        share(range(1000), [slow, bad])
    assert len(taken) < 10


def test_a_consumer_that_stops_early_keeps_nobody_waiting() -> None:
    taken: list[int] = []
    share(range(50), [lambda stream: next(stream), taken.extend, lambda _: None])
    assert taken == list(range(50))


def test_what_the_source_raises_each_consumer_meets() -> None:
    met: list[str] = []

    def source() -> Iterator[int]:
        yield 1
        raise DataError("it ends here")

    def take(stream: Iterator[int]) -> None:
        with pytest.raises(DataError, match="it ends here") as error:
            list(stream)
        met.append(str(error.value))

    share(source(), [take, take])
    assert met == ["it ends here"] * 2


def test_a_vector_never_spans_a_cut_and_never_lies_outside_of_the_crop() -> None:
    box = np.tile(np.array([10, 10, 30, 30], np.float32), (16, 1))
    cut = np.zeros(16, bool)
    cut[8] = True
    track = Track(box, cut, np.arange(16) / 25, "")
    frames = Frames(np.full((16, 40, 40, 3), 200, np.uint8), track.time_s, np.arange(16))
    clips = build("frame_encoder", "colour", every=1, span=4, size=8)
    cut[8], cut[9] = False, True
    (found,) = encode(clips, [frames], Track(box, cut, track.time_s, ""))
    assert found.valid.tolist() == [True, True, False, True]
    xy = np.zeros((16, 137, 2), np.float32)
    xy[:, 0], xy[:, 1] = (20, 20), (5, 20)
    valid = np.zeros((16, 137), bool)
    valid[:, :2] = True
    joints = Keypoints(xy, valid.astype(np.float32), valid, track.time_s, "openpose_137")
    (found,) = encode(build("frame_encoder", "under_joints", every=8), [frames], track, joints)
    assert found.valid[:, :2].tolist() == [[True, False]] * 2


def test_a_part_that_cannot_work_stops_all_workers_with_its_sentence(
    videos: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="level"):
        extract(videos, perception(tmp_path, detector={"type": "square", "level": "x"}))


def test_shards_share_the_videos_and_their_ledgers_are_read_as_one(
    videos: list[Path], tmp_path: Path
) -> None:
    items = [Item(video, f"item-{n}", "mine") for n, video in enumerate(videos)]
    done = [
        {row.item.id for row in extract(items, perception(tmp_path), How(0, shard=(n, 2)))}
        for n in (1, 2)
    ]
    assert done == [{"item-0", "item-2"}, {"item-1", "item-3"}]
    assert {path.name for path in tmp_path.glob("*.db")} == {
        "ledger-1-of-2.db", "ledger-2-of-2.db",
    }  # fmt: skip
    assert {entry.id for entry in entries(tmp_path)} == {item.id for item in items}


def test_an_extraction_stops_when_more_videos_have_failed_than_allowed(
    videos: list[Path], tmp_path: Path
) -> None:
    bad = perception(tmp_path, pose_estimator={"type": "centre", "fails_at": 30})
    more = [videos[0], videos[1], tmp_path / "gone.mp4", videos[2]]
    rows = extract(more, bad, How(workers=0, max_failures=2))
    assert {row.item.id for row in rows if row.status == "failed"} == {"30.mp4", "gone.mp4"}
    few = How(workers=2, max_failures=1)
    with pytest.raises(
        StoppedError, match="failed videos: 2, and --max-failures allows 1"
    ) as stopped:
        extract([*more, *videos[3:]], bad, few)
    assert {row.item.id for row in stopped.value.rows} >= {"30.mp4", "gone.mp4"}
    assert not {entry.status for entry in entries(tmp_path)} & {"running", "interrupted"}


def test_an_encoder_that_reads_keypoints_needs_a_pose_estimator(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="reads keypoints; name a `pose_estimator`"):
        extract([], perception(tmp_path, pose_estimator=None))


def test_a_video_too_short_for_one_vector_is_a_sentence(videos: list[Path], tmp_path: Path) -> None:
    long = {"clip": {"type": "colour", "every": 6, "span": 16}}
    row = extract(videos[:1], perception(tmp_path, frame_encoders=long), HERE)[-1]
    assert (row.stage, row.status) == ("clip", "failed")
    assert "has 4 frames at every 6, and the frame encoder needs 16" in row.reason


def test_ray_stores_what_one_process_stores(
    videos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        one = extract(videos, perception(tmp_path / "one"), HERE)
        two = extract(videos, perception(tmp_path / "two"), How(workers=2, executor="ray"))
        deadly = perception(tmp_path / "two", pose_estimator={"type": "centre", "dies_at": 30})
        rows = extract(videos, deadly, How(workers=2, executor="ray"))
    finally:
        ray.shutdown()
    assert statuses(two) == statuses(one)
    assert contents(tmp_path / "two") | contents(tmp_path / "one") == contents(tmp_path / "two")
    assert {row.item.id for row in rows if row.status == "failed"} == {"30.mp4"}


def test_workers_end_when_the_process_that_started_them_is_killed(
    videos: list[Path], tmp_path: Path
) -> None:
    process = _extraction(tmp_path, videos, pause_s=5)
    while len(crew := psutil.Process(process.pid).children(recursive=True)) < 3:
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(crew, timeout=20)
    assert not alive


@pytest.mark.slow
def test_twenty_kills_at_random_moments_lose_nothing_that_was_finished(
    videos: list[Path], tmp_path: Path
) -> None:
    untouched = tmp_path / "untouched"
    extract(videos, perception(untouched, pose_estimator=SLOW), HERE)
    generator = random.Random(0)
    for number in range(20):
        store = tmp_path / f"store-{number}"
        process = _extraction(store, videos)
        while not any(store.glob("*/*")) and process.poll() is None:
            time.sleep(0.01)
        time.sleep(generator.uniform(0, 2.5))
        for victim in [*psutil.Process(process.pid).children(recursive=True), process]:
            os.kill(victim.pid, signal.SIGKILL)
        process.wait()
        before = contents_of_finished(store)
        rows = extract(videos, perception(store, pose_estimator=SLOW), HERE)
        assert sum(row.status == "cached" for row in rows) == len(before)
        assert contents(store) == contents(untouched)
        assert not list(verify(store))


SLOW = {"type": "centre", "pause_s": 0.2}


def contents_of_finished(store: Path) -> list[Path]:
    return list(store.glob("*/*/index.json"))


def _extraction(store: Path, videos: list[Path], pause_s: float = 0.2) -> subprocess.Popen[bytes]:
    """Extract with two workers in a process that can be killed."""
    command = [sys.executable, __file__, str(store), str(pause_s), *map(str, videos)]
    return subprocess.Popen(command)


if __name__ == "__main__":
    loaded().load_file(PARTS)
    slow = {"type": "centre", "pause_s": float(sys.argv[2])}
    extract(
        [Path(name) for name in sys.argv[3:]],
        perception(Path(sys.argv[1]), pose_estimator=slow),
        How(workers=2),
    )

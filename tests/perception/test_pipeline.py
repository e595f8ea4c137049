"""What an extraction promises: done once, whole or with a reason, and not harmed by a kill.

Run as a script, this file is the extraction that the tests kill.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emoframe.core import files
from emoframe.core.component import Component
from emoframe.core.errors import ComponentError, ConfigError, DataError
from emoframe.core.plugins import Offer
from emoframe.perception import stages
from emoframe.perception import store as store_module
from emoframe.perception.crop import CropSettings
from emoframe.perception.detectors.whole_frame import WholeFrame
from emoframe.perception.events import Progress, Row
from emoframe.perception.pipeline import How, OnRow, extract
from emoframe.perception.read import read_keypoints, read_track
from emoframe.perception.settings import Perception
from emoframe.perception.stages import Parts, StageKeys, StagePart, stage_keys, stage_part
from emoframe.records import Boxes, Frames, Keypoints, Track

MakeVideo = Callable[..., Path]


class Bright:
    """A pose estimator that measures the bright square: nose, left wrist and one point of the face.

    Deterministic, and each chunk depends on the one before it, as smoothing does. It writes down
    each video that it begins, and may take its time.
    """

    layout = "openpose_137"

    def __init__(self, log: Path | None = None, pause_s: float = 0.0) -> None:
        self.log, self.pause_s = log, pause_s

    def estimate(self, chunks: Iterable[Frames], track: Track) -> Iterator[Keypoints]:
        if self.log:
            with self.log.open("a") as log:
                log.write(f"{len(track.time_s)}\n")
        state = 0.0
        for frames in chunks:
            time.sleep(self.pause_s)
            found = blank(frames)
            for t, rgb in enumerate(frames.rgb):
                rows, columns = np.nonzero(rgb.min(axis=2) > 230)
                if len(rows) and track.valid[frames.index[t]]:
                    state = 0.5 * state + 0.5 * columns.mean()
                    found.xy[t, [0, 7, 30]] = [[state, rows.mean()], [columns.min(), 1], [2, 3]]
                    found.confidence[t, [0, 7, 30]] = 0.9
                    found.valid[t, [0, 7, 30]] = True
            yield found


def blank(frames: Frames) -> Keypoints:
    count = len(frames)
    return Keypoints(
        np.zeros((count, 137, 2), np.float32),
        np.zeros((count, 137), np.float32),
        np.zeros((count, 137), np.bool_),
        frames.time_s,
        "openpose_137",
    )


class Blind:
    """A detector that sees nobody."""

    def detect(self, frames: Frames) -> list[Boxes]:
        return [Boxes(np.empty((0, 4), np.float32), np.empty(0, np.float32))] * len(frames)


WHOLE = StagePart("whole_frame", WholeFrame(), {}, {"emoframe": "0"})
BRIGHT = StagePart("bright", Bright(), {"level": 230}, {"emoframe": "0"})


def run(
    videos: Iterable[Path],
    store: Path,
    how: How | None = None,
    on_row: OnRow = lambda _: None,
    **parts: Any,
) -> list[Row]:
    """Extract in this process, with parts that are built already."""
    return extract(videos, Perception(store=store), how, parts=made(**parts), on_row=on_row)


def made(**changed: Any) -> Parts:
    return Parts(**{"detector": WHOLE, "pose_estimator": BRIGHT, **changed})


def keys(**changed: Any) -> StageKeys:
    return stage_keys(made(**changed))


RETRY = How(retry_failed=True)


def outcome(rows: Iterable[Row]) -> list[tuple[str, str, str]]:
    return [(row.video.name, row.stage, row.status) for row in rows]


def shards(store: Path) -> dict[str, bytes]:
    """All stored arrays, byte for byte."""
    return {str(p.relative_to(store)): p.read_bytes() for p in store.rglob("*.safetensors")}


def test_keypoints_of_a_video_come_back_as_they_were_measured(
    make_video: MakeVideo, tmp_path: Path
) -> None:
    path, store = make_video(frames=100), tmp_path / "store"
    rows = run([path], store)
    assert outcome(rows) == [
        ("clip.mp4", "whole_frame", "ok"),
        ("clip.mp4", "crop", "ok"),
        ("clip.mp4", "bright", "ok"),
    ]
    found = read_keypoints(store, path, "bright", keys().pose.key)
    assert found.layout == "openpose_137"
    assert found.xy.shape == (100, 137, 2)
    assert found.valid.sum(axis=1).tolist() == [3] * 100
    assert np.isnan(found.xy[~found.valid]).all()
    assert found.time_s == pytest.approx(np.arange(100) / 25)
    assert found.box is not None
    assert found.box.tolist() == [[0, 0, 64, 48]] * 100
    track = read_track(store, path, "crop", keys().crop.key)
    assert track.valid.all()
    assert [row.frames for row in rows] == [100] * 3
    assert [row.valid for row in rows] == [
        {"people": 1.0},
        {"person": 1.0},
        {"body": 1.0, "face": 1.0, "hands": 0.0},
    ]


def test_what_is_finished_is_never_done_twice_even_under_another_name(
    make_video: MakeVideo, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    pose = replace(BRIGHT, part=Bright(log))
    path, store = make_video(), tmp_path / "store"
    run([path], store, pose_estimator=pose)
    copy = path.with_name("copy.mp4")
    copy.write_bytes(path.read_bytes())
    rows = run([path, copy], store, pose_estimator=pose)
    assert [row.status for row in rows] == ["cached"] * 6
    assert rows[5].valid == {"body": 1.0, "face": 1.0, "hands": 0.0}
    assert log.read_text() == "30\n"


def test_a_result_is_not_used_once_anything_it_depends_on_has_changed(
    make_video: MakeVideo, tmp_path: Path
) -> None:
    path, store = make_video(), tmp_path / "store"
    run([path], store)
    newer = replace(BRIGHT, versions={"emoframe": "1"})
    rows = run([path], store, pose_estimator=newer)
    assert [row.status for row in rows] == ["cached", "cached", "ok"]
    wider = CropSettings(pad=0.3)
    assert [row.status for row in run([path], store, crop=wider)] == ["cached", "ok", "ok"]
    with pytest.raises(DataError, match="for these settings and versions; run emoframe extract"):
        read_keypoints(store, path, "bright", keys(pose_estimator=newer, crop=wider).pose.key)


def test_weights_are_part_of_the_key() -> None:
    class Weighty(Bright):
        def fingerprint(self) -> dict[str, str]:
            return {"weights": "00ff"}

    plain, weighty = (
        keys(pose_estimator=replace(BRIGHT, part=part)) for part in (Bright(), Weighty())
    )
    assert plain.crop == weighty.crop
    assert plain.pose.key != weighty.pose.key


def test_a_failing_video_is_a_row_with_its_reason_and_the_rest_goes_on(
    make_video: MakeVideo, tmp_path: Path
) -> None:
    broken = make_video("broken.mp4", frames=90, movflags="faststart")
    broken.write_bytes(broken.read_bytes()[:-400])
    (tmp_path / "empty.mp4").touch()
    videos = [tmp_path / "gone.mp4", tmp_path / "empty.mp4", broken, make_video("good.mp4")]
    rows = run(videos, tmp_path / "store")
    assert outcome(rows) == [
        ("gone.mp4", "whole_frame", "failed"),
        ("empty.mp4", "whole_frame", "failed"),
        ("broken.mp4", "whole_frame", "failed"),
        ("good.mp4", "whole_frame", "ok"),
        ("good.mp4", "crop", "ok"),
        ("good.mp4", "bright", "ok"),
    ]
    assert "there is no such file" in rows[0].reason
    assert "empty (0 bytes)" in rows[1].reason
    assert "truncated or damaged after" in rows[2].reason
    assert (rows[2].frames, rows[2].valid) == (0, {})
    key = keys().pose.key
    with pytest.raises(DataError, match=r"has no bright features:.*truncated"):
        read_keypoints(tmp_path / "store", broken, "bright", key)


def test_a_video_with_nobody_in_it_is_a_failure_and_leaves_no_data(
    make_video: MakeVideo, tmp_path: Path
) -> None:
    class Sightless(Bright):
        def estimate(self, chunks: Iterable[Frames], track: Track) -> Iterator[Keypoints]:
            return map(blank, chunks)

    path, store = make_video(), tmp_path / "store"
    blind = StagePart("blind", Blind())
    detected, followed = run([path], store, detector=blind)
    assert (detected.status, detected.valid) == ("ok", {"people": 0.0})
    assert followed.status == "failed"
    assert followed.reason.startswith("clip.mp4: no person was found in any of 30 frames; look")
    rows = run([path], store, pose_estimator=replace(BRIGHT, part=Sightless()))
    assert [row.status for row in rows] == ["ok", "ok", "failed"]
    assert rows[2].reason.startswith("clip.mp4: not one keypoint was found in any of 30 frames")
    assert not any("bright" in name for name in shards(store))


def test_a_remembered_failure_is_tried_again_only_when_asked(
    make_video: MakeVideo, tmp_path: Path
) -> None:
    class Moody(Bright):
        def estimate(self, chunks: Iterable[Frames], track: Track) -> Iterator[Keypoints]:
            raise ZeroDivisionError("it rains")

    path, store = make_video(), tmp_path / "store"
    moody = replace(BRIGHT, part=Moody())
    rows = run([path], store, pose_estimator=moody)
    assert rows[2].reason == "clip.mp4: ZeroDivisionError: it rains"
    rows = run([path], store)
    assert (rows[2].status, rows[2].reason) == ("failed", "clip.mp4: ZeroDivisionError: it rains")
    with pytest.raises(DataError, match=r"clip\.mp4: has no bright features: .*ZeroDivisionError"):
        read_keypoints(store, path, "bright", keys().pose.key)
    rows = run([path], store, RETRY)
    assert [row.status for row in rows] == ["cached", "cached", "ok"]


def test_what_failed_only_because_the_stage_before_it_did_follows_when_that_succeeds(
    make_video: MakeVideo, tmp_path: Path
) -> None:
    class Moody(WholeFrame):
        moods = iter([RuntimeError("it rains"), None])

        def detect(self, frames: Frames) -> list[Boxes]:
            if mood := next(self.moods):
                raise mood
            return super().detect(frames)

    def stop(row: Row) -> None:
        raise KeyboardInterrupt

    path, store, moody = make_video(frames=9), tmp_path / "store", replace(WHOLE, part=Moody())
    assert [row.status for row in run([path], store, detector=moody)] == ["failed"]
    with pytest.raises(KeyboardInterrupt):  # between two stages
        run([path], store, RETRY, detector=moody, on_row=stop)
    rows = run([path], store, detector=moody)
    assert [row.status for row in rows] == ["cached", "ok", "ok"]


def test_an_interruption_passes_and_leaves_nothing_finished(
    make_video: MakeVideo, tmp_path: Path
) -> None:
    class Interrupted(Bright):
        def estimate(self, chunks: Iterable[Frames], track: Track) -> Iterator[Keypoints]:
            raise KeyboardInterrupt

    path, store = make_video(), tmp_path / "store"
    with pytest.raises(KeyboardInterrupt):
        run([path], store, pose_estimator=replace(BRIGHT, part=Interrupted()))
    assert [row.status for row in run([path], store)] == ["cached", "cached", "ok"]


def test_a_damaged_stage_is_left_for_the_user_to_delete(
    make_video: MakeVideo, tmp_path: Path
) -> None:
    path, store = make_video(), tmp_path / "store"
    run([path], store)
    other = replace(BRIGHT, config={"level": 1})
    (track,) = store.rglob("crop-*/*.safetensors")
    whole = track.read_bytes()
    track.write_bytes(whole[:-8])
    rows = run([path], store, pose_estimator=other)
    assert [row.status for row in rows] == ["cached", "cached", "failed"]
    assert "delete this folder and extract again" in rows[2].reason
    track.write_bytes(whole)
    rows = run([path], store, pose_estimator=other)
    assert [row.status for row in rows] == ["cached", "cached", "ok"]


def broken_estimators() -> Iterator[tuple[str, bool, Callable[[Keypoints], Keypoints]]]:
    yield "gave arrays of shapes", True, lambda k: replace(k, xy=k.xy[:, :100])
    yield "gave arrays of shapes", True, lambda k: replace(k, time_s=k.time_s[:-1])
    yield "no finite number", False, lambda k: replace(k, xy=k.xy * np.nan, valid=~k.valid)
    yield "in which nobody has a box", False, lambda k: replace(k, valid=~k.valid)


@pytest.mark.parametrize(("complaint", "always", "spoil"), broken_estimators())
def test_an_estimator_that_breaks_its_contract_leaves_nothing_in_the_store(
    make_video: MakeVideo,
    tmp_path: Path,
    complaint: str,
    always: bool,
    spoil: Callable[[Keypoints], Keypoints],
) -> None:
    """Wrong shapes would be wrong for every video; a wrong value fails this one alone."""

    class Broken(Bright):
        def estimate(self, chunks: Iterable[Frames], track: Track) -> Iterator[Keypoints]:
            return (spoil(blank(frames)) for frames in chunks)

    class Late(WholeFrame):
        def detect(self, frames: Frames) -> list[Boxes]:
            return [*Blind().detect(frames)[:5], *super().detect(frames)[5:]]

    parts = {
        "detector": StagePart("late", Late()),
        "pose_estimator": replace(BRIGHT, part=Broken()),
    }
    if always:
        with pytest.raises(ComponentError, match=complaint):
            run([make_video()], tmp_path / "store", **parts)
    else:
        row = run([make_video()], tmp_path / "store", **parts)[-1]
        assert row.status == "failed"
        assert re.search(complaint, row.reason)
    assert not any("bright" in name for name in shards(tmp_path / "store"))


@pytest.mark.parametrize("error", [MemoryError("no room"), OSError(24, "too many files")])
def test_what_the_machine_was_short_of_is_told_and_not_remembered(
    make_video: MakeVideo, tmp_path: Path, error: Exception
) -> None:
    class Short(Bright):
        def estimate(self, chunks: Iterable[Frames], track: Track) -> Iterator[Keypoints]:
            raise error

    path, store = make_video(), tmp_path / "store"
    row = run([path], store, pose_estimator=replace(BRIGHT, part=Short()))[-1]
    assert (row.stage, row.status) == ("bright", "failed")
    assert row.reason.endswith("the next run tries it again")
    assert run([path], store)[-1].status == "ok"


@pytest.mark.parametrize("change", ["longer", "shorter", "other", "gone"])
def test_a_video_that_changes_while_it_is_read_is_told_and_not_stored(
    make_video: MakeVideo, tmp_path: Path, change: str
) -> None:
    path, store = make_video(frames=40), tmp_path / "store"
    contents = {
        "longer": make_video("longer.mp4", frames=60).read_bytes(),
        "shorter": make_video("shorter.mp4", frames=20).read_bytes(),
        "other": path.read_bytes()[::-1],
    }
    whole = path.read_bytes()

    def replaced(row: Row) -> None:
        if row.stage == "crop":
            path.unlink()
            if change in contents:
                path.write_bytes(contents[change])
                os.utime(path, (1, 1))

    row = run([path], store, on_row=replaced)[-1]
    assert (row.stage, row.status) == ("bright", "failed")
    assert row.reason == "clip.mp4: changed while it was read; extract it again when it is complete"
    assert not list(store.glob("*/bright-*/index.json"))
    path.write_bytes(whole)
    assert [row.status for row in run([path], store)] == ["cached", "cached", "ok"]


def test_progress_and_rows_are_told_as_they_come(make_video: MakeVideo, tmp_path: Path) -> None:
    told: list[Progress | Row] = []
    extract(
        [make_video(frames=40)],
        Perception(store=tmp_path / "store"),
        parts=made(),
        on_progress=told.append,
        on_row=told.append,
    )
    steps = [
        (one.stage, one.done, one.total) if isinstance(one, Progress) else one.status
        for one in told
    ]
    assert steps == [
        ("whole_frame", 16, 40),
        ("whole_frame", 32, 40),
        ("whole_frame", 40, 40),
        "ok",
        "ok",
        ("bright", 16, 40),
        ("bright", 32, 40),
        ("bright", 40, 40),
        "ok",
    ]


def test_a_part_is_built_from_its_config_with_all_defaults(tmp_path: Path) -> None:
    part = stage_part("detector", {"type": "whole_frame"})
    assert (part.name, part.config) == ("whole_frame", {"type": "whole_frame"})
    assert part.versions["emoframe"]
    assert isinstance(part.part, WholeFrame)
    with pytest.raises(ConfigError, match="size"):
        stage_part("detector", {"type": "whole_frame", "size": 3})


def test_a_part_in_a_file_of_its_own_is_known_by_what_the_file_says(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    offer = Offer(Component(kind="detector", name="mine", target="mine:Mine"), str(file))
    found = []
    for code in ("threshold = 1", "threshold = 2"):
        file.write_text(code)
        found.append(stages._packages(offer)["provider"])
    assert found[0] != found[1]
    assert str(tmp_path) not in found[0]


WRITES = 24
"""Files that a whole extraction of `killable` writes: shards and an index for each stage."""
FEW = 32
"""Frames per shard where runs are killed, so that each stage has several."""


SOME = (1, 8, 15, 24, 32, 47)
MOMENTS = [
    pytest.param(n, marks=() if n in SOME else pytest.mark.slow) for n in range(1, 1 + 2 * WRITES)
]


@pytest.mark.parametrize("write", MOMENTS)
def test_a_kill_at_any_commit_loses_only_the_stage_in_flight(
    killable: tuple[list[Path], Path], tmp_path: Path, write: int
) -> None:
    videos, untouched = killable
    assert sum(1 for _ in untouched.glob("*/*/*")) == WRITES
    store, log = tmp_path / "store", tmp_path / "log"
    assert _extraction(store, log, videos, kill_at_write=write).wait() == -signal.SIGKILL
    assert _resumed(store, log, videos) == shards(untouched)


def test_a_kill_from_outside_in_the_middle_of_a_video_loses_only_that(
    killable: tuple[list[Path], Path], tmp_path: Path
) -> None:
    videos, untouched = killable
    store, log = tmp_path / "store", tmp_path / "log"
    process = _extraction(store, log, videos, pause_s=0.2)
    while not (log.exists() and log.read_text().count("\n") == 2):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert len(list(store.rglob("index.json"))) == 5
    assert _resumed(store, log, videos) == shards(untouched)


@pytest.fixture
def killable(
    make_video: MakeVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[Path], Path]:
    """Two videos of three shards a stage, and what an uninterrupted run makes of them."""
    monkeypatch.setattr(store_module, "SHARD_FRAMES", FEW)
    videos = [make_video("first.mp4", frames=70), make_video("second.mp4", frames=90)]
    run(videos, tmp_path / "untouched")
    return videos, tmp_path / "untouched"


def _resumed(store: Path, log: Path, videos: list[Path]) -> dict[str, bytes]:
    """Run again, see that nothing finished is done again, and return all that is stored."""
    finished = len(list(store.rglob("bright-*/index.json")))
    begun = log.read_text().count("\n") if log.exists() else 0
    rows = run(videos, store, pose_estimator=replace(BRIGHT, part=Bright(log)))
    assert sum(row.status == "cached" for row in rows if row.stage == "bright") == finished
    assert log.read_text().count("\n") - begun == 2 - finished
    assert not list(store.rglob("*.partial"))
    return shards(store)


def _extraction(store: Path, log: Path, videos: list[Path], **how: float) -> subprocess.Popen:
    arguments = [str(how.get("kill_at_write", 0)), str(how.get("pause_s", 0))]
    command = [sys.executable, __file__, str(store), str(log), *arguments, *map(str, videos)]
    return subprocess.Popen(command)


def _be_killed_at_write(number: int) -> None:
    """Die by SIGKILL around the n-th commit: half written before, or renamed after."""
    settle, count = files.settle, 0

    def deadly(path: Path, partial: Path) -> None:
        nonlocal count
        count += 1
        if 2 * count - 1 == number:
            os.truncate(partial, partial.stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        settle(path, partial)
        if 2 * count == number:
            os.kill(os.getpid(), signal.SIGKILL)

    files.settle = deadly


if __name__ == "__main__":
    store_module.SHARD_FRAMES = FEW
    _be_killed_at_write(int(sys.argv[3]))
    bright = replace(BRIGHT, part=Bright(Path(sys.argv[2]), float(sys.argv[4])))
    run(map(Path, sys.argv[5:]), Path(sys.argv[1]), pose_estimator=bright)

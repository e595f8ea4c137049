"""What upkeep promises: damage is found and named, and nothing goes that somebody may need."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from emoframe.core.errors import DataError
from emoframe.perception.entries import entries, with_reads
from emoframe.perception.index import DamagedError, read_index
from emoframe.perception.inventory import stage_folders, video_folders
from emoframe.perception.ledger import Ledger
from emoframe.perception.store import Stage, Store, StoreError
from emoframe.perception.upkeep import Finding, gc, stats, verify

A, B, KEY, OTHER = "aa" * 32, "bb" * 32, "cd" * 32, "ef" * 32


def write(
    root: Path, video: str = A, name: str = "pose", key: str = KEY, frames: int = 10
) -> Stage:
    stage = Store(root).stage(video, name, key)
    x = np.random.default_rng(0).random((frames, 2), np.float32)
    stage.write([{"x": x}], {"video": "a.mp4", "valid": {"face": 0.5, "hands": 0.25}})
    return stage


def unfinished(root: Path, age_s: float = 0.0, video: str = A) -> Path:
    """Leave what a kill leaves: a folder with a shard and no index."""
    folder = write(root, video, "killed").folder
    (folder / "index.json").unlink()
    then = folder.stat().st_mtime - age_s
    for path in (*folder.iterdir(), folder):
        os.utime(path, (then, then))
    return folder


def wrong(root: Path) -> list[Finding]:
    return [one for one in verify(root) if not one.harmless]


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_a_store_as_it_was_written_verifies(tmp_path: Path) -> None:
    with Store(tmp_path).lock(A):
        write(tmp_path, frames=5000)
    Store(tmp_path).stage(B, "pose", KEY).fail("nobody was found", {})
    with Ledger(tmp_path) as ledger:
        ledger.sample("d", "one", Path("a.mp4"), A)
        assert list(verify(tmp_path)) == []
    with pytest.raises(DataError, match="there is no store here"):
        next(iter(verify(tmp_path / "absent")))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("flip", "shard-00001.safetensors has changed since it was written; delete this folder"),
        ("cut", "shard-00001.safetensors has changed since it was written; delete this folder"),
        ("delete", "shard-00001.safetensors cannot be read (No such file or directory); delete"),
        ("index", "its index.json is no index of a stage (Unterminated"),
        ("path", "its index.json is no index of a stage (shards.0.file: String should match"),
        ("other key", "its index.json belongs to pose-efefefefefefefef; delete this folder"),
    ],
)
def test_a_damaged_stage_is_named_with_what_to_do(tmp_path: Path, damage: str, says: str) -> None:
    stage = write(tmp_path, frames=3000)
    write(tmp_path, B)
    shard, index = stage.folder / "shard-00001.safetensors", stage.folder / "index.json"
    content, text = bytearray(shard.read_bytes()), index.read_text()
    content[-1] ^= 1
    {
        "flip": lambda: shard.write_bytes(content),
        "cut": lambda: shard.write_bytes(content[:-100]),
        "delete": shard.unlink,
        "index": lambda: index.write_text(text[:100]),
        "path": lambda: index.write_text(text.replace("shard-00000", "../../../etc/passwd")),
        "other key": lambda: index.write_text(text.replace(KEY, OTHER)),
    }[damage]()
    found = wrong(tmp_path)
    assert {one.path for one in found} >= {stage.folder}
    assert says in str(found[0])
    assert str(found[0]).startswith(f"{stage.folder}: ")
    assert "delete this folder and extract again" in found[0].text
    assert all(one.path.is_relative_to(stage.folder) for one in found)


def test_what_a_kill_leaves_is_noted_and_harms_nothing(tmp_path: Path) -> None:
    folder = unfinished(tmp_path)
    (one,) = verify(tmp_path)
    assert (one.path, one.harmless) == (folder, True)
    assert "was left unfinished and counts for nothing" in one.text


def test_files_that_nobody_owns_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path).folder
    strays = [
        tmp_path / "notes.txt",
        folder.parent / "thumbs.db",
        folder / "shard-00007.safetensors",
    ]
    for stray in strays:
        stray.touch()
    (tmp_path / ("c" * 16)).symlink_to(folder.parent)
    assert {one.path for one in wrong(tmp_path)} == {*strays, tmp_path / ("c" * 16)}
    assert all("belongs to no stage" in one.text for one in wrong(tmp_path))


def test_a_damaged_ledger_is_named_and_one_put_aside_is_noted(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "ledger-1-of-2.db").write_bytes(b"no database" * 100)
    (one,) = wrong(tmp_path)
    assert "the next extraction or import begins a new one" in str(one)
    with Ledger(tmp_path, (1, 2)):
        pass
    (one,) = verify(tmp_path)
    assert one.harmless
    assert "put aside" in one.text


def test_a_video_at_which_a_process_works_is_left_for_later(tmp_path: Path) -> None:
    unfinished(tmp_path)
    with Store(tmp_path).lock(A):
        (one,) = verify(tmp_path)
    assert (one.harmless, one.text) == (True, "a process works here; verify again later")


def test_verifying_reads_files_piece_by_piece(tmp_path: Path) -> None:
    stage = Store(tmp_path).stage(A, "pose", KEY)
    stage.write([{"x": np.zeros((1000, 8000), np.float32)}], {})
    tracemalloc.start()
    assert list(verify(tmp_path)) == []
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**21 < 2**24 < (stage.folder / "shard-00000.safetensors").stat().st_size


def test_gc_says_what_would_go_and_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path)
    old = write(tmp_path, key=OTHER).folder
    killed = unfinished(tmp_path, age_s=4000)
    before = tree(tmp_path)
    found = gc(tmp_path, {KEY})
    assert [(one.folder, one.why, one.state) for one in found] == [
        (killed, "left unfinished", "found"),
        (old, "made with other settings", "found"),
    ]
    assert found[1].bytes == sum(path.stat().st_size for path in old.iterdir())
    assert tree(tmp_path) == before


def test_gc_deletes_what_no_config_uses_and_keeps_the_rest(tmp_path: Path) -> None:
    kept = [write(tmp_path).folder, write(tmp_path, B, "encoder", "12" * 32).folder]
    Store(tmp_path).stage(A, "pose", OTHER).fail("nobody was found", {})
    unfinished(tmp_path, age_s=4000)
    young = unfinished(tmp_path, video=B)
    with Ledger(tmp_path) as ledger:
        ledger.end(A, "pose", OTHER, "failed", "nobody was found")
    assert {one.state for one in gc(tmp_path, {KEY, "12" * 32}, delete=True)} == {"deleted"}
    left = [folder for video in video_folders(tmp_path) for folder in stage_folders(video)]
    assert left == [*kept, young]
    assert {(one.stage, one.status) for one in entries(tmp_path)} == {
        ("pose", "done"),
        ("encoder", "done"),
    }
    assert wrong(tmp_path) == []


def test_gc_keeps_what_begins_as_named_and_all_that_it_was_made_of(tmp_path: Path) -> None:
    used = {"pose": "1234" + "0" * 60, "crop": "aa" * 32, "detector": "bb" * 32}
    kept = [write(tmp_path, name=name, key=key).folder for name, key in used.items()]
    unknown = write(tmp_path, name="imported", key="5678" + "0" * 60).folder
    goes = write(tmp_path, name="encoder", key=OTHER).folder
    with Ledger(tmp_path) as ledger:
        ledger.settings("pose", used["pose"], {"reads": [used["crop"]]})
        ledger.settings("crop", used["crop"], {"reads": [used["detector"]]})
        ledger.settings("detector", used["detector"], {"reads": [used["crop"], 3, ""]})
        ledger.settings("encoder", OTHER, {"reads": [used["crop"]]})
    assert [one.folder for one in gc(tmp_path, {"1234", "5678" + "0" * 40}, delete=True)] == [goes]
    assert all((folder / "index.json").exists() for folder in (*kept, unknown))


@pytest.mark.parametrize("reads", [None, "cd", 3, {"a": 1}])
def test_settings_from_elsewhere_may_say_anything_of_what_they_read(
    tmp_path: Path, reads: object
) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.settings("pose", KEY, {"reads": reads})
        ledger.settings("other", OTHER, {})
    assert with_reads(tmp_path, {KEY, OTHER}) == {KEY, OTHER}


def test_gc_touches_nothing_of_a_video_that_is_locked(tmp_path: Path) -> None:
    write(tmp_path, key=OTHER)
    unfinished(tmp_path, age_s=4000)
    with Store(tmp_path).lock(A):
        before = tree(tmp_path)
        assert {one.state for one in gc(tmp_path, {KEY}, delete=True)} == {"in use"}
        assert tree(tmp_path) == before
    assert {one.state for one in gc(tmp_path, {KEY}, delete=True)} == {"deleted"}
    assert (tmp_path / A[:16] / "lock").exists()


def test_gc_never_deletes_all_because_nothing_was_named(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(DataError, match="nothing is to be kept; name a config with --keep"):
        gc(tmp_path, set(), delete=True)


def test_what_cannot_be_deleted_is_a_sentence(tmp_path: Path) -> None:
    write(tmp_path, key=OTHER)
    (tmp_path / A[:16] / "lock").mkdir()
    (tmp_path / A[:16] / f"pose-{OTHER[:16]}" / "index.json").unlink()
    (tmp_path / A[:16] / f"pose-{OTHER[:16]}" / "index.json").mkdir()
    with pytest.raises(StoreError, match="cannot be deleted"):
        gc(tmp_path, {KEY}, delete=True)


def test_stats_sum_up_videos_frames_time_size_and_valid_shares(tmp_path: Path) -> None:
    stages = [write(tmp_path), write(tmp_path, B, frames=30)]
    Store(tmp_path).stage("cc" * 32, "pose", KEY).fail("nobody was found", {})
    write(tmp_path, name="encoder")
    with Ledger(tmp_path) as ledger:
        ledger.sample("d", "one", Path("a.mp4"), A)
        ledger.sample("d", "the same", Path("copy.mp4"), A)
        ledger.refuse("d", "two", Path("two.mp4"), "is empty")
        ledger.end(A, "pose", KEY, "done", seconds=2.0, frames=10)
        ledger.begin("dd" * 32, "pose", KEY)
    refused, encoder, pose = stats(tmp_path, entries(tmp_path))
    assert (refused.stage, refused.failed, refused.bytes) == ("", 1, 0)
    assert (encoder.stage, encoder.done, encoder.frames_per_s) == ("encoder", 1, None)
    assert (pose.done, pose.failed, pose.running, pose.interrupted) == (2, 1, 1, 0)
    assert (pose.frames, pose.seconds, pose.frames_per_s) == (40, 2.0, 5.0)
    assert pose.valid == {"face": 0.5, "hands": 0.25}
    failed = tmp_path / ("c" * 16) / f"pose-{KEY[:16]}" / "index.json"
    files = [path for stage in stages for path in stage.folder.iterdir()]
    assert pose.bytes == sum(path.stat().st_size for path in [*files, failed])


def test_an_index_is_believed_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = write(tmp_path).folder
    index = json.loads((folder / "index.json").read_text())
    for change in (
        {"format": 2},
        {"shards": []},
        {"status": "failed"},
        {"shards": index["shards"] * 2},
        {"name": "../pose"},
        {"key": KEY[:16]},
    ):
        (folder / "index.json").write_text(json.dumps(index | change))
        with pytest.raises(DamagedError, match="is no index of a stage"):
            read_index(folder)
    (folder / "index.json").write_text('{"meta": ' + "[" * 100_000)
    with pytest.raises(DamagedError, match="is no index of a stage"):
        read_index(folder)

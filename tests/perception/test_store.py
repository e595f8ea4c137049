"""What the store promises: a stage is there whole or not at all, and never changed unseen."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from emoframe.core.errors import DataError
from emoframe.perception import store as store_module
from emoframe.perception.index import DamagedError
from emoframe.perception.stages import StageKey
from emoframe.perception.store import Stage, Store, StoreError

HASH, KEY = "ab" * 32, "cd" * 32
Arrays = dict[str, np.ndarray]


def chunks(frames: int, size: int = 100) -> Iterator[Arrays]:
    """Make arrays of all the types that are stored, chunk by chunk."""
    for start in range(0, frames, size):
        n = np.arange(start, min(frames, start + size))
        yield {
            "xy": np.stack([n, np.where(n % 3, n, np.nan)], axis=1).astype(np.float32),
            "valid": n % 3 > 0,
            "time_s": n / 25,
        }


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Store(tmp_path).stage(HASH, "mediapipe", KEY)


def again(stage: Stage) -> Stage:
    """Look at a stage as another process would."""
    return Stage(stage.folder, stage.name, stage.key)


def test_what_was_written_is_read_bit_for_bit(stage: Stage) -> None:
    stage.write(chunks(250), {"video": "a.mp4"})
    read, written = again(stage).read(), next(chunks(250, 250))
    assert {name: array.dtype for name, array in read.items()} == {
        name: array.dtype for name, array in written.items()
    }
    assert all(read[name].tobytes() == written[name].tobytes() for name in written)
    assert again(stage).meta == {"video": "a.mp4"}
    assert (again(stage).status, again(stage).frames) == ("ok", 250)


def test_shards_hold_at_most_2048_frames_however_the_chunks_come(stage: Stage) -> None:
    for size in (100, 3000, 5000):
        stage.write(chunks(5000, size), {})
        index = json.loads((stage.folder / "index.json").read_text())
        assert [shard["frames"] for shard in index["shards"]] == [2048, 2048, 904]
        assert [len(shard["time_s"]) for shard in again(stage).shards()] == [2048, 2048, 904]


def test_the_folder_is_named_by_video_stage_and_key(stage: Stage, tmp_path: Path) -> None:
    assert stage.folder == tmp_path / HASH[:16] / f"mediapipe-{KEY[:16]}"
    stage.write(chunks(1), {})
    names = sorted(file.name for file in stage.folder.iterdir())
    assert names == ["index.json", "shard-00000.safetensors"]


def test_writing_keeps_no_more_than_a_shard_in_memory(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "SHARD_FRAMES", 64)
    given, lead = 0, []

    def counted() -> Iterator[Arrays]:
        nonlocal given
        for chunk in chunks(1000, 16):
            given += 16
            lead.append(given - 64 * len(list(stage.folder.glob("shard-*"))))
            yield chunk

    stage.write(counted(), {})
    assert max(lead) <= 64 + 16


def test_what_makes_the_chunks_may_fill_the_meta_until_the_end(stage: Stage) -> None:
    meta: dict[str, int] = {}

    def counted() -> Iterator[Arrays]:
        yield from chunks(10)
        meta["seen"] = 10

    stage.write(counted(), meta)
    assert again(stage).meta == {"seen": 10}


def test_without_an_index_there_is_no_stage_and_the_next_run_replaces_the_rest(
    stage: Stage,
) -> None:
    def breaks() -> Iterator[Arrays]:
        yield from chunks(3000, 3000)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stage.write(breaks(), {})
    assert list(stage.folder.glob("shard-*"))
    assert not again(stage).exists()
    assert again(stage).status is None
    with pytest.raises(DataError, match="no such stage; run emoframe extract"):
        again(stage).read()
    stage.write(chunks(10), {})
    assert len(list(stage.folder.iterdir())) == 2
    assert again(stage).frames == 10


def test_writing_again_takes_the_old_result_away_first(stage: Stage) -> None:
    stage.write(chunks(10), {})

    def breaks() -> Iterator[Arrays]:
        assert not again(stage).exists()
        yield from chunks(1)
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        stage.write(breaks(), {})
    assert not again(stage).exists()


def test_a_failure_is_remembered_with_its_reason_and_holds_no_data(stage: Stage) -> None:
    stage.write(chunks(10), {})
    stage.fail("no person was found in any of 10 frames", {"video": "a.mp4"})
    failed = again(stage)
    assert (failed.status, failed.frames) == ("failed", 0)
    assert failed.reason == "no person was found in any of 10 frames"
    assert [file.name for file in stage.folder.iterdir()] == ["index.json"]
    with pytest.raises(DataError, match="the stage failed: no person was found"):
        failed.read()


@pytest.mark.parametrize("damage", ["flip", "cut", "delete"])
def test_a_damaged_shard_is_refused(stage: Stage, damage: str) -> None:
    stage.write(chunks(3000), {})
    shard = stage.folder / "shard-00001.safetensors"
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    if damage == "delete":
        shard.unlink()
    else:
        shard.write_bytes(content if damage == "flip" else content[:-100])
    with pytest.raises(DamagedError, match=r"shard-00001.*delete this folder and extract again"):
        again(stage).read()


@pytest.mark.parametrize(
    "content",
    [
        '{"format"',
        "null",
        "[]",
        "{}",
        "3",
        '{"format": 1, "key": "' + KEY + '"}',
        "\xff",
        "[" * 9**5,
    ],
)
def test_an_index_that_is_none_is_damage_whatever_is_asked_of_it(
    stage: Stage, content: str
) -> None:
    stage.write(chunks(3), {})
    (stage.folder / "index.json").write_text(content, encoding="latin-1")
    for ask in ("status", "reason", "frames", "meta"):
        with pytest.raises(
            DamagedError, match=r"index\.json is no.*delete this folder and extract"
        ):
            getattr(again(stage), ask)
    for use in (again(stage).exists, again(stage).read):
        with pytest.raises(DamagedError, match="is no index of a stage"):
            use()


@pytest.mark.parametrize("part", ["status", "reason", "shards", "meta"])
def test_an_index_that_lacks_a_part_is_damage(stage: Stage, part: str) -> None:
    stage.write(chunks(3), {})
    file = stage.folder / "index.json"
    index = json.loads(file.read_text())
    for changed in (None, 3):
        file.write_text(json.dumps(index | {part: changed}))
        with pytest.raises(DamagedError, match=rf"\({part}: "):
            again(stage).exists()
    del index[part]
    file.write_text(json.dumps(index))
    with pytest.raises(DamagedError, match=rf"\({part}: Field required\)"):
        again(stage).exists()


def test_an_index_of_another_key_is_damage(stage: Stage) -> None:
    stage.write(chunks(3), {})
    other = Stage(stage.folder, stage.name, KEY[:16] + "0" * 48)
    with pytest.raises(DamagedError, match=r"index\.json belongs to something else"):
        other.exists()


def test_meta_is_free_and_may_lack_anything(stage: Stage) -> None:
    stage.write(chunks(3), {})
    assert (again(stage).status, again(stage).meta) == ("ok", {})


def test_a_stage_without_a_frame_is_not_written(stage: Stage) -> None:
    with pytest.raises(ValueError, match="mediapipe made no frame at all"):
        stage.write(iter(()), {})
    assert not again(stage).exists()


def test_a_shard_that_cannot_be_read_is_damage(stage: Stage) -> None:
    stage.write(chunks(3), {})
    shard = stage.folder / "shard-00000.safetensors"
    shard.unlink()
    shard.mkdir()
    with pytest.raises(DamagedError, match="shard-00000.* cannot be read .*delete this folder"):
        again(stage).read()


def test_a_full_disk_is_a_sentence(stage: Stage) -> None:
    stage.folder.parent.mkdir(parents=True)
    stage.folder.write_text("a file where the folder should be")
    with pytest.raises(StoreError, match="the store cannot be written"):
        stage.write(chunks(3), {})


def test_a_shard_holds_no_code(stage: Stage) -> None:
    stage.write(chunks(3), {})
    content = (stage.folder / "shard-00000.safetensors").read_bytes()
    size = int.from_bytes(content[:8], "little")
    assert set(json.loads(content[8 : 8 + size])) == {"xy", "valid", "time_s"}


def test_the_key_changes_with_all_that_a_result_depends_on_and_with_nothing_else() -> None:
    key = _key({"a": 1, "b": 2}, {"av": "18"}, {"w": "00"}, ["k"])
    assert key == _key({"b": 2, "a": 1}, {"av": "18"}, {"w": "00"}, ["k"])
    changed = {
        _key({"a": 1, "b": 3}, {"av": "18"}, {"w": "00"}, ["k"]),
        _key({"a": 1, "b": 2}, {"av": "19"}, {"w": "00"}, ["k"]),
        _key({"a": 1, "b": 2}, {"av": "18"}, {"w": "01"}, ["k"]),
        _key({"a": 1, "b": 2}, {"av": "18"}, {"w": "00"}, ["l"]),
    }
    assert len(changed | {key}) == 5


def test_one_video_is_worked_at_by_one_process_at_a_time(tmp_path: Path) -> None:
    store, order = Store(tmp_path), []

    def other() -> None:
        with store.lock(HASH):
            order.append("second")

    with store.lock(HASH):
        thread = threading.Thread(target=other)
        thread.start()
        time.sleep(0.1)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def _key(
    config: dict[str, object], versions: dict[str, str], weights: dict[str, str], reads: list[str]
) -> str:
    content = {"config": config, "versions": versions, "fingerprint": weights, "reads": reads}
    return StageKey("any", content).key

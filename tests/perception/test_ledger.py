"""What the ledger promises: it remembers beside the stages, survives a kill, and decides nothing.

Run as a script, this file is the writer that a test kills.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from emoframe.core.errors import DataError
from emoframe.perception import ledger as ledger_module
from emoframe.perception.entries import (
    Entry,
    entries,
    find_hash,
    items,
    settings_of,
    standing,
)
from emoframe.perception.ledger import Ledger, check
from emoframe.perception.store import Stage, Store, StoreError

A, B, KEY, OTHER = "aa" * 32, "bb" * 32, "cd" * 32, "ef" * 32


def write(root: Path, video: str = A, name: str = "pose", key: str = KEY) -> Stage:
    stage = Store(root).stage(video, name, key)
    stage.write([{"x": np.zeros((10, 2), np.float32)}], {"video": "a.mp4", "valid": {"face": 0.5}})
    return stage


def summary(root: Path) -> list[tuple[str, str, str, str]]:
    return [(one.dataset, one.id, one.stage, one.status) for one in entries(root)]


def video_of(number: int) -> str:
    return f"{number:016x}" + "0" * 48


def gone_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_was_told_is_remembered_with_when_where_and_how_long(tmp_path: Path) -> None:
    write(tmp_path)
    before = time.time()
    with Ledger(tmp_path) as ledger:
        ledger.sample("imigue", "0001", Path("/data/a.mp4"), A)
        ledger.begin(A, "pose", KEY)
        ledger.end(A, "pose", KEY, "done", seconds=2.5, frames=10, valid={"face": 0.5})
    (one,) = entries(tmp_path)
    assert one.started is not None
    assert one.finished is not None
    assert before <= one.started <= one.finished <= time.time()
    assert one == Entry(
        "imigue", "0001", "/data/a.mp4", A, "pose", KEY, "done", "", 2.5, 10, {"face": 0.5},
        one.started, one.finished, os.uname().nodename, os.getpid(),
    )  # fmt: skip


def test_stages_that_no_ledger_knows_are_told_of_all_the_same(tmp_path: Path) -> None:
    write(tmp_path)
    Store(tmp_path).stage(B, "pose", KEY).fail("nobody was found", {"video": "b.mp4"})
    done, failed = entries(tmp_path)
    assert (done.video_hash, done.key, done.status) == (A[:16], KEY, "done")
    assert (done.video, done.frames, done.valid) == ("a.mp4", 10, {"face": 0.5})
    assert (failed.status, failed.reason, failed.seconds) == ("failed", "nobody was found", 0.0)


def test_where_ledger_and_disk_differ_the_disk_is_right(tmp_path: Path) -> None:
    write(tmp_path)
    with Ledger(tmp_path) as ledger:
        ledger.begin(A, "pose", KEY)  # killed between the index and the end
        ledger.end(B, "pose", KEY, "done", frames=3)  # and its folder was deleted
    (one,) = entries(tmp_path)
    assert (one.video_hash[:16], one.status, one.frames) == (A[:16], "done", 10)


def test_a_failure_that_the_store_was_not_to_remember_is_told_of_until_it_is_forgotten(
    tmp_path: Path,
) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.end(A, "pose", KEY, "failed", "the stage before it is damaged")
        (one,) = entries(tmp_path)
        assert (one.status, one.reason) == ("failed", "the stage before it is damaged")
        ledger.forget(A, "pose", KEY)
        assert entries(tmp_path) == []


def test_what_a_gone_process_was_running_is_interrupted(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.begin(A, "pose", KEY)
        ledger.begin(B, "pose", KEY)
    assert [one.status for one in entries(tmp_path)] == ["running", "running"]
    with sqlite3.connect(tmp_path / "ledger.db") as db:
        db.execute("UPDATE work SET pid = ? WHERE video_hash = ?", (gone_process(), A))
        db.execute("UPDATE work SET host = 'elsewhere', pid = 1 WHERE video_hash = ?", (B,))
    assert [one.status for one in entries(tmp_path)] == ["interrupted", "running"]


def test_ledgers_of_shards_are_merged_and_the_newest_word_counts(tmp_path: Path) -> None:
    with Ledger(tmp_path, (1, 2)) as first, Ledger(tmp_path, (2, 2)) as second:
        first.sample("d", "one", Path("one.mp4"), A)
        second.sample("d", "two", Path("two.mp4"), B)
        first.settings("pose", KEY, {"config": {"level": 3}})
        second.settings("pose", KEY, {"config": {"level": 3}})
        second.end(A, "pose", KEY, "failed", "out of memory")
        first.end(B, "pose", KEY, "failed", "out of memory")
        first.begin(A, "pose", KEY)
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["ledger-1-of-2.db", "ledger-2-of-2.db"]
    assert summary(tmp_path) == [("d", "one", "pose", "running"), ("d", "two", "pose", "failed")]
    assert settings_of(tmp_path) == {KEY: ("pose", {"config": {"level": 3}})}
    assert (find_hash(tmp_path, "d", "one"), find_hash(tmp_path, "d", "two")) == (A, B)


def test_a_refused_file_is_an_entry_until_the_item_is_a_video(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.refuse("d", "one", Path("/x/one.mp4"), "one.mp4: the file is empty")
        (one,) = entries(tmp_path)
        assert (one.video_hash, one.stage, one.status) == ("", "", "failed")
        assert one.reason == "one.mp4: the file is empty"
        with pytest.raises(DataError, match="'one' of data set 'd' was refused: one.mp4"):
            find_hash(tmp_path, "d", "one")
        ledger.sample("d", "one", Path("/x/one.mp4"), A)
        assert entries(tmp_path) == []
        assert find_hash(tmp_path, "d", "one") == A


def test_an_unknown_item_is_a_sentence_that_says_what_is_known(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.sample("imigue", "0001", Path("a.mp4"), A)
    with pytest.raises(DataError, match=r"no data set 'imige'; did you mean 'imigue'\?"):
        find_hash(tmp_path, "imige", "0001")
    with pytest.raises(DataError, match=r"no item of data set 'imigue' '0002'; did you mean '0001"):
        find_hash(tmp_path, "imigue", "0002")


def test_of_a_video_that_was_replaced_the_newest_word_counts(tmp_path: Path) -> None:
    write(tmp_path, A)
    with Ledger(tmp_path, (1, 2)) as first, Ledger(tmp_path, (2, 2)) as second:
        first.sample("d", "one", Path("a.mp4"), A)
        second.sample("d", "one", Path("a.mp4"), B)
        assert find_hash(tmp_path, "d", "one") == B
        assert [one.video_hash for one in standing(tmp_path)] == [B]
        second.sample("d", "one", Path("a.mp4"), A)
        assert find_hash(tmp_path, "d", "one") == A
        second.refuse("d", "one", Path("a.mp4"), "there is no such file")
        second.refuse("d", "two", Path("b.mp4"), "there is no such file")
        assert find_hash(tmp_path, "d", "one") == A
        assert [one.id for one in standing(tmp_path)] == ["one"]


def test_only_two_videos_of_which_none_is_newer_are_a_sentence(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.sample("d", "one", Path("a.mp4"), A)
        ledger.sample("d", "one", Path("b.mp4"), B)
        ledger.sample("e", "two", Path("b.mp4"), B)
    with sqlite3.connect(tmp_path / "ledger.db") as db:
        db.execute("UPDATE sample SET at = 1.0")
    for ask in (lambda: find_hash(tmp_path, "d", "one"), lambda: standing(tmp_path)):
        with pytest.raises(DataError, match=r"2 different videos .*no ledger knows which is newer"):
            ask()
    assert [one.id for one in standing(tmp_path, "e")] == ["two"]
    write(tmp_path, B)
    assert find_hash(tmp_path, "d", "one") == B


def test_features_of_another_file_of_the_same_name_and_id_are_refused(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.sample("manifest", "1", Path("/x/smile.mp4"), A)
    assert find_hash(tmp_path, "manifest", "1", file="smile.mp4") == A
    assert find_hash(tmp_path, "manifest", "1", file="/elsewhere/smile.mp4") == A
    with pytest.raises(DataError, match=r"'1' of data set 'manifest' as 'smile.mp4', so that .*"):
        find_hash(tmp_path, "manifest", "1", file="frown.mp4")


def test_what_is_known_already_is_not_written_again(tmp_path: Path) -> None:
    def words() -> list[tuple[str, str]]:
        return [(one.video, one.video_hash) for one in items(tmp_path)]

    with Ledger(tmp_path) as ledger:
        ledger.sample("d", "one", Path("a.mp4"), A)
        before = (tmp_path / "ledger.db").read_bytes()
        ledger.sample("d", "one", Path("a.mp4"), A)
        assert (tmp_path / "ledger.db").read_bytes() == before
        ledger.sample("d", "one", Path("moved/a.mp4"), A)
        assert words() == [("moved/a.mp4", A)]
        ledger.refuse("d", "one", Path("a.mp4"), "is empty")
        assert words()[-1] == ("a.mp4", "")
        ledger.sample("d", "one", Path("moved/a.mp4"), A)
        assert words()[-1] == ("moved/a.mp4", A)


def test_one_video_may_be_several_items(tmp_path: Path) -> None:
    write(tmp_path)
    with Ledger(tmp_path) as ledger:
        ledger.sample("d", "one", Path("a.mp4"), A)
        ledger.sample("e", "two", Path("copy.mp4"), A)
    assert [(one.dataset, one.id, one.video) for one in entries(tmp_path)] == [
        ("d", "one", "a.mp4"),
        ("e", "two", "copy.mp4"),
    ]


@pytest.mark.parametrize("name", ["a\nb \u00e9\U0001f600.mp4", os.fsdecode(b"caf\xe9.mp4")])
def test_any_name_of_a_file_can_be_remembered(tmp_path: Path, name: str) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.sample("d", name, Path(name), A)
    assert find_hash(tmp_path, "d", name, file=name) == A
    stage = Store(tmp_path).stage(A, "pose", KEY)
    stage.fail(f"{name}: is empty", {"video": name})
    (one,) = entries(tmp_path)
    assert one.reason.encode().endswith(b".mp4: is empty")


@pytest.mark.parametrize("damage", ["text", "cut", "page", "foreign"])
def test_a_damaged_ledger_is_put_aside_and_the_disk_still_says_what_is_done(
    tmp_path: Path, damage: str
) -> None:
    write(tmp_path)
    file = tmp_path / "ledger.db"
    with Ledger(tmp_path) as ledger:
        ledger.sample("d", "one", Path("a.mp4"), A)
        for n in range(40):
            ledger.end(B, f"stage{n}", KEY, "done", "", 1.0)
    content = file.read_bytes()
    if damage == "foreign":
        file.unlink()
        with sqlite3.connect(file) as db:
            db.executescript("CREATE TABLE other (x); PRAGMA user_version = 1")
    else:
        broken = {"text": b"no database" * 100, "cut": content[:5000]}
        file.write_bytes(broken.get(damage, content[:4096] + os.urandom(4096) + content[8192:]))
    with pytest.raises(DataError, match=r"ledger\.db: the ledger is damaged"):
        check(file)
    assert [one.status for one in entries(tmp_path)] == ["done"]
    with Ledger(tmp_path) as ledger:
        ledger.sample("d", "one", Path("a.mp4"), A)
    check(file)
    assert (tmp_path / "ledger.db.damaged").exists()
    assert summary(tmp_path) == [("d", "one", "pose", "done")]


def test_a_ledger_as_empty_as_a_kill_leaves_it_is_none(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").touch()
    check(tmp_path / "ledger.db")
    assert entries(tmp_path) == []
    with Ledger(tmp_path) as ledger:
        ledger.sample("d", "one", Path("a.mp4"), A)
    assert len(items(tmp_path)) == 1


def test_a_ledger_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    with Ledger(tmp_path), sqlite3.connect(tmp_path / "ledger.db") as db:
        db.execute("PRAGMA user_version = 2")
    for use in (lambda: Ledger(tmp_path).__enter__(), lambda: entries(tmp_path)):
        with pytest.raises(DataError, match="written by a newer emoframe"):
            use()


def test_a_store_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where the folder should be")
    with pytest.raises(StoreError, match="the ledger cannot be written"):
        Ledger(tmp_path / "store").__enter__()
    with pytest.raises(DataError, match="there is no store here"):
        entries(tmp_path / "absent")


def test_a_full_disk_is_a_sentence_and_the_ledger_stays_readable(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.sample("d", "one", Path("a.mp4"), A)
    size = (tmp_path / "ledger.db").stat().st_size
    done = subprocess.run(
        [sys.executable, __file__, str(tmp_path), str(size + 8192)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "StoreError" in done.stderr
    assert "the ledger cannot be written" in done.stderr
    check(tmp_path / "ledger.db")
    assert find_hash(tmp_path, "d", "one") == A


@pytest.mark.parametrize("writes", [1, 5, 40, 41, 90])
def test_a_kill_in_the_middle_of_writing_leaves_a_readable_ledger(
    tmp_path: Path, writes: int
) -> None:
    writer = subprocess.Popen(
        [sys.executable, __file__, str(tmp_path), "0"], stdout=subprocess.PIPE
    )
    assert writer.stdout is not None
    for _ in range(writes):
        writer.stdout.readline()
    writer.kill()
    assert writer.wait() == -signal.SIGKILL
    check(tmp_path / "ledger.db")
    found = entries(tmp_path)
    assert writes <= len(found) <= writes + 20
    assert {one.status for one in found} <= {"failed", "interrupted"}
    with Ledger(tmp_path) as ledger:
        ledger.end(video_of(0), "pose", KEY, "failed", "afterwards")
    assert entries(tmp_path)[0].reason == "afterwards"


def test_a_transaction_that_a_kill_left_half_done_is_rolled_back_by_the_reader(
    tmp_path: Path,
) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.sample("d", "one", Path("a.mp4"), A)
    code = (
        "import os, sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "db.execute('PRAGMA cache_size = 1')\n"
        "db.execute('BEGIN')\n"
        "db.execute('DELETE FROM sample')\n"
        "for n in range(5000):\n"
        "    db.execute('INSERT INTO setting VALUES (?, ?, ?)', (str(n), 'x' * 100, ''))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "ledger.db")], check=False)
    assert (tmp_path / "ledger.db-journal").exists()
    assert find_hash(tmp_path, "d", "one") == A
    assert settings_of(tmp_path) == {}


def test_threads_and_processes_may_write_at_the_same_time(tmp_path: Path) -> None:
    def write_ten(ledger: Ledger, first: int) -> None:
        for n in range(first, first + 10):
            ledger.end(video_of(n), "pose", KEY, "failed", str(n))

    with Ledger(tmp_path) as one, Ledger(tmp_path) as other:
        threads = [
            threading.Thread(target=write_ten, args=(ledger, 10 * n))
            for n, ledger in enumerate([one, one, other, other])
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [one.reason for one in entries(tmp_path)] == [str(n) for n in range(40)]


def test_settings_are_kept_whole(tmp_path: Path) -> None:
    content = {"config": {"type": "yolo", "weights": Path("/w/y.pt")}, "reads": [OTHER]}
    with Ledger(tmp_path) as ledger:
        ledger.settings("yolo", KEY, content)
        ledger.settings("yolo", KEY, {})
    expected = {"config": {"type": "yolo", "weights": "/w/y.pt"}, "reads": [OTHER]}
    assert settings_of(tmp_path) == {KEY: ("yolo", expected)}
    assert json.loads(json.dumps(settings_of(tmp_path)))


def test_a_ledger_that_is_not_open_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="use it as `with Ledger"):
        Ledger(tmp_path).begin(A, "pose", KEY)
    assert ledger_module.ledgers(tmp_path) == []


if __name__ == "__main__":
    if limit := int(sys.argv[2]):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    with Ledger(Path(sys.argv[1])) as book:
        for number in range(10_000):
            book.begin(video_of(number), "pose", KEY)
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()
            book.end(video_of(number), "pose", KEY, "failed", "x" * 200)

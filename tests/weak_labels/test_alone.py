"""What a lock promises: nobody asks the same twice, everybody else goes on, and a kill frees it.

Run as a script, this file is the other process.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from emoframe.core.errors import DataError
from emoframe.weak_labels.asking.alone import alone

PROMPT, LABELER = "ab" * 32, "cd" * 32


def take(store: Path) -> None:
    with alone(store, PROMPT, LABELER):
        pass


def test_another_process_keeps_this_one_off_until_it_is_gone(tmp_path: Path) -> None:
    store = tmp_path / "new" / "labels.sqlite"
    command = [sys.executable, __file__, str(store), PROMPT, LABELER]
    other = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert other.stdout
    assert other.stdout.readline() == "locked\n"
    with pytest.raises(DataError, match="another process asks this labeler the same"):
        take(store)
    with alone(store, PROMPT, "ef" * 32), alone(store, "12" * 32, LABELER):
        pass
    other.kill()
    other.wait()
    take(store)


def test_threads_of_one_process_are_kept_off_too(tmp_path: Path) -> None:
    store = tmp_path / "labels.sqlite"
    with alone(store, PROMPT, LABELER):
        with pytest.raises(DataError, match="asks this labeler the same"):
            take(store)
        take(tmp_path / "other.sqlite")
    take(store)


def test_what_ends_frees_only_its_own(tmp_path: Path) -> None:
    """Closing any handle of a file drops all that a process has locked of it."""
    store = tmp_path / "labels.sqlite"
    with alone(store, PROMPT, LABELER):
        with alone(store, PROMPT, "ef" * 32):
            pass
        other = subprocess.run(
            [sys.executable, __file__, str(store), PROMPT, LABELER], capture_output=True, text=True
        )
    assert "another process asks this labeler the same" in other.stderr


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        take(tmp_path / "file" / "labels.sqlite")


if __name__ == "__main__":
    with alone(Path(sys.argv[1]), *sys.argv[2:4]):
        sys.stdout.write("locked\n")
        sys.stdout.flush()
        time.sleep(600)

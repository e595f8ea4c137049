"""No clip of a killed process stays on the disk, and none of a living one is taken away."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from emoframe.label import Which, label
from emoframe.weak_labels.shown.folder import clear_folders, own_folder

MakeVideo = Callable[..., Path]
SHOWING = """
import sys
from pathlib import Path
from emoframe.labelling import Show
from emoframe.weak_labels.shown.clips import opened

with opened(Path(sys.argv[1]), Show(frames="one")) as clip:
    print(clip.path, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files of this test alone."""
    folder = tmp_path / "room"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def showing(video: Path) -> tuple[subprocess.Popen[str], Path]:
    """Start a process that shows a clip until it is told to end; return the file that it shows."""
    command = [sys.executable, "-c", SHOWING, str(video)]
    process = subprocess.Popen(command, stdin=-1, stdout=-1, text=True)
    assert process.stdout
    return process, Path(process.stdout.readline().strip())


def test_the_next_run_deletes_what_a_killed_one_was_showing(
    make_video: MakeVideo, room: Path, tmp_path: Path
) -> None:
    video, _ = make_video("whole.mp4"), make_video("other.mp4")
    killed, left = showing(video)
    alive, kept = showing(video)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert left.is_file() and kept.is_file()
    others = room / "emoframe-clip+mine", room / "emoframe-clip+elsewhere+1+boot:1+x"
    for folder in others:
        folder.mkdir()
    (tmp_path / "videos.csv").write_text(
        "video,label,split\nwhole.mp4,a,train\nother.mp4,b,train\n"
    )
    store = f"weak_labels.store={tmp_path / 'labels.sqlite'}"
    settings = [f"dataset.path={tmp_path / 'videos.csv'}", store]
    label("videos", [*settings, "weak_labels.vlm_labeler={type: simulated}"], Which("train"))
    assert not left.parent.exists()
    assert kept.is_file(), "its process lives"
    assert all(folder.is_dir() for folder in others), "nobody knows that they were left"
    alive.communicate("")
    assert not kept.parent.exists()


def test_a_folder_goes_with_its_block_and_a_link_is_never_followed(
    room: Path, tmp_path: Path
) -> None:
    with own_folder() as folder:
        (folder / "film.mp4").touch()
        clear_folders()
        assert (folder / "film.mp4").exists()
    assert not folder.exists()
    mine = tmp_path / "mine"
    mine.mkdir()
    link = room / f"emoframe-clip+{socket.gethostname()}+1+boot:1+x"
    link.symlink_to(mine)
    clear_folders()
    assert link.is_symlink() and mine.is_dir()

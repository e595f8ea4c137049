"""What decoding promises: every frame, upright, at its time, in little memory; or an error."""

from __future__ import annotations

import gc
import hashlib
import os
import struct
import tempfile
import weakref
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from emoframe.core.errors import DataError
from emoframe.perception import video
from emoframe.perception.video import probe, read, video_hash

MakeVideo = Callable[..., Path]


def levels(path: Path) -> list[int]:
    """Number of each frame, read off its grey level."""
    return [round(int(rgb[-1, 0, 0]) / 4) for frames in read(path) for rgb in frames.rgb]


def cut(path: Path, share: float) -> Path:
    """Keep the first share of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def fate(path: Path) -> str:
    """Say what became of reading a file."""
    try:
        return f"{sum(map(len, read(path)))} frames"
    except DataError as error:
        return "truncated" if "truncated" in str(error) else str(error)


def test_every_frame_comes_once_and_in_order(make_video: MakeVideo) -> None:
    path = make_video(frames=40)
    assert levels(path) == list(range(40))
    assert [len(frames) for frames in read(path, chunk=16)] == [16, 16, 8]
    index = np.concatenate([frames.index for frames in read(path, chunk=16)])
    assert index.tolist() == list(range(40))


def test_times_are_those_of_the_file_even_where_the_rate_changes(make_video: MakeVideo) -> None:
    times = [0.0, 0.04, 0.08, 0.5, 0.54, 1.2]
    frames = next(read(make_video(frames=6, times=times)))
    assert frames.time_s == pytest.approx(times)


@pytest.mark.parametrize("name", ["clip.mkv", "clip.avi", "clip.ts", "clip.gif"])
def test_other_formats_are_read_whole(make_video: MakeVideo, name: str) -> None:
    path = make_video(name, frames=20)
    frames = list(read(path))
    assert sum(map(len, frames)) == 20
    assert frames[0].time_s[:3] == pytest.approx([0, 0.04, 0.08])


def test_a_picture_that_is_to_be_turned_arrives_upright(make_video: MakeVideo) -> None:
    path = make_video(frames=3)
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 44  # ISO 14496-12: the display matrix of a version 0 header
    content[matrix : matrix + 36] = struct.pack(
        ">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 48 << 16, 0, 1 << 30
    )  # a quarter turn clockwise
    path.write_bytes(content)
    upright = next(read(path)).rgb
    assert upright.shape == (3, 64, 48, 3)
    assert upright[0, :12, 24:36].mean() > 200  # the square was at the left, above the middle
    assert (probe(path).width, probe(path).height) == (48, 64)


def test_only_one_chunk_is_alive_however_long_the_video_is(make_video: MakeVideo) -> None:
    path = make_video(frames=600)
    alive: list[weakref.ref] = []
    chunks = read(path, chunk=32)
    for number in range(600 // 32):
        frames = next(chunks)
        alive.append(weakref.ref(frames))
        gc.collect()
        assert [ref() is not None for ref in alive] == [False] * number + [True]
        base = frames.rgb.base if frames.rgb.base is not None else frames.rgb
        assert base.nbytes <= 32 * 48 * 64 * 3
        del frames, base


def test_large_pictures_come_in_smaller_chunks(
    make_video: MakeVideo, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_video(frames=10)
    monkeypatch.setattr(video, "CHUNK_BYTES", 4 * 48 * 64 * 3 + 1)
    assert [len(frames) for frames in read(path)] == [4, 4, 2]


def test_a_video_says_what_it_is(make_video: MakeVideo) -> None:
    info = probe(make_video(frames=25))
    assert (info.width, info.height, info.frames_estimate) == (64, 48, 25)
    assert info.fps == pytest.approx(25)
    assert info.duration_s == pytest.approx(1.0)


def test_the_hash_is_that_of_the_bytes(make_video: MakeVideo) -> None:
    path = make_video()
    assert video_hash(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    make_video(frames=31)  # the same path, written again
    assert video_hash(path) == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("ask", [video_hash, probe, lambda path: next(read(path))])
def test_missing_and_empty_files_are_named(tmp_path: Path, ask: Callable[[Path], object]) -> None:
    with pytest.raises(DataError, match=r"gone\.mp4: there is no such file"):
        ask(tmp_path / "gone.mp4")
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(DataError, match=r"empty\.mp4: the file is empty"):
        ask(tmp_path / "empty.mp4")


def test_something_else_than_a_video_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.mp4"
    path.write_text("no video at all, only words " * 99)
    with pytest.raises(DataError, match=r"notes\.mp4: cannot be read as a video"):
        list(read(path))


def test_a_name_is_never_taken_for_an_address(
    make_video: MakeVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("concat:a|b.mp4", "http:x.mp4", "pipe:0", "-i.mp4", "%d.mp4"):
        make_video("clip.mp4").rename(name)
        assert fate(Path(name)) == "30 frames"


def test_a_list_of_other_files_is_refused(make_video: MakeVideo, tmp_path: Path) -> None:
    make_video()
    path = tmp_path / "list.mp4"
    path.write_text("ffconcat version 1.0\nfile clip.mp4\n")
    with pytest.raises(DataError, match=r"list\.mp4: is text or a list of other files \(concat\)"):
        probe(path)


def test_a_reason_is_one_line_whatever_the_file_is_called(tmp_path: Path) -> None:
    for name, shown in (("a\nb.mp4", r"a\nb.mp4"), ("c\udcff.mp4", r"c\udcff.mp4")):
        (tmp_path / name).touch()
        with pytest.raises(DataError) as caught:
            video_hash(tmp_path / name)
        assert f"{shown}: the file is empty" in str(caught.value)
        assert str(caught.value).isprintable()


@pytest.mark.skipif(not hasattr(os, "setresuid"), reason="no user can be changed here")
def test_a_file_that_may_not_be_read_is_named(make_video: MakeVideo) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = make_video().rename(Path(folder) / "locked.mp4")
        path.chmod(0)
        Path(folder).chmod(0o755)
        assert "locked.mp4: may not be read by you; ask" in fate_for_nobody(path)
        Path(folder).chmod(0)
        assert "(Permission denied); mend the path" in fate_for_nobody(path)
        Path(folder).chmod(0o700)


def fate_for_nobody(path: Path) -> str:
    """Say what becomes of reading a file without the rights of root, who may read everything."""
    if os.geteuid() != 0:
        return fate(path)
    try:
        os.setresuid(65534, 65534, 0)
    except OSError:
        pytest.skip("cannot become another user")
    try:
        return fate(path)
    finally:
        os.setresuid(0, 0, 0)


def test_sound_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "talk.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(DataError, match=r"talk\.wav: has no moving pictures, only audio"):
        list(read(path))


def test_a_video_without_frames_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25, width=64, height=48)
        stream.codec_context.time_base = Fraction(1, 25)
        container.start_encoding()
    with pytest.raises(DataError, match=r"none\.avi: holds no frames"):
        list(read(path))


@pytest.mark.parametrize("share", [0.9, 0.7, 0.3])
def test_a_video_whose_table_of_contents_is_cut_off_is_refused(
    make_video: MakeVideo, share: float
) -> None:
    with pytest.raises(DataError, match=r"clip\.mp4: .*truncated"):
        list(read(cut(make_video(), share)))


@pytest.mark.parametrize("share", [0.9, 0.75, 0.5, 0.2])
@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.avi", "clip.gif"])
def test_a_truncated_video_never_passes_for_a_shorter_one(
    make_video: MakeVideo, name: str, share: float
) -> None:
    options = {"movflags": "faststart"} if name == "clip.mp4" else {}
    path = cut(make_video(name, frames=60, **options), share)
    assert fate(path) in ("60 frames", "truncated")  # all, where only what follows them is cut


def test_a_break_says_where_it_is(make_video: MakeVideo) -> None:
    path = make_video(frames=60, movflags="faststart")
    with pytest.raises(DataError, match=r"clip\.mp4: is truncated or damaged after byte \d+"):
        list(read(cut(path, 0.8)))


def test_a_picture_that_changes_its_size_is_refused(make_video: MakeVideo, tmp_path: Path) -> None:
    parts = [make_video("a.ts", frames=5), make_video("b.ts", frames=5, size=(96, 48))]
    path = tmp_path / "both.h264"
    path.write_bytes(b"".join(_elementary(part) for part in parts))
    with pytest.raises(DataError, match=r"changes from 64x48 to 96x48 pixels at frame 5"):
        list(read(path))


def _elementary(path: Path) -> bytes:
    with av.open(str(path)) as container:
        return b"".join(bytes(packet) for packet in container.demux(video=0))


def test_real_clips_are_read_to_the_last_frame(shared: Path) -> None:
    counts = {
        path.name: sum(map(len, read(path))) for path in (shared / "media").glob("imigue_*.gif")
    }
    assert counts == {"imigue_folding-arms.gif": 43, "imigue_rubbing-eyes.gif": 49}

"""Decoding: a video file becomes chunks of frames, one after the other, in bounded memory.

PyAV (FFmpeg) decodes. Frames are upright (rotation metadata is applied) and carry their true
presentation time, because clips are of any frame rate and some have none that is constant. A chunk
holds at most `CHUNK_BYTES`, so that memory depends on neither the length nor the size of a picture.

A broken file must never look like a shorter whole one, and FFmpeg ends quietly at many a break. So
four things are checked: errors and corrupt flags of the decoder, the times going backwards, the
length that the container promises, and the trailer of a GIF, which promises no length. Two things
stay unseen: what FFmpeg conceals inside a picture, and the cut of a streaming format (transport
stream, fragmented MP4), which nothing in the file tells from a shorter recording.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.error
import numpy as np
from av.stream import Disposition

from emoframe.core.errors import DataError
from emoframe.records import Frames

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

CHUNK_BYTES = 128 * 2**20
GIF_TRAILER = b";"
TOLERATED_FRAMES, TOLERATED_S = 3, 0.1
"""How much longer a container may say that it is, the larger of both: encoders round."""


@dataclass(frozen=True)
class VideoInfo:
    """What a video file says of itself.

    Attributes:
        path: The file.
        width: Width of the upright picture in pixels.
        height: Height of the upright picture in pixels.
        fps: Mean frame rate in frames per second; None where the file gives none.
        frames_estimate: Number of frames as the file or its length suggests; None where unknown.
        duration_s: Length in seconds; None where unknown.
    """

    path: Path
    width: int
    height: int
    fps: float | None
    frames_estimate: int | None
    duration_s: float | None


def video_hash(path: Path) -> str:
    """Return the sha256 of a file's bytes in hex: the identity of a video, whatever its name.

    Raises:
        DataError: The file is missing, empty or cannot be read.
    """
    _check(path)
    stat = path.stat()
    try:
        return _sha256(path.resolve(), stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


@functools.lru_cache(maxsize=4096)
def _sha256(path: Path, size: int, mtime_ns: int) -> str:  # noqa: ARG001
    """Hash a file once, until it is written again: training asks for it every epoch."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def probe(path: Path) -> VideoInfo:
    """Read what a video says of itself, and decode its first frame to see that it is one.

    Raises:
        DataError: The file is missing, empty, not a video, or its first frame cannot be decoded.
    """
    with _opened(path) as (container, stream):
        rate = stream.average_rate or stream.guessed_rate
        fps = float(rate) if rate else None
        duration = container.duration / av.time_base if container.duration else None
        frames = stream.frames or (round(duration * fps) if duration and fps else None)
    first = next(read(path, chunk=1))
    height, width = first.rgb.shape[1:3]
    return VideoInfo(path, width, height, fps, frames, duration)


def read(path: Path, chunk: int = 64) -> Iterator[Frames]:
    """Decode a video chunk by chunk; no more than one chunk is held.

    Args:
        path: The video.
        chunk: Most frames per chunk; fewer where they would not fit into `CHUNK_BYTES`.

    Yields:
        Consecutive frames; times in seconds since the start of the file, numbers from 0.

    Raises:
        DataError: The file is missing, empty, not a video, has no frames, changes its picture size
            or ends before its end. Frames given before that are not a whole video.
    """
    with _opened(path) as (container, stream):
        frames = _frames(path, container, stream)
        index = 0
        for rgb, time_s in frames:
            room = max(1, min(chunk, CHUNK_BYTES // rgb.nbytes))
            held, size = _fill(path, chain([(rgb, time_s)], frames), room, rgb.shape, index)
            yield Frames(held[0][:size], held[1][:size], np.arange(index, index + size))
            del held, rgb  # so that the reader's is the only reference while the next one fills
            index += size
    if index == 0:
        raise DataError(f"{path}: holds no frames; give another video")


def _fill(
    path: Path,
    frames: Iterator[tuple[NDArray[np.uint8], float]],
    room: int,
    shape: tuple[int, ...],
    index: int,
) -> tuple[tuple[NDArray[np.uint8], NDArray[np.float64]], int]:
    """Collect up to `room` frames and say how many there were."""
    held = np.empty((room, *shape), np.uint8), np.empty(room)
    size = 0
    for rgb, time_s in frames:
        if rgb.shape != shape:
            (height, width), (now_h, now_w) = shape[:2], rgb.shape[:2]
            raise DataError(
                f"{path}: the picture changes from {width}x{height} to {now_w}x{now_h} pixels at "
                f"frame {index + size}; convert it to one size"
            )
        held[0][size], held[1][size] = rgb, time_s
        size += 1
        if size == room:
            break
    return held, size


def _frames(
    path: Path, container: InputContainer, stream: VideoStream
) -> Iterator[tuple[NDArray[np.uint8], float]]:
    """Decode upright frames with their time, and fail where the file breaks."""
    start = (container.start_time or 0) / av.time_base
    count, last = 0, -np.inf
    promise = _Promise(container, stream)
    try:
        for packet in container.demux():
            promise.note(packet)
            if packet.stream is not stream:
                continue
            for frame in stream.decode(packet):
                if packet.is_corrupt or frame.is_corrupt:
                    raise _broken(path, count, "a frame is damaged")
                time_s = count * promise.step_s if frame.time is None else frame.time - start
                if time_s < last:
                    raise _broken(path, count, f"time goes back from {last:.3f} to {time_s:.3f} s")
                yield _upright(frame), time_s
                count, last = count + 1, time_s
    except av.error.FFmpegError as error:
        raise _broken(path, count, error.strerror or "unknown") from error
    if lacking := promise.broken():
        raise _broken(path, count, lacking)


class _Promise:
    """Compares the length that a container states with what was found in it."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self.step_s = 1 / float(stream.average_rate or stream.guessed_rate or 25)
        stated_s = (container.duration or 0) / av.time_base
        self.length_s = max(stated_s, stream.frames * self.step_s)  # AVI counts, others measure
        self.end_s = 0.0

    def note(self, packet: Packet) -> None:
        """Remember one packet of any stream: sound often lasts longer than the pictures."""
        time = packet.dts if packet.pts is None else packet.pts
        if time is not None and packet.time_base is not None:
            self.end_s = max(self.end_s, float((time + (packet.duration or 0)) * packet.time_base))

    def broken(self) -> str:
        """Say what is lacking at the end of the file; nothing where the promise was kept."""
        if self.end_s >= self.length_s - max(TOLERATED_FRAMES * self.step_s, TOLERATED_S):
            return ""
        return f"it should last {self.length_s:.2f} s and ends after {self.end_s:.2f} s"


def _broken(path: Path, count: int, why: str) -> DataError:
    return DataError(
        f"{path}: is truncated or damaged after {count} frames ({why}); get a whole copy, "
        "or convert what is left of it into a new file"
    )


def _upright(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """Convert to RGB and turn as the rotation metadata says (counter-clockwise degrees)."""
    rgb = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    return np.rot90(rgb, round(frame.rotation / 90) % 4) if frame.rotation else rgb


def _check(path: Path) -> None:
    """Refuse what is no file before FFmpeg says so in its own words."""
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty (0 bytes); copy it again")


@contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file and find its moving pictures; the cover of a song is none."""
    _check(path)
    try:
        container = av.open(str(path))
    except av.error.FFmpegError as error:
        raise DataError(
            f"{path}: cannot be read as a video ({error.strerror}); it is truncated or something "
            "else, get a whole copy"
        ) from error
    with container:
        cover = Disposition.attached_pic
        videos = [s for s in container.streams.video if not s.disposition & cover]
        if not videos:
            kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
            raise DataError(
                f"{path}: has no moving pictures, only {kinds}; give a video, "
                "or a whole copy where it is truncated"
            )
        if container.format.name == "gif":
            _check_trailer(path)
        yield container, videos[0]


def _check_trailer(path: Path) -> None:
    """Refuse a GIF without its last byte (GIF89a, section 27); some writers pad after it."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 64))
        if not file.read().rstrip(b"\0\r\n ").endswith(GIF_TRAILER):
            raise DataError(f"{path}: is truncated (its last byte is missing); get a whole copy")

"""Decoding: a video file becomes chunks of frames, one after the other, in bounded memory.

PyAV (FFmpeg) decodes. Frames are upright (rotation metadata is applied) and carry their true
presentation time, because clips are of any frame rate and some have none that is constant. A chunk
holds at most `CHUNK_BYTES`, so that memory depends on neither the length nor the size of a picture.

A broken file must never look like a shorter whole one, and FFmpeg ends quietly at many a break. So
these are checked: errors and corrupt flags of the decoder, a key frame at the start, times that go
back, the length in seconds and bytes that the container promises, and the blocks of a GIF. Unseen
stays what FFmpeg conceals inside a picture or leaps over between two, and the cut of a streaming
format (transport stream, fragmented MP4) between two of its packets. A video is one file, known by
its hash: no network is reached, lists of other files and text painted as pictures are refused.
"""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import PictureType
from numpy.typing import NDArray

from emoframe.core.errors import DataError
from emoframe.core.files import file_hash
from emoframe.records import Frames

Decoded = Iterator[tuple[NDArray[np.uint8], float]]
CHUNK_BYTES = 128 * 2**20
TOLERATED_FRAMES, TOLERATED_S = 3, 0.1  # missing at the end, the larger of both: encoders round
MAX_PIXELS = 2**25  # 8K; a file of a few bytes may claim far more, and fill the memory
TEXT_FORMATS = {"concat", "dash", "hls", "imf", "sdp", "tty", "bin", "xbin", "adf", "idf", "vobsub"}
EBML_BLOCKS = (b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67")  # the header, the segment
ISO_BOXES = set(b"ftyp moov mdat free skip wide moof mfra sidx styp uuid meta udta".split())


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
    try:
        return file_hash(path)
    except OSError as error:
        raise _error(path, f"cannot be read ({error.strerror}); copy it again") from error


def probe(path: Path) -> VideoInfo:
    """Read what a video says of itself, and decode its first frame to see that it is one.

    Raises:
        DataError: The file is missing, empty, not a video, or its first frame cannot be decoded.
    """
    with _opened(path) as (container, stream):
        fps = float(stream.average_rate or stream.guessed_rate or 0) or None
        duration = container.duration / av.time_base if container.duration else None
        frames = stream.frames or (round(duration * fps) if duration and fps else None)
    _, height, width, _ = next(read(path, chunk=1)).rgb.shape
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
        frames, index = _frames(path, container, stream), 0
        for rgb, time_s in frames:
            room = max(1, min(chunk, CHUNK_BYTES // rgb.nbytes))
            held, size = _fill(path, chain([(rgb, time_s)], frames), room, rgb.shape, index)
            yield Frames(held[0][:size], held[1][:size], np.arange(index, index + size))
            del held, rgb  # so that the reader's is the only reference while the next one fills
            index += size
    if index == 0:
        raise _error(path, "holds no frames that can be shown; give another video")


def _fill(
    path: Path, frames: Decoded, room: int, shape: tuple[int, ...], index: int
) -> tuple[tuple[NDArray[np.uint8], NDArray[np.float64]], int]:
    """Collect up to `room` frames and say how many there were."""
    held = np.empty((room, *shape), np.uint8), np.empty(room)
    size = 0
    for rgb, time_s in frames:
        if rgb.shape != shape:
            (height, width), (now_h, now_w) = shape[:2], rgb.shape[:2]
            change = f"from {width}x{height} to {now_w}x{now_h} pixels at frame {index + size}"
            raise _error(path, f"the picture changes {change}; convert it to one size")
        held[0][size], held[1][size] = rgb, time_s
        size += 1
        if size == room:
            break
    return held, size


def _frames(path: Path, container: InputContainer, stream: av.VideoStream) -> Decoded:
    """Decode upright frames with their time, and fail where the file breaks."""
    start = (container.start_time or 0) / av.time_base
    count, last = 0, -np.inf
    promise = _Promise(container, stream)
    try:
        for packet in container.demux():
            promise.note(packet)
            for frame in stream.decode(packet) if packet.stream is stream else ():
                time_s = count * promise.step_s if frame.time is None else frame.time - start
                if flaw := promise.flaw(packet, frame):
                    raise _broken(path, f"{count} frames", flaw)
                if time_s < last:
                    raise _broken(path, f"{count} frames", f"time goes back to {time_s:.3f} s")
                yield _upright(frame), time_s
                count, last = count + 1, time_s
    except av.FFmpegError as error:
        raise _broken(path, f"{count} frames", error.strerror or "unknown") from error
    if lacking := promise.broken():
        raise _broken(path, f"{count} frames", lacking)


class _Promise:
    """Compares what a container promises with what is found in it."""

    def __init__(self, container: InputContainer, stream: av.VideoStream) -> None:
        self.stream, self.keyed = stream, False
        self.step_s = 1 / float(stream.average_rate or stream.guessed_rate or 25)
        self.length_s = (container.duration or 0) / av.time_base
        if container.format.name == "avi":  # its duration is guessed, but it counts its frames
            self.length_s = max(self.length_s, stream.frames * self.step_s)
        self.start_s, self.end_s = min(0, (container.start_time or 0) / av.time_base), 0.0

    def note(self, packet: av.Packet) -> None:
        """Remember one packet of any stream: sound often lasts longer than the pictures."""
        time = packet.dts if packet.pts is None else packet.pts
        if time is not None and packet.time_base is not None:
            end_s = float((time + (packet.duration or 0)) * packet.time_base)
            self.end_s = max(self.end_s, end_s - self.start_s)
        self.keyed |= packet.stream is self.stream and packet.is_keyframe

    def flaw(self, packet: av.Packet, frame: av.VideoFrame) -> str:
        """Say what is wrong with a frame; nothing where it is sound."""
        if packet.is_corrupt or frame.is_corrupt:
            return "a frame is damaged"
        keyless = not self.keyed and frame.pict_type in (PictureType.P, PictureType.B)
        return "it begins without a key frame" if keyless else ""

    def broken(self) -> str:
        """Say what is lacking at the end of the file; nothing where the promise was kept."""
        if self.end_s >= self.length_s - max(TOLERATED_FRAMES * self.step_s, TOLERATED_S):
            return ""
        return f"it should last {self.length_s:.2f} s and ends after {self.end_s:.2f} s"


def _error(path: Path, text: str) -> DataError:
    """Name the file in one line of plain text, whatever its name holds."""
    name = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(path))
    return DataError(f"{name}: {text}")


def _broken(path: Path, where: str, why: str) -> DataError:
    advice = "get a whole copy, or convert what is left of it into a new file"
    return _error(path, f"is truncated or damaged after {where} ({why}); {advice}")


def _upright(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """Convert to RGB and turn as the rotation metadata says (counter-clockwise degrees)."""
    rgb = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    return np.rot90(rgb, round(frame.rotation / 90) % 4) if frame.rotation else rgb


def _check(path: Path) -> os.stat_result:
    """Refuse what is no file before FFmpeg says so in its own words."""
    try:
        found = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        why = f"there is no such file at the end of this path ({getattr(error, 'strerror', error)})"
        raise _error(path, f"{why}; mend the path or the link") from error
    if not stat.S_ISREG(found.st_mode):
        raise _error(path, "is a folder or a device and no file; give the videos in it")
    if not os.access(path, os.R_OK):
        raise _error(path, "may not be read by you; ask its owner for leave (chmod +r)")
    if found.st_size == 0:
        raise _error(path, "the file is empty (0 bytes); copy it again")
    return found


@contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, av.VideoStream]]:
    """Open a file and find its moving pictures; the cover of a song is none."""
    _check(path)
    try:
        container = av.open(f"file:{path}", options={"protocol_whitelist": "file"})
    except av.FFmpegError as error:
        advice = "it is truncated or something else, get a whole copy"
        raise _error(path, f"cannot be read as a video ({error.strerror}); {advice}") from error
    with container:
        _check_end(path, container.format.name)
        yield container, _pictures(path, container)


def _pictures(path: Path, container: InputContainer) -> av.VideoStream:
    """Return the first stream of moving pictures, if it can be decoded."""
    if (kind := container.format.name) in TEXT_FORMATS:
        raise _error(path, f"is text or a list of other files ({kind}); give the video itself")
    videos = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not videos:
        kinds = {"a cover" if s.type == "video" else s.type for s in container.streams} or {
            "nothing"
        }
        only = f"has no moving pictures, only {', '.join(sorted(kinds))}"
        raise _error(path, f"{only}; give a video, or a whole copy where it is truncated")
    if not (codec := videos[0].codec_context):
        raise _error(path, "is coded in a way for which there is no decoder; convert it to H.264")
    if codec.width * codec.height > MAX_PIXELS:
        raise _error(path, "has pictures of more than 8192x4096 pixels; scale them down to that")
    return videos[0]


def _check_end(path: Path, kind: str) -> None:
    """Refuse a file that ends before the end that its outermost blocks state."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        size, end = len(content), _gif_end(content) if kind == "gif" else 0
        while end < size and (step := _block_bytes(kind, content[end : end + 16])):
            end += step
        if end > size:
            raise _broken(path, f"byte {size}", f"{end - size} more should follow")
        if kind == "gif" and content[end : end + 1] != b";":
            raise _broken(path, f"byte {end}", "what follows leads to no last picture")


def _gif_end(content: mmap.mmap) -> int:
    """Return where the blocks of a GIF end: at its trailer, if it is whole (GIF89a, section 17)."""
    tables = {128 + bits: 6 << bits for bits in range(8)}  # bytes of a table of colours
    at = 13 + tables.get(content[10] & 135, 0)
    while (kind := content[at : at + 1]) in (b"!", b",") and at + 11 < len(content):
        at += 2 if kind == b"!" else 11 + tables.get(content[at + 9] & 135, 0)
        while at < len(content) and content[at]:
            at += content[at] + 1
        at += 1
    return min(at, len(content))


def _block_bytes(kind: str, head: bytes) -> int:
    """Return the length of the block that begins so (ISO 14496-12, RIFF, RFC 8794); 0: unknown."""
    if kind.startswith("mov") and head[4:8] in ISO_BOXES:
        return int.from_bytes(head[8:16] if head[:4] == b"\0\0\0\1" else head[:4])
    if kind == "avi" and head[:4] == b"RIFF" and head[4:8] != b"\xff" * 4:
        return int.from_bytes(head[4:8], "little")  # some count these 8 bytes, some do not
    if kind.startswith("matroska") and head[:4] in EBML_BLOCKS:
        width = 9 - head[4].bit_length()
        stated, unknown = int.from_bytes(head[4 : 4 + width]), (2 << 7 * width) - 1
        return 0 if stated == unknown else 4 + width + (stated & unknown >> 1)
    return 0

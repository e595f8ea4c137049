"""Writing pictures as an MP4 that tells nothing but them: no title, no time, no place.

Decided here: the same pictures give the same bytes, by one build of FFmpeg, so that a file that was
sent before is known again. That takes a fixed number of threads, and x264 without its macroblock
tree, which gave other bytes once in a thousand times.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import av
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import Colorspace

from emoframe.core.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rgb = NDArray[np.uint8]

Codec = Literal["libx264", "mpeg4"]
H264: Codec = "libx264"
SILENT = {"fflags": "+bitexact", "movflags": "+faststart"}
X264 = {"preset": "veryfast", "crf": "20", "x264-params": "threads=2:mbtree=0"}
TICKS = 30_000
"""Ticks a second in written videos: exact at 25, 30, 50, 60 and 29.97 frames; MPEG-4 takes few
more."""


def encode(
    pictures: Iterable[tuple[Rgb, float]],
    out: Path,
    still_s: float = 0.04,
    codecs: Sequence[Codec] = (H264,),
) -> None:
    """Encode pictures at their true times.

    Args:
        pictures: Each with its time in seconds; all of one size, of which odd sides grow by a row.
        out: The MP4 file to write.
        still_s: Seconds that a single picture is shown; else the last is as long as the one before.
        codecs: Names of encoders, of which the first is taken that this build of FFmpeg has.

    Raises:
        DataError: There is no room for the file, or no encoder in this build of FFmpeg.
    """
    codec = next((name for name in codecs if name in av.codecs_available), None)
    if codec is None:
        raise DataError(
            f"this build of PyAV has no encoder {' or '.join(codecs)}; `pip install av` brings it"
        )
    options = X264 if codec == H264 else {}
    try:
        with av.open(str(out), "w", format="mp4", options=SILENT) as container:
            stream = cast("av.VideoStream", container.add_stream(codec, rate=25, options=options))
            last, step = -1, 0
            for rgb, time_s in pictures:
                frame = av.VideoFrame.from_ndarray(_even(rgb), format="rgb24")
                if last < 0:
                    _shape(stream, frame)
                frame.pts = max(last + 1, round(time_s * TICKS))
                frame.time_base = Fraction(1, TICKS)
                step, last = frame.pts - last if last >= 0 else round(still_s * TICKS), frame.pts
                _put(container, stream.encode(frame), step)
            _put(container, stream.encode(None), step)
    except (av.FFmpegError, OSError) as error:
        raise DataError(
            f"{out.parent}: a video could not be written here ({error.strerror}); make room, or "
            "set TMPDIR to a folder that has some where this is the one for temporary files"
        ) from error


def _shape(stream: av.VideoStream, frame: av.VideoFrame) -> None:
    codec = stream.codec_context
    stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuv420p"
    codec.time_base = Fraction(1, TICKS)
    codec.colorspace = Colorspace.ITU601  # what RGB is converted to; else HD is taken for BT.709


def _put(container: OutputContainer, packets: Iterable[av.Packet], step: int) -> None:
    for packet in packets:
        packet.duration = step  # counts for the last one alone: others have a next
        container.mux(packet)


def _even(rgb: Rgb) -> Rgb:
    """Repeat the last row or column where their number is odd: 4:2:0 takes even sides only."""
    height, width = rgb.shape[:2]
    if height % 2 or width % 2:
        rgb = np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.ascontiguousarray(rgb)

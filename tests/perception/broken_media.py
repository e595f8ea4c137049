"""Broken and odd media files, made on the spot, each with what must become of it.

Small pictures of a red person in front of noise, who stands upright where a file is read as it
should be; what is wrong with each file is in its name. Nothing but PyAV is needed. Also a script:
`python tests/perception/broken_media.py FOLDER` writes all of them, to try a tool by hand.
"""

from __future__ import annotations

import io
import os
import struct
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition
from PIL import Image

FRAMES, SIZE = 24, (64, 48)
FORMATS = {"mkv": "matroska", "ts": "mpegts"}
RED, BLUE, WHITE = (230, 20, 20), (20, 20, 230), (240, 240, 240)
Scene = Callable[[int, int, int], np.ndarray]
Make = Callable[[Path], object]


@dataclass(frozen=True)
class Case:
    """One file and what must become of it.

    Attributes:
        make: Makes it at a path.
        frames: Number of frames that must be stored, or the numbers that may be; None: it fails.
        size: Width and height of the upright picture in pixels.
        left: Where the person begins in the first frame, as a share of the width.
        reason: What the sentence must match if it fails.
        note: Why nothing else can be expected, where one would.
    """

    make: Make
    frames: int | range | None = None
    size: tuple[int, int] = SIZE
    left: float = 0.25
    reason: str = ""
    note: str = ""


def done(
    content: Callable[[], bytes],
    frames: int | range = FRAMES,
    size: tuple[int, int] = SIZE,
    left: float = 0.25,
    note: str = "",
) -> Case:
    """Describe a file that is odd and must be read in full."""
    return Case(lambda path: path.write_bytes(content()), frames, size, left, note=note)


def failed(content: Callable[[], bytes], reason: str) -> Case:
    """Describe a file that must be refused."""
    return Case(lambda path: path.write_bytes(content()), reason=reason)


def backdrop(n: int, width: int, height: int) -> np.ndarray:
    """Paint dark noise, which no encoder makes tiny, (H, W, 3)."""
    noise = np.random.default_rng(n).integers(0, 40, (height, width, 1), dtype=np.uint8)
    return np.repeat(noise, 3, axis=2)


def stand(rgb: np.ndarray, left: float, colour: tuple[int, int, int] = RED) -> np.ndarray:
    """Paint a person, a fifth of the picture wide, at a share of the width; and return it."""
    height, width = rgb.shape[:2]
    x, right, y = int(left * width), int((left + 0.2) * width), int(0.25 * height)
    rgb[y : max(y + 1, int(0.9 * height)), x : max(x + 1, right)] = colour
    return rgb


def person(n: int, width: int, height: int) -> np.ndarray:
    return stand(backdrop(n, width, height), 0.25)


def pale(n: int, width: int, height: int) -> np.ndarray:
    return stand(backdrop(n, width, height), 0.25, WHITE)


def crossing(n: int, width: int, height: int) -> np.ndarray:
    rgb = stand(backdrop(n, width, height), 0.75 - 0.7 * n / FRAMES, BLUE)
    return stand(rgb, 0.05 + 0.7 * n / FRAMES)


def leaving(n: int, width: int, height: int) -> np.ndarray:
    rgb = backdrop(n, width, height)
    return stand(rgb, 0.25 + 0.1 * n) if n < FRAMES // 3 else rgb


def hard_cuts(n: int, width: int, height: int) -> np.ndarray:
    first = n // 6 % 2 == 0
    return stand(backdrop(n, width, height), 0.1 if first else 0.7, RED if first else BLUE)


def film(
    kind: str = "mp4",
    scene: Scene = person,
    *,
    frames: int = FRAMES,
    size: tuple[int, int] = SIZE,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    step: int = 40,
    times: Sequence[int] = (),
    turn: int = 0,
    codec_options: dict[str, str] | None = None,
    **options: str,
) -> bytes:
    """Make one video stream.

    Args:
        kind: Name of the container.
        scene: Paints frame n of an upright picture.
        frames: How many, where `times` does not say.
        size: Width and height as coded.
        codec: Name of the encoder.
        pix_fmt: Name of the pixel format.
        step: Milliseconds from frame to frame.
        times: Milliseconds of each frame instead.
        turn: Degrees by which a player must turn the picture counter-clockwise.
        codec_options: For the encoder.
        **options: For the container.
    """
    width, height = size[::-1] if turn % 180 else size
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made"
        with av.open(str(path), "w", format=FORMATS.get(kind, kind), options=options) as container:
            stream = container.add_stream(
                codec, Fraction(1000, step), width=size[0], height=size[1]
            )
            stream.pix_fmt = pix_fmt
            fast = {"g": "8", "preset": "ultrafast", "crf": "12"} if codec == "libx264" else {}
            stream.options = fast | (codec_options or {})
            stream.codec_context.time_base = Fraction(1, 1000)
            if turn:
                stream.set_display_rotation(turn)
            for n, time in enumerate(times or range(0, frames * step, step)):
                rgb = np.ascontiguousarray(np.rot90(scene(n, width, height), -turn // 90))
                frame = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format=pix_fmt)
                frame.pts, frame.time_base = time, Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path.read_bytes()


def sound(kind: str = "wav", codec: str = "pcm_s16le") -> bytes:
    """Make a second of a humming voice."""
    content = io.BytesIO()
    with av.open(content, "w", format=FORMATS.get(kind, kind)) as container:
        stream = container.add_stream(codec, rate=16000, layout="mono")
        wave = np.int16(9000 * np.sin(np.arange(16000) / 9))[None]
        frame = av.AudioFrame.from_ndarray(wave, "s16", "mono")
        frame.sample_rate = 16000
        resampled = av.AudioResampler(stream.format, "mono", 16000, stream.frame_size or None)
        for piece in [*resampled.resample(frame), *resampled.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return content.getvalue()


def joined(kind: str, *contents: bytes, drop_keys: bool = False, cover: bool = False) -> bytes:
    """Put the streams of several files into one, as they are."""
    content = io.BytesIO()
    with av.open(content, "w", format=FORMATS.get(kind, kind)) as container:
        sources = [av.open(io.BytesIO(one)) for one in contents]
        streams = [container.add_stream_from_template(one.streams[0]) for one in sources]
        if cover:
            streams[-1].disposition = Disposition.attached_pic
        container.start_encoding()
        for source, stream in zip(sources, streams, strict=True):
            for packet in source.demux(source.streams[0]):
                if packet.dts is not None and not (drop_keys and packet.is_keyframe):
                    packet.stream = stream
                    container.mux(packet)
    return content.getvalue()


def cut(content: bytes, share: float) -> bytes:
    return content[: int(len(content) * share)]


def without(content: bytes, start: float, count: int, fill: bytes = b"") -> bytes:
    """Take bytes out, or overwrite them."""
    first = int(len(content) * start)
    return content[:first] + fill * count + content[first + count :]


def patched(content: bytes, old: bytes, new: bytes, offset: int = 0) -> bytes:
    """Overwrite bytes at an offset from a mark."""
    at = content.index(old) + offset
    return content[:at] + new + content[at + len(new) :]


def cut_at_packet(content: bytes, number: int) -> bytes:
    """Cut where a packet begins, so that nothing is half there."""
    with av.open(io.BytesIO(content)) as container:
        positions = [packet.pos for packet in container.demux() if packet.pos is not None]
    return content[: positions[number]]


def flipped(content: bytes, number: int) -> bytes:
    """Overwrite one byte inside a packet."""
    at = len(cut_at_packet(content, number)) + 2000
    return content[:at] + b"\x55" + content[at + 1 :]


def picture(kind: str = "png") -> bytes:
    content = io.BytesIO()
    Image.fromarray(person(0, *SIZE)).save(content, kind)
    return content.getvalue()


def archive() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("clip.mp4", film())
    return content.getvalue()


def gif(**how: int) -> bytes:
    return film("gif", codec="gif", pix_fmt="rgb8", **how)


def avi() -> bytes:
    return film("avi", codec="mpeg4", codec_options={"g": "250", "qmin": "2", "qmax": "2"})


def webm() -> bytes:
    return film("webm", codec="libvpx-vp9", codec_options={"deadline": "realtime", "cpu-used": "8"})


def lossless(size: tuple[int, int] = SIZE, pix_fmt: str = "bgr0", scene: Scene = person) -> bytes:
    return film("mkv", scene, size=size, codec="ffv1", pix_fmt=pix_fmt)


def fragmented() -> bytes:
    return film(movflags="frag_keyframe+empty_moov")


def ready() -> bytes:
    """Make an MP4 whose index comes first, as for the web."""
    return film(movflags="faststart")


def trimmed() -> bytes:
    """Make an MP4 of which an edit list shows half a second from the middle, as phones trim."""
    content = film(codec_options={"g": "4"})
    content = patched(content, b"elst", struct.pack(">Ii", 480, 16000 * 200 // 1000), 12)
    content = patched(content, b"mvhd", struct.pack(">I", 480), 20)
    return patched(content, b"tkhd", struct.pack(">I", 480), 24)


def bomb() -> bytes:
    """Make a GIF of a hundred bytes whose pictures take a gigabyte each."""
    pixel = b"!\xf9\4\0\5\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0"
    size = struct.pack("<HH", 16000, 16000)
    return b"GIF89a" + size + b"\xf0\0\0\0\0\0\xff\xff\xff" + pixel * 3 + b";"


SUBTITLES = b"1\n00:00:00,000 --> 00:00:00,900\nhello\n\n"
LATER = range(FRAMES * 40, 2 * FRAMES * 40, 40)
BROKEN = r"is truncated or damaged after (byte )?\d+"
NO_VIDEO = r"cannot be read as a video .*get a whole copy"
NO_CODEC = r"no decoder; convert it"

CASES: dict[str, Case] = {
    # whole ones, in between, so that they suffer if anything spreads
    "whole.mp4": done(film),
    "whole.mkv": done(lambda: film("mkv")),
    "whole.webm": done(webm),
    "whole.avi": done(avi),
    "whole.gif": done(gif),
    "whole.ts": done(lambda: film("ts")),
    "fragmented.mp4": done(fragmented),
    # truncated
    "cut_index_lost.mp4": failed(lambda: cut(film(), 0.6), NO_VIDEO),
    "cut_index_half.mov": failed(lambda: cut(film("mov"), 0.98), NO_VIDEO),
    "cut_start.mp4": failed(lambda: cut(ready(), 0.1), BROKEN),
    "cut_middle.mp4": failed(lambda: cut(ready(), 0.5), BROKEN),
    "cut_last_byte.mp4": failed(lambda: ready()[:-1], BROKEN),
    "cut_whole_frames.mp4": failed(lambda: cut_at_packet(ready(), 22), BROKEN),
    "cut_middle.mkv": failed(lambda: cut(film("mkv"), 0.5), BROKEN),
    "cut_whole_frames.mkv": failed(lambda: cut_at_packet(film("mkv"), 22), BROKEN),
    "cut_end.webm": failed(lambda: cut(webm(), 0.97), BROKEN),
    "cut_middle.avi": failed(lambda: cut(avi(), 0.5), BROKEN),
    "cut_end.avi": failed(lambda: cut(avi(), 0.97), BROKEN),
    "cut_middle.gif": failed(lambda: cut(gif(), 0.5), BROKEN),
    "cut_header.gif": failed(lambda: gif()[:12], "get a whole copy"),
    "cut_signature.gif": failed(lambda: b"GIF89a", "get a whole copy"),
    "cut_last_byte.gif": failed(lambda: gif()[:-1], BROKEN),
    "cut_middle.ts": failed(lambda: cut(film("ts"), 0.5), BROKEN),
    "cut_last_byte.ts": failed(lambda: film("ts")[:-1], BROKEN),
    "cut_in_fragment.mp4": failed(lambda: cut(fragmented(), 0.5), BROKEN),
    "cut_between_packets.ts": done(
        lambda: cut_at_packet(film("ts"), 12), range(11, 13),
        note="a transport stream does not say how long it is: this is a shorter recording",
    ),
    "cut_between_fragments.mp4": done(
        lambda: (whole := fragmented())[: whole.rindex(b"moof") - 4], 16,
        note="fragments do not say how many follow: this is a shorter recording",
    ),
    # damaged
    "lost_bytes.mp4": failed(lambda: without(ready(), 0.5, 1000), BROKEN),
    "lost_bytes.mkv": failed(lambda: without(film("mkv"), 0.5, 1000), BROKEN),
    "lost_bytes.ts": failed(lambda: without(film("ts"), 0.5, 1000), BROKEN),
    "overwritten.mp4": failed(lambda: without(film(), 0.5, 4000, b"\xa5"), BROKEN),
    "overwritten.webm": failed(lambda: without(webm(), 0.4, 4000, b"\0"), BROKEN),
    "overwritten.gif": failed(lambda: without(gif(), 0.5, 4000, b"\0"), BROKEN),
    "overwritten.ts": failed(lambda: without(film("ts"), 0.5, 2000, b"\xa5"), BROKEN),
    "overwritten_in_packets.mkv": done(
        lambda: without(film("mkv", codec="mjpeg", pix_fmt="yuvj420p"), 0.4, 4000, b"\0"),
        range(10, FRAMES),
        note="FFmpeg leaps to the next good picture; Matroska does not count them: a recording "
        "with a pause is no different",
    ),
    "one_byte_flipped.avi": done(
        lambda: flipped(film("avi", codec="rawvideo"), 12),
        note="nothing in the file tells; all frames are there, and a spot in one is wrong",
    ),
    "junk_follows.mp4": done(lambda: film() + b"junk" * 99),
    "no_key_frame.mp4": failed(lambda: joined("mp4", film(), drop_keys=True), "holds no frames"),
    "no_key_frame.ts": failed(lambda: joined("ts", film(), drop_keys=True), BROKEN),
    "no_key_frame.webm": failed(lambda: joined("webm", webm(), drop_keys=True), BROKEN),
    "no_key_frame.avi": failed(lambda: joined("avi", avi(), drop_keys=True), "without a key frame"),
    "duration_huge.mkv": failed(
        lambda: patched(film("mkv"), b"\x44\x89\x88", struct.pack(">d", 3.6e9), 3),
        "should last 3600000.00 s",
    ),
    "duration_huge.avi": failed(
        lambda: patched(avi(), b"strh", struct.pack("<I", 10**9), 40), "should last"
    ),
    "duration_no_number.mkv": done(
        lambda: patched(film("mkv"), b"\x44\x89\x88", struct.pack(">d", float("nan")), 3),
        note="what is no number promises nothing, and all frames are there",
    ),
    "duration_huge.mp4": done(
        lambda: patched(film(), b"mvhd", struct.pack(">I", 2**31), 20),
        note="the table of frames is what counts in an MP4, and it is whole",
    ),
    "times_back.mkv": failed(
        lambda: patched(lossless(), b"\xe7\x82\x01\xe0", b"\xe7\x82\x00\xa0"), "time goes back"
    ),
    "pasted_together.ts": failed(lambda: film("ts") + film("ts"), "time goes back"),
    "pasted_together.mp4": done(
        lambda: film() + film(frames=9),
        note="what follows the first video is not part of it for any player",
    ),
    "picture_bomb.gif": failed(bomb, "scale them down"),
    # something else
    "empty.mp4": failed(bytes, r"empty \(0 bytes\)"),
    "one_byte.mp4": failed(lambda: b"\0", NO_VIDEO),
    "zeros.mp4": failed(lambda: bytes(50_000), NO_VIDEO),
    "noise.mp4": failed(lambda: np.random.default_rng(0).bytes(50_000), NO_VIDEO),
    "words.mp4": failed(lambda: b"no video at all, only words " * 99, NO_VIDEO),
    "words.txt": failed(lambda: b"no video at all,\nonly words " * 99, "is text"),
    "page.mp4": failed(lambda: b"<!DOCTYPE html><html><body>404</body></html>", NO_VIDEO),
    "pointer.mp4": failed(lambda: b"version https://git-lfs.github.com/spec/v1\noid 1", NO_VIDEO),
    "playlist.mp4": failed(lambda: b"ffconcat version 1.0\nfile whole.mp4\n", "list of other"),
    "playlist.m3u8": failed(
        lambda: b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nwhole.ts\n#EXT-X-ENDLIST\n",
        "list of other files",
    ),
    "archive.mp4": failed(archive, NO_VIDEO),
    "named_wrongly.txt": done(film),
    "still_png.mp4": done(picture, 1, note="a picture is a video of one frame"),
    "still_jpeg.mp4": done(lambda: picture("jpeg"), 1),
    "sound.wav": failed(sound, "no moving pictures, only audio"),
    "sound.mp4": failed(lambda: sound("mp4", "aac"), "no moving pictures, only audio"),
    "song_with_cover.mp3": failed(
        lambda: joined("mp3", sound("mp3", "libmp3lame"), picture(), cover=True),
        "no moving pictures, only a cover, audio",
    ),
    "subtitles.srt": failed(lambda: SUBTITLES, "no moving pictures, only subtitle"),
    "codec_unknown.mp4": failed(lambda: film().replace(b"avc1", b"zzzz"), NO_CODEC),
    "codec_unknown.mkv": failed(lambda: film("mkv").replace(b"/ISO/AVC", b"/ISO/XXX"), NO_CODEC),
    "codec_unknown.avi": failed(lambda: avi().replace(b"FMP4", b"ZZZZ"), NO_CODEC),
    "encrypted.mp4": failed(lambda: film().replace(b"avc1", b"encv"), NO_CODEC),
    # odd, but whole
    "size_changes.ts": failed(
        lambda: film("ts") + film("ts", size=(96, 48), times=LATER), "changes from 64x48 to 96x48"
    ),
    "continued.ts": done(lambda: film("ts") + film("ts", times=LATER), 2 * FRAMES),
    "turned_90.mp4": done(lambda: film(turn=90), size=(48, 64)),
    "turned_180.mp4": done(lambda: film(turn=180)),
    "turned_270.mp4": done(lambda: film(turn=270), size=(48, 64)),
    "turned_90.mkv": done(lambda: film("mkv", turn=90), size=(48, 64)),
    "odd_size.mp4": done(lambda: film(size=(63, 47), pix_fmt="yuv444p"), size=(63, 47)),
    "odd_size.avi": done(lambda: film("avi", size=(63, 47), codec="mpeg4"), size=(63, 47)),
    "size_1x1.mkv": done(lambda: lossless((1, 1)), size=(1, 1)),
    "size_2x2.mkv": done(lambda: lossless((2, 2)), size=(2, 2)),
    "size_4096x16.mp4": done(
        lambda: film(size=(4096, 16), codec_options={"crf": "30"}), size=(4096, 16)
    ),
    "rate_varies.mp4": done(lambda: film(times=(0, 10, 20, 500, 520, 1000)), 6),
    "rate_60.mp4": done(lambda: film(times=[round(n / 0.06) for n in range(FRAMES)])),
    "rate_1.mp4": done(lambda: film(frames=5, step=1000), 5),
    "one_frame.mp4": done(lambda: film(frames=1), 1),
    "one_frame.gif": done(lambda: gif(frames=1), 1),
    "ten_bit.mp4": done(lambda: film(pix_fmt="yuv420p10le")),
    "twelve_bit.mkv": done(lambda: lossless(pix_fmt="yuv420p12le")),
    "grey.mkv": done(lambda: lossless(pix_fmt="gray", scene=pale)),
    "grey_16_bit.mkv": done(lambda: lossless(pix_fmt="gray16le", scene=pale)),
    "alpha.webm": done(lambda: film("webm", codec="libvpx-vp9", pix_fmt="yuva420p")),
    "alpha_prores.mov": done(lambda: film("mov", codec="prores_ks", pix_fmt="yuva444p10le")),
    "alpha_png.mov": done(lambda: film("mov", codec="png", pix_fmt="rgba")),
    "interlaced.mp4": done(lambda: film(codec_options={"flags": "+ilme+ildct"})),
    "b_frames.mp4": done(lambda: film(codec_options={"bf": "2", "preset": "veryfast"})),
    "starts_late.mp4": done(lambda: film(times=range(5000, 5000 + FRAMES * 40, 40))),
    "starts_early.mp4": done(
        lambda: film(times=range(-200, FRAMES * 40 - 200, 40)), FRAMES - 5,
        note="what lies before time 0 is there to decode the rest, and is not shown",
    ),
    "clock_wraps.ts": done(lambda: film("ts", times=range(95443317, 95443317 + FRAMES * 40, 40))),
    "trimmed.mp4": done(trimmed, 12),
    "with_sound.mp4": done(lambda: joined("mp4", sound("mp4", "aac"), film())),
    "sound_lasts_longer.mp4": done(lambda: joined("mp4", film(frames=5), sound("mp4", "aac")), 5),
    "subtitles_first.mkv": done(lambda: joined("mkv", SUBTITLES, film())),
    "two_videos.mp4": done(lambda: joined("mp4", film(), film(size=(96, 64)))),
    # names
    "ünï 视频 \N{GRINNING FACE}.mp4": done(film),
    "two\nlines.mp4": done(film),
    "cut two\nlines.mp4": failed(lambda: cut(ready(), 0.45), BROKEN),
    "not unicode \udcff.mp4": done(film),
    "cut not unicode \udcff.mp4": failed(lambda: cut(ready(), 0.55), BROKEN),
    "-dash.mp4": done(film),
    "concat:a|b.mp4": done(film),
    "frame%03d.png": done(picture, 1),
    " quotes ' \" `$(x)` [b] .mp4": done(film),
    "no_suffix": done(film),
    "n" * 251 + ".mp4": done(film),
    # people
    "nobody.mp4": failed(lambda: film(scene=backdrop), "no person was found"),
    "crossing.mp4": done(lambda: film(scene=crossing), left=0.05),
    "leaving.mp4": done(lambda: film(scene=leaving)),
    "hard_cuts.mp4": done(lambda: film(scene=hard_cuts), left=0.1),
    # no files
    "folder.mp4": Case(Path.mkdir, reason="is a folder .*; give the videos in it"),
    "pipe.mp4": Case(os.mkfifo, reason="a device and no file; give"),
    "gone.mp4": Case(Path.exists, reason="no such file .*; mend"),
    "m" * 300 + ".mp4": Case(str, reason="no such file .*name too long.*; mend"),
    "link.mp4": Case(lambda path: path.symlink_to("whole.mp4"), FRAMES),
    "link_to_nothing.mp4": Case(lambda path: path.symlink_to("gone"), reason="no such file .*link"),
    "link_to_itself.mp4": Case(lambda path: path.symlink_to(path), reason="levels of symbolic"),
}  # fmt: skip


def make_all(folder: Path) -> dict[str, Case]:
    """Make every file in a folder.

    Returns:
        What must become of each, by name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, case in CASES.items():
        case.make(folder / name)
    return CASES


if __name__ == "__main__":
    make_all(Path(sys.argv[1]))

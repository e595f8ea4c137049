"""Copying what a model gets to see: a silent MP4 that says nothing of where it comes from.

A file tells more than its pictures do: its title, where, when and with what it was filmed, what was
said (captions hide between the pictures of H.264), and what was trimmed away but is still inside.
None of this may reach a model or a service.

Decided here:
    * Always H.264 in an MP4, which every service takes. What is that already is copied as it is,
      without what stands between the pictures (SEI and units of private use); all else is decoded,
      which also judges whether the file is whole, and encoded (`emoframe.perception.mp4`). HEVC
      too: its header holds messages.
    * What a player would have to turn or to trim is encoded too, as it plays: services differ in
      what they heed, and what was trimmed away is nobody's business.
    * A copy is not decoded, so damage inside of a picture, which only decoding shows, stays unseen.
"""

from __future__ import annotations

from pathlib import Path

import av
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer
from av.stream import Disposition

from emoframe.perception.mp4 import SILENT

SILENCER = "filter_units=remove_types=0|6|12|24-31"
"""Takes the units of H.264 out that hold no picture: messages (what cameras note down, captions),
stuffing, and those that the standard leaves to anybody's use."""
PLAIN = ("yuv420p", "yuvj420p")
PROMISING = ("mov", "matroska")
"""Containers that say how long they are and what is in them; in others only decoding tells."""
TOLERATED_FRAMES, TOLERATED_S = 3, 0.1  # missing at the end, as in `emoframe.perception.video`


def copy(video: Path, out: Path) -> bool:
    """Copy the moving pictures of a file as they are, and nothing else of it.

    Args:
        video: The source, which `emoframe.perception.video.probe` has accepted.
        out: The MP4 file to write.

    Returns:
        Whether they could be shown so. If not, `out` is of no use, and what is to be seen must be
        decoded, which also says what is wrong with a broken file, and encoded.
    """
    try:
        with av.open(f"file:{video}", options={"protocol_whitelist": "file"}) as source:
            return _copied(source, out)
    except av.FFmpegError:  # broken, or too odd for an MP4; decoding will tell which
        return False


def moving(container: InputContainer) -> av.VideoStream:
    """Return the stream of moving pictures that `emoframe.perception.video` reads."""
    covers = Disposition.attached_pic
    return next(s for s in container.streams.video if not s.disposition & covers)


def _copied(source: InputContainer, out: Path) -> bool:
    """Copy packet by packet, until something is found that cannot be shown so."""
    stream = moving(source)
    codec = stream.codec_context
    whole = source.format.name.startswith(PROMISING)
    if not whole or codec.name != "h264" or codec.pix_fmt not in PLAIN:
        return False
    timing = _Timing(source, stream)
    with av.open(str(out), "w", format="mp4", options=SILENT) as target:
        copied = target.add_stream_from_template(stream)
        copied.metadata.clear()
        silencer, upright = BitStreamFilterContext(SILENCER, stream), False
        for packet in source.demux():
            timing.note(packet)
            if packet.stream is not stream or not packet.size:
                continue
            if not upright:
                turned = [frame.rotation for frame in stream.decode(packet)]
                upright = bool(turned)
                if any(turned):
                    return False
            if not timing.shift(packet):
                return False
            for one in silencer.filter(packet):
                one.stream = copied
                target.mux(one)
        return upright and timing.whole()


class _Timing:
    """Moves the packets of a copy to time 0, and finds what must not or cannot be copied."""

    def __init__(self, source: InputContainer, stream: av.VideoStream) -> None:
        self.stream, self.last, self.end_s = stream, None, 0.0
        self.start_s = (source.start_time or 0) / av.time_base
        self.length_s = (source.duration or 0) / av.time_base
        assert stream.time_base is not None
        self.start = round(self.start_s / stream.time_base)

    def note(self, packet: av.Packet) -> None:
        """Remember where the packets of all streams end, since sound may last longer."""
        if packet.pts is not None and packet.time_base is not None:
            end_s = float((packet.pts + (packet.duration or 0)) * packet.time_base)
            self.end_s = max(self.end_s, end_s - min(0, self.start_s))

    def shift(self, packet: av.Packet) -> bool:
        """Move a packet; say no if it is damaged, trimmed away, or out of order."""
        if packet.pts is None or packet.dts is None or packet.is_corrupt or packet.is_discard:
            return False
        packet.pts, packet.dts = packet.pts - self.start, packet.dts - self.start
        sound = packet.is_keyframe if self.last is None else packet.dts > self.last
        packet.duration = packet.duration or packet.dts - (self.last or 0)  # some do not say
        self.last = packet.dts
        return sound and packet.pts >= 0

    def whole(self) -> bool:
        """Say whether the packets last as long as the file promises."""
        step_s = 1 / float(self.stream.average_rate or self.stream.guessed_rate or 25)
        return self.end_s >= self.length_s - max(TOLERATED_FRAMES * step_s, TOLERATED_S)

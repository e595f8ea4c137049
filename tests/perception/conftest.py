"""Videos made on the spot, so that every test knows what is in each frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

MakeVideo = Callable[..., Path]


@pytest.fixture
def make_video(tmp_path: Path) -> MakeVideo:
    """Write a video in which frame n is grey, of level 4 n, with a white square that moves."""

    def make(
        name: str = "clip.mp4",
        frames: int = 30,
        size: tuple[int, int] = (64, 48),
        times: Sequence[float] | None = None,
        **options: str,
    ) -> Path:
        path = tmp_path / name
        codec = {".gif": "gif", ".avi": "mpeg4"}.get(path.suffix, "libx264")
        with av.open(str(path), "w", options=options) as container:
            stream = container.add_stream(codec, rate=25, width=size[0], height=size[1])
            stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
            stream.options = {} if codec == "gif" else {"g": "10"}
            stream.codec_context.time_base = Fraction(1, 100)
            for n in range(frames):
                frame = av.VideoFrame.from_ndarray(picture(n, size), format="rgb24")
                frame = frame.reformat(format=stream.pix_fmt)
                frame.pts = round(100 * times[n]) if times else 4 * n
                frame.time_base = Fraction(1, 100)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return make


def picture(n: int, size: tuple[int, int]) -> np.ndarray:
    """Paint frame n of a made video, (H, W, 3)."""
    width, height = size
    rgb = np.full((height, width, 3), 4 * n % 200, np.uint8)
    left = n % (width - 12)
    rgb[height // 4 : height // 4 + 12, left : left + 12] = 255
    return rgb

"""Written videos play at their true times, wherever they were encoded."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from emoframe.core.errors import DataError
from emoframe.perception.mp4 import H264, Codec, encode
from emoframe.perception.video import read

TIMES = (0.0, 0.04, 0.1, 0.5)


def pictures(height: int = 63) -> list[tuple[np.ndarray, float]]:
    return [(np.full((height, 48, 3), 60 * n, np.uint8), t) for n, t in enumerate(TIMES)]


@pytest.mark.parametrize(("lacks", "codec"), [("", "h264"), (H264, "mpeg4")])
def test_pictures_keep_their_times_and_an_odd_side_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacks: str, codec: str
) -> None:
    monkeypatch.setattr(av, "codecs_available", av.codecs_available - {lacks})
    out = tmp_path / "out.mp4"
    either: tuple[Codec, ...] = (H264, "mpeg4")
    encode(pictures(), out, codecs=either)
    (frames,) = read(out)
    assert frames.time_s.tolist() == pytest.approx(TIMES, abs=1e-4)
    assert frames.rgb.shape == (4, 64, 48, 3)
    assert frames.rgb[3].mean() == pytest.approx(180, abs=4)
    with av.open(str(out)) as container:
        assert container.streams.video[0].codec_context.name == codec


def test_without_an_encoder_it_is_said_what_brings_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(av, "codecs_available", set())
    with pytest.raises(DataError, match="no encoder libx264; `pip install av` brings it"):
        encode(pictures(), tmp_path / "out.mp4")

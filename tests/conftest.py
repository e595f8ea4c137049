"""What all tests share: real data, one tiny finished training, videos made on the spot, parts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from emoframe import api
from emoframe.core.plugins import loaded

MakeVideo = Callable[..., Path]
PARTS = Path(__file__).parent / "perception" / "parts.py"

TINY = [
    "dataset.train=24", "dataset.test=6", "dataset.frames=24", "dataset.videos_per_subject=2",
    "view.keypoints.frames=16", "train.epochs=2", "train.batch_size=6",
    "model.branches.keypoints.keypoint_backbone.hidden=8",
    "model.branches.keypoints.temporal_encoder.dim=8",
    "model.branches.keypoints.temporal_encoder.heads=2", "model.branches.keypoints.out_dim=8",
]  # fmt: skip


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real data beside the repository; tests that need it are skipped without it."""
    root = Path(__file__).parents[1]
    folder = Path(os.environ.get("EMOFRAME_SHARED", root.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"needs the real data in {folder.name}/, which is not here")
    return folder


@pytest.fixture(scope="session")
def tiny() -> list[str]:
    """Overrides that make `quickstart` train in a second."""
    return TINY


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished tiny training; not to be changed."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    api.train("quickstart", folder, TINY)
    return folder


@pytest.fixture(scope="module")
def parts_plugin() -> Iterator[Path]:
    """Load the small parts of `tests/perception/parts.py`, and take them away again."""
    before = dict(loaded().offers)
    plugin = loaded().load_file(PARTS)
    yield PARTS
    loaded().plugins.remove(plugin)
    loaded().manager.unregister(name=plugin.name)
    for key in [key for key in loaded().offers if key not in before]:
        del loaded().offers[key]


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

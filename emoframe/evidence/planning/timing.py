"""How fast the parts of an extraction are here, measured on the beginning of a video.

Decided here: a few frames are cut into a clip and extracted into a store that is thrown away, by
the very parts and the very code of an extraction; once to load the weights, and once to time it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emoframe.perception.mp4 import encode
from emoframe.perception.pipeline import How, extract
from emoframe.perception.settings import Perception
from emoframe.perception.stages import CROP, Parts
from emoframe.perception.video import read

WARM, TIMED = 16, 64
"""Frames of the clip that loads the weights, and at least so many of the one that is timed."""


@dataclass(frozen=True)
class Probed:
    """What a probe measured.

    Attributes:
        seconds: Seconds for a frame of the video, by stage.
        told: On what they rest.
        warnings: Why a stage has none, a sentence each.
    """

    seconds: Mapping[str, float]
    told: str
    warnings: tuple[str, ...] = ()


def probe_speeds(video: Path, perception: Perception, parts: Parts, device: str) -> Probed:
    """Extract the beginning of a video twice, and time the second time.

    Args:
        video: The video.
        perception: With what; its store is left alone.
        parts: The parts, built.
        device: Where they compute.

    Raises:
        EmoframeError: The video cannot be read, a clip not be written, or a part not work at all.
    """
    longest = [2 * one.part.every * one.part.span for one in parts.frame_encoders]
    with tempfile.TemporaryDirectory() as folder:
        for name, count in (("warm", WARM), ("timed", max([TIMED, *longest]))):
            clip = Path(folder) / f"{name}.mp4"
            encode(_beginning(video, count), clip)
            own = replace(perception, store=Path(folder) / name)
            rows = extract([clip], own, How(workers=0, devices=(device,)), parts=parts)
    frames = next((row.frames for row in rows if row.stage == CROP), 0)
    return Probed(
        {row.stage: row.seconds / frames for row in rows if frames and row.status == "ok"},
        f"probed: {frames} frames of {video.name} on {device}",
        tuple(
            f"the probe of {row.stage} failed at the beginning of {video.name}: {row.reason}"
            for row in rows
            if row.status == "failed"
        ),
    )


def _beginning(video: Path, count: int) -> Iterator[tuple[NDArray[np.uint8], float]]:
    """Yield the first frames of a video with their times."""
    for frames in read(video, chunk=WARM):
        for rgb, time_s in zip(frames.rgb, frames.time_s, strict=True):
            if count == 0:
                return
            yield rgb, float(time_s)
            count -= 1

"""Pictures for people: keypoints over frames, as a video and as a contact sheet.

What of the frame itself is seen under the keypoints is decided in `faces`, once for both.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from emoframe.core.errors import DataError
from emoframe.perception.faces import person_box, shown
from emoframe.perception.mp4 import H264, encode
from emoframe.perception.settings import Faces
from emoframe.perception.video import read

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emoframe.records import Keypoints
    from emoframe.skeleton import SkeletonLayout

    Rgb = NDArray[np.uint8]

COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
"""One per layout group: Okabe and Ito's palette, which colour-blind people can tell apart."""
READABLE_HEIGHT = 480
TILE_WIDTH = 320


def overlay(rgb: Rgb, keypoints: Keypoints, t: int, layout: SkeletonLayout, scale: int = 1) -> Rgb:
    """Draw the valid joints, their edges and the person's box over one frame.

    Args:
        rgb: The frame, (H, W, 3).
        keypoints: The person, in pixels of the frame.
        t: Number of the frame.
        layout: Names the joints.
        scale: Enlarges the picture first, so that small points stay apart.

    Returns:
        A new picture, (H * scale, W * scale, 3).
    """
    height, width = rgb.shape[:2]
    image = Image.fromarray(rgb).resize((width * scale, height * scale), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    xy, valid = (keypoints.xy[t, :, :2] + 0.5) * scale, keypoints.valid[t]
    line = max(1, height * scale // 200)
    if (box := person_box(keypoints, t)) is not None:
        draw.rectangle([float(edge) * scale for edge in box], outline="#ffffff")
    for (_, joints), colour in zip(layout.groups.items(), cycle(COLOURS), strict=False):
        inside = {joint for joint in joints if valid[joint]}
        for a, b in layout.edges:
            if a in inside and b in inside:
                draw.line([*xy[a], *xy[b]], fill=colour, width=line)
        for joint in inside:
            draw.circle(tuple(xy[joint]), line, fill=colour)
    return np.asarray(image)


def overlay_video(
    video: Path,
    keypoints: Keypoints,
    layout: SkeletonLayout,
    out: Path,
    faces: Faces = "blur",
) -> None:
    """Write a video with the keypoints drawn in, frame for frame at the times of the source.

    Args:
        video: The source.
        keypoints: What was measured in it.
        layout: Names the joints.
        out: The MP4 file to write.
        faces: What of the person may be seen, see `emoframe.perception.faces`.

    Raises:
        DataError: The video cannot be read, the keypoints are not of this video, or `out` cannot
            be written.
    """
    drawn = _drawn(video, keypoints, layout, faces, range(len(keypoints)))
    with _replacing(out) as partial:
        pictures = ((rgb, float(keypoints.time_s[t])) for t, rgb in drawn)
        encode(pictures, partial, codecs=(H264, "mpeg4"))


def contact_sheet(
    video: Path,
    keypoints: Keypoints,
    layout: SkeletonLayout,
    out: Path,
    columns: int = 4,
    rows: int = 3,
    faces: Faces = "blur",
) -> None:
    """Write one picture of frames spread evenly over a video, with keypoints and times.

    Args:
        video: The source.
        keypoints: What was measured in it.
        layout: Names the joints.
        out: The PNG file to write.
        columns: Pictures side by side.
        rows: Pictures one above the other; fewer where the video has fewer frames.
        faces: What of the person may be seen, see `emoframe.perception.faces`.

    Raises:
        DataError: The video cannot be read, or the keypoints are not of this video.
    """
    spread = np.linspace(0, len(keypoints) - 1, min(columns * rows, len(keypoints)))
    wanted = set(spread.round().astype(int).tolist())
    drawn = _drawn(video, keypoints, layout, faces, wanted)
    tiles = [_tile(rgb, keypoints, t) for t, rgb in drawn]
    width, height = tiles[0].size
    sheet = Image.new("RGB", (width * columns, height * math.ceil(len(tiles) / columns)))
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (number % columns * width, number // columns * height))
    with _replacing(out) as partial:
        sheet.save(partial, format="PNG")


def _drawn(
    video: Path,
    keypoints: Keypoints,
    layout: SkeletonLayout,
    faces: Faces,
    wanted: Collection[int],
) -> Iterator[tuple[int, Rgb]]:
    """Draw over the wanted frames, and see that the keypoints are of this video."""
    count = 0
    for frames in read(video, chunk=16):
        count += len(frames)
        if count > len(keypoints):
            break
        for t, rgb in zip(frames.index.tolist(), frames.rgb, strict=True):
            if t in wanted:
                below = shown(rgb, keypoints, t, layout, faces)
                scale = math.ceil(READABLE_HEIGHT / rgb.shape[0])
                yield t, overlay(below, keypoints, t, layout, scale)
    if count != len(keypoints):
        raise DataError(
            f"{video}: does not have the {len(keypoints)} frames of these keypoints; "
            "give the video that they were extracted from"
        )


def _tile(rgb: Rgb, keypoints: Keypoints, t: int) -> Image.Image:
    """Shrink a picture and write its time on it."""
    height = round(rgb.shape[0] * TILE_WIDTH / rgb.shape[1])
    tile = Image.fromarray(rgb).resize((TILE_WIDTH, height), Image.Resampling.LANCZOS)
    text = f"{keypoints.time_s[t]:.2f} s" + ("" if keypoints.valid[t].any() else ", nobody")
    font = ImageFont.load_default(size=14)
    draw = ImageDraw.Draw(tile)
    draw.text((4, 2), text, font=font, fill="white", stroke_width=2, stroke_fill="black")
    return tile


@contextmanager
def _replacing(out: Path) -> Iterator[Path]:
    """Give a name to write to, which becomes the real one when all is written."""
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f"{out.name}.partial")
    try:
        yield partial
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)

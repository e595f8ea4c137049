"""Pictures for people: keypoints over frames, as a video and as a contact sheet.

Every picture that leaves the store is private unless its maker says otherwise: the face is reduced
to a few colour patches, which no filter sharpens again, and so is everything outside of the
person's box, where bystanders are. Where nothing says where the face is, more is hidden, not less:
the top third of the box, and without a box the whole picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from emoframe.core.errors import DataError
from emoframe.perception.video import read

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emoframe.records import Keypoints
    from emoframe.skeleton import SkeletonLayout

    Rgb = NDArray[np.uint8]
    Box = tuple[float, float, float, float]

Faces = Literal["blur", "show"]
COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
"""One per layout group: Okabe and Ito's palette, which colour-blind people can tell apart."""
HEAD = frozenset(
    ("nose", "eye", "eyes", "ear", "face", "jaw", "brow", "mouth", "lip", "chin", "forehead")
)
"""Words in the names of joints that lie on the head."""
READABLE_HEIGHT = 480
TILE_WIDTH = 320
FACE_PATCHES, SCENE_PATCHES = 8, 16
TICKS = 30_000
"""Ticks a second in written videos: exact at 25, 30 and 29.97 frames; MPEG-4 takes few more."""


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
    if (box := _box(keypoints, t)) is not None:
        draw.rectangle([float(edge) * scale for edge in box], outline="#ffffff")
    for (_, joints), colour in zip(layout.groups.items(), cycle(COLOURS), strict=False):
        inside = {joint for joint in joints if valid[joint]}
        for a, b in layout.edges:
            if a in inside and b in inside:
                draw.line([*xy[a], *xy[b]], fill=colour, width=line)
        for joint in inside:
            draw.circle(tuple(xy[joint]), line, fill=colour)
    return np.asarray(image)


def blur_face(rgb: Rgb, keypoints: Keypoints, t: int, layout: SkeletonLayout) -> Rgb:
    """Hide the person's face and all that is outside of the person's box.

    Args:
        rgb: The frame, (H, W, 3).
        keypoints: The person, in pixels of the frame.
        t: Number of the frame.
        layout: Names the joints, among which those of the head are found.

    Returns:
        A new picture of the same size.
    """
    hidden = _patches(rgb, SCENE_PATCHES)
    box = _box(keypoints, t)
    if box is None:
        return hidden
    person = _pixels(box, rgb)
    hidden[person] = rgb[person]
    face = _pixels(_face(keypoints, t, layout, box), rgb)
    hidden[face] = _patches(rgb[face], FACE_PATCHES)
    return hidden


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
        faces: `blur` hides them, `show` does not.

    Raises:
        DataError: The video cannot be read, or the keypoints are not of this video.
    """
    pictures = (
        (_picture(rgb, keypoints, t, layout, faces), float(keypoints.time_s[t]))
        for t, rgb in _frames(video, keypoints)
    )
    with _replacing(out) as partial:
        _encode(pictures, partial)


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
        faces: `blur` hides them, `show` does not.

    Raises:
        DataError: The video cannot be read, or the keypoints are not of this video.
    """
    spread = np.linspace(0, len(keypoints) - 1, min(columns * rows, len(keypoints)))
    wanted = set(spread.round().astype(int).tolist())
    tiles = [
        _tile(_picture(rgb, keypoints, t, layout, faces), keypoints, t)
        for t, rgb in _frames(video, keypoints)
        if t in wanted
    ]
    width, height = tiles[0].size
    sheet = Image.new("RGB", (width * columns, height * math.ceil(len(tiles) / columns)))
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (number % columns * width, number // columns * height))
    with _replacing(out) as partial:
        sheet.save(partial, format="PNG")


def _frames(video: Path, keypoints: Keypoints) -> Iterator[tuple[int, Rgb]]:
    """Decode frame by frame, and see that the keypoints are of this video."""
    count = 0
    for frames in read(video, chunk=16):
        count += len(frames)
        if count > len(keypoints):
            break
        yield from zip(frames.index.tolist(), frames.rgb, strict=True)
    if count != len(keypoints):
        raise DataError(
            f"{video}: does not have the {len(keypoints)} frames of these keypoints; "
            "give the video that they were extracted from"
        )


def _picture(rgb: Rgb, keypoints: Keypoints, t: int, layout: SkeletonLayout, faces: Faces) -> Rgb:
    shown = rgb if faces == "show" else blur_face(rgb, keypoints, t, layout)
    return overlay(shown, keypoints, t, layout, math.ceil(READABLE_HEIGHT / rgb.shape[0]))


def _tile(rgb: Rgb, keypoints: Keypoints, t: int) -> Image.Image:
    """Shrink a picture and write its time on it."""
    height = round(rgb.shape[0] * TILE_WIDTH / rgb.shape[1])
    tile = Image.fromarray(rgb).resize((TILE_WIDTH, height), Image.Resampling.LANCZOS)
    text = f"{keypoints.time_s[t]:.2f} s" + ("" if keypoints.valid[t].any() else ", nobody")
    font = ImageFont.load_default(size=14)
    draw = ImageDraw.Draw(tile)
    draw.text((4, 2), text, font=font, fill="white", stroke_width=2, stroke_fill="black")
    return tile


def _box(keypoints: Keypoints, t: int) -> Box | None:
    """Find where the person is: the box, or around the joints; None where neither is known."""
    if keypoints.box is not None:
        box = keypoints.box[t]
        return tuple(box.tolist()) if np.isfinite(box).all() else None
    points = keypoints.xy[t, keypoints.valid[t], :2]
    return _around(points, 0.1, 0) if len(points) else None


def _face(keypoints: Keypoints, t: int, layout: SkeletonLayout, box: Box) -> Box:
    """Find the face generously: around the joints of the head, else the top third of the box."""
    dense = set(layout.groups.get("face", ()))
    head = [
        joint
        for joint, name in enumerate(layout.joints)
        if keypoints.valid[t, joint] and (joint in dense or HEAD & set(name.lower().split("_")))
    ]
    left, top, right, bottom = box
    if not head:
        return left, top, right, top + (bottom - top) / 3
    outlined = any(joint in dense for joint in head)  # eyes and nose alone say little of the chin
    return _around(keypoints.xy[t, head, :2], 0.35 if outlined else 0.8, 0.15 * (bottom - top))


def _around(points: NDArray[np.float32], margin: float, least: float) -> Box:
    """Put a square around points, with a margin of its size, at least `least` from its centre."""
    low, high = points.min(axis=0), points.max(axis=0)
    half = max(least, float((high - low).max()) * (0.5 + margin))
    x, y = (low + high) / 2
    return x - half, y - half, x + half, y + half


def _pixels(box: Box, rgb: Rgb) -> tuple[slice, slice]:
    """Turn a box into the pixels of a picture that it touches; at least one."""
    height, width = rgb.shape[:2]
    left, top = int(np.clip(box[0], 0, width - 1)), int(np.clip(box[1], 0, height - 1))
    right = int(np.clip(math.ceil(box[2]), left + 1, width))
    bottom = int(np.clip(math.ceil(box[3]), top + 1, height))
    return slice(top, bottom), slice(left, right)


def _patches(rgb: Rgb, count: int) -> Rgb:
    """Keep at most `count` averaged colours along the longer side: the rest is gone for good."""
    height, width = rgb.shape[:2]
    share = count / max(height, width, count)
    small = max(1, round(width * share)), max(1, round(height * share))
    image = Image.fromarray(np.ascontiguousarray(rgb)).resize(small, Image.Resampling.BOX)
    return np.array(image.resize((width, height), Image.Resampling.BICUBIC))


def _encode(pictures: Iterable[tuple[Rgb, float]], out: Path) -> None:
    """Write H.264, or MPEG-4 where this build of FFmpeg has no x264, at true times."""
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    with av.open(str(out), "w", format="mp4") as container:
        stream, last = None, -1
        for rgb, time_s in pictures:
            height, width = (side // 2 * 2 for side in rgb.shape[:2])  # 4:2:0 takes even sides only
            if stream is None:
                stream = container.add_stream(codec, rate=25, width=width, height=height)
                stream.pix_fmt = "yuv420p"
                stream.codec_context.time_base = Fraction(1, TICKS)
            even = np.ascontiguousarray(rgb[:height, :width])
            frame = av.VideoFrame.from_ndarray(even, format="rgb24")
            last = max(last + 1, round(time_s * TICKS))
            frame.pts, frame.time_base = last, Fraction(1, TICKS)
            container.mux(stream.encode(frame))
        if stream is not None:
            container.mux(stream.encode(None))


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

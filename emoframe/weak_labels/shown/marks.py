"""Marks that are drawn into what a model sees, so that it can say where it looked (SoVTP).

SoVTP draws boxes, numbers and landmarks on whole frames, rather than cut people out: the scene
stays, and the person is pointed out in it. Here one person is followed, so the box needs no number;
the landmarks bear theirs.

Decided here:
    * A mark hides what is under it. So lines are thin, points are small, and a number that would
      lie on another one is left out: few are read in a small face, all in a large one.
    * A point that was not measured is not drawn.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from emoframe.core.errors import DataError
from emoframe.labelling import Mark
from emoframe.perception.draw import COLOURS
from emoframe.perception.faces import person_box

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emoframe.records import Keypoints
    from emoframe.skeleton import SkeletonLayout

    Rgb = NDArray[np.uint8]

FACE = "face"
"""The layout group whose joints are landmarks; the joints of all others are the body's."""
GREY = 128


def check_layout(layout: SkeletonLayout, draw: Collection[Mark]) -> None:
    """Refuse marks that a layout has no joints for.

    Raises:
        DataError: Landmarks are wanted of a layout without a face.
    """
    if "landmarks" in draw and FACE not in layout.groups:
        raise DataError(
            f"the layout {layout.name!r} has no group {FACE!r}, so no landmarks can be drawn (its "
            f"groups are {', '.join(layout.groups)}); leave landmarks out of draw"
        )


def marked(
    rgb: Rgb, keypoints: Keypoints, t: int, layout: SkeletonLayout, draw: Collection[Mark]
) -> Rgb:
    """Draw marks over one frame.

    Args:
        rgb: The frame, (H, W, 3).
        keypoints: The person, in pixels of the frame.
        t: Number of the frame.
        layout: Names the joints.
        draw: What to draw.

    Returns:
        A new picture of the same size.
    """
    image = Image.fromarray(np.ascontiguousarray(rgb))
    canvas = ImageDraw.Draw(image)
    width = max(1, rgb.shape[0] // 300)
    if "box" in draw and (box := person_box(keypoints, t)) is not None:
        canvas.rectangle([round(edge) for edge in box], outline="#ffffff", width=width)
    if "body" in draw:
        _draw_body(canvas, keypoints, t, layout, width)
    if "landmarks" in draw:
        _draw_landmarks(canvas, keypoints, t, layout, width)
    return np.asarray(image)


def masked(rgb: Rgb, keypoints: Keypoints, t: int) -> Rgb:
    """Paint everything outside of the person's box grey; all of it where nobody is known to be.

    Args:
        rgb: The frame, (H, W, 3).
        keypoints: The person, in pixels of the frame; their box is the smoothed one of the track.
        t: Number of the frame.

    Returns:
        A new picture of the same size.
    """
    height, width = rgb.shape[:2]
    hidden = np.full_like(rgb, GREY)
    box = person_box(keypoints, t)
    if box is not None:
        left, top = (int(np.clip(edge, 0, None)) for edge in box[:2])
        right, bottom = (int(np.clip(np.ceil(edge), 0, None)) for edge in box[2:])
        inside = slice(top, min(bottom, height)), slice(left, min(right, width))
        hidden[inside] = rgb[inside]
    return hidden


def _draw_body(
    canvas: ImageDraw.ImageDraw, keypoints: Keypoints, t: int, layout: SkeletonLayout, width: int
) -> None:
    """Draw joints and edges of every group but the face, each in a colour of its own."""
    xy, valid = keypoints.xy[t, :, :2] + 0.5, keypoints.valid[t]
    for (name, joints), colour in zip(layout.groups.items(), cycle(COLOURS), strict=False):
        inside = {joint for joint in joints if valid[joint] and name != FACE}
        for a, b in layout.edges:
            if a in inside and b in inside:
                canvas.line([*xy[a], *xy[b]], fill=colour, width=width)
        for joint in inside:
            canvas.circle(tuple(xy[joint]), width + 1, fill=colour)


def _draw_landmarks(
    canvas: ImageDraw.ImageDraw, keypoints: Keypoints, t: int, layout: SkeletonLayout, width: int
) -> None:
    """Draw the points of the face and, where there is room, their numbers in the group."""
    face = layout.groups[FACE]
    seen = [(n, keypoints.xy[t, joint, :2] + 0.5) for n, joint in enumerate(face)]
    seen = [(n, at) for n, at in seen if keypoints.valid[t, face[n]]]
    for _, at in seen:
        canvas.circle(tuple(at), max(1, width - 1), fill=COLOURS[1])
    font = ImageFont.load_default(size=8 + 2 * width)
    taken: list[tuple[float, ...]] = []
    for n, at in seen:
        corner = (float(at[0]) + width, float(at[1]) + width)
        area = canvas.textbbox(corner, str(n), font=font)
        if all(_apart(area, other) for other in taken):
            taken.append(area)
            canvas.text(corner, str(n), font=font, fill="#ffffff", stroke_width=1, stroke_fill=0)


def _apart(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether two rectangles share no point."""
    across = one[2] < other[0] or other[2] < one[0]
    return across or one[3] < other[1] or other[3] < one[1]

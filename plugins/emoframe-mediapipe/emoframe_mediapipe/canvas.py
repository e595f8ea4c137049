"""Where in the picture a moving crop is put, so that MediaPipe sees it stand still.

The graph smooths and tracks in coordinates of the picture that it is given: a crop whose corner
jitters by 15 pixels shakes every body point by 10 a frame. On a canvas that stays where it is, with
the crop in its place and black around it, the same points move by 1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emoframe.records import Track

LARGEST_CANVAS = 2.0
"""Longer side of a canvas over that of its smallest crop. The person detector, which looks at 224
pixels, still found everybody at 3, and nobody at 6."""

NOTHING = np.array([np.inf, np.inf, -np.inf, -np.inf])
"""The box that holds nothing, to which others are added."""


def canvases(track: Track) -> tuple[Track, NDArray[np.bool_]]:
    """Plan on which part of the picture each frame is put before it is measured.

    A canvas is the union of the boxes of a run of frames. A run ends at a cut, and where the union
    would be more than `LARGEST_CANVAS` times as long as its smallest box.

    Args:
        track: The person.

    Returns:
        The track with each box replaced by its frame's canvas, and where a new canvas begins (T,).
    """
    box, seen, fresh = track.box.copy(), track.valid, track.cut.copy()
    union, smallest = NOTHING, np.inf
    for t, one in enumerate(box):
        if fresh[t]:
            union, smallest = NOTHING, np.inf
        if seen[t]:
            union, smallest = _union(union, one), min(smallest, _side(one))
            if _side(union) > LARGEST_CANVAS * smallest:
                union, smallest, fresh[t] = one.copy(), _side(one), True
    for run in np.split(box, np.flatnonzero(fresh[1:]) + 1):
        run[:, :2] = np.fmin.reduce(run[:, :2], initial=np.inf)
        run[:, 2:] = np.fmax.reduce(run[:, 2:], initial=-np.inf)
    return replace(track, box=box), fresh


def _union(one: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([np.minimum(one[:2], other[:2]), np.maximum(one[2:], other[2:])])


def _side(box: NDArray[Any]) -> float:
    """Return the longer side."""
    return float((box[2:] - box[:2]).max())


def paste(
    crop: NDArray[np.uint8], corner: NDArray[np.int64], shape: tuple[int, ...]
) -> NDArray[np.uint8]:
    """Put a crop on a black canvas.

    Args:
        crop: Part of a frame, (h, w, 3).
        corner: The (x, y) on the canvas of its top left pixel.
        shape: Shape of the canvas, (H, W, 3).
    """
    picture, (x, y) = np.zeros(shape, np.uint8), corner
    picture[y : y + crop.shape[0], x : x + crop.shape[1]] = crop
    return picture

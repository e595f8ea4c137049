"""The frame encoder that needs no weights: histograms of oriented gradients.

Decided here: it is computed for a batch of pictures at once, to the definition of scikit-image's
`hog`, which takes one picture at a time; OpenCV 5 has none any more.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Annotated

import numpy as np
from annotated_types import Ge

from emoframe.core.errors import ComponentError, DataError
from emoframe.records import Features, Frames, Keypoints

if TYPE_CHECKING:
    from numpy.typing import NDArray

BATCH = 32
BLOCK = 2
CLIP, EPS = 0.2, 1e-5
LARGEST = 255


class HOG:
    """Histograms of oriented gradients of a picture, in cells, normalised over blocks of 2 x 2.

    Source: Dalal and Triggs, https://doi.org/10.1109/CVPR.2005.177: unsigned gradients by central
    differences, of the channel in which they are largest; each pixel votes for the one bin that its
    direction falls into; L2-Hys normalisation. The border of a letterbox is an edge like any other.

    Args:
        size: Side of the square pictures in pixels, a multiple of `cells`.
        cells: Number of cells along a side.
        bins: Number of directions.
        every: Encode each n-th frame.

    Shape:
        T pictures -> x (T, D), D = 4 * `bins` * (`cells` - 1)^2.
    """

    span: int = 1
    reads_keypoints: bool = False

    def __init__(
        self,
        *,
        size: Annotated[int, Ge(16)] = 128,
        cells: Annotated[int, Ge(2)] = 8,
        bins: Annotated[int, Ge(2)] = 9,
        every: Annotated[int, Ge(1)] = 6,
    ) -> None:
        if size % cells:
            raise DataError(
                f"frame_encoder hog: size={size} is no multiple of cells={cells}, so that a strip "
                f"of the picture would be lost; size={size - size % cells} is one"
            )
        self.size = size
        self.cells = cells
        self.bins = bins
        self.every = every
        self.out_dim = bins * BLOCK**2 * (cells - BLOCK + 1) ** 2

    def encode(self, frames: Frames, keypoints: Keypoints | None) -> Features:
        """Describe each picture.

        Args:
            frames: T square pictures of `size` pixels.
            keypoints: Not used.

        Returns:
            T vectors in single precision, all of them valid; zero in a block without any edge.

        Raises:
            ComponentError: The pictures have another size.
        """
        if frames.rgb.shape[1:] != (self.size, self.size, 3):
            height, width = frames.rgb.shape[1:3]
            raise ComponentError(
                f"frame_encoder hog: takes square pictures of {self.size} pixels and was given "
                f"{width} x {height}"
            )
        x = np.empty((len(frames), self.out_dim), np.float32)
        for start in range(0, len(frames), BATCH):
            here = slice(start, start + BATCH)
            x[here] = _normalised(self._histograms(frames.rgb[here]))
        return Features(x, np.ones(len(x), np.bool_), frames.time_s)

    @cached_property
    def _table(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the bin and the magnitude of every gradient that 8-bit pixels can have."""
        level = np.arange(-LARGEST, LARGEST + 1)
        angle = np.rad2deg(np.arctan2(level[:, None], level)) % 180
        direction = (angle * (self.bins / 180)).astype(np.int64) % self.bins
        return direction.ravel(), np.hypot(level[:, None], level).ravel()

    def _histograms(self, rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the mean magnitude by direction in each cell, (T, cells, cells, bins)."""
        down, right = _gradients(rgb)
        direction, magnitude = self._table
        gradient = (down + LARGEST) * (2 * LARGEST + 1) + right + LARGEST
        count, side = len(rgb), self.size // self.cells
        cell = np.arange(self.size) // side
        place = np.arange(count)[:, None, None] * self.cells**2
        place = place + cell[:, None] * self.cells + cell
        votes = np.bincount(
            (place * self.bins + direction[gradient]).ravel(),
            magnitude[gradient].ravel(),
            minlength=count * self.cells**2 * self.bins,
        )
        return votes.reshape(count, self.cells, self.cells, self.bins) / side**2


def _gradients(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the gradient down and right, of the channel in which it is largest, (T, H, W) each."""
    channels = np.moveaxis(rgb, -1, 0).astype(np.int32, order="C")
    down, right = np.zeros_like(channels), np.zeros_like(channels)
    np.subtract(channels[:, :, 2:], channels[:, :, :-2], out=down[:, :, 1:-1])
    np.subtract(channels[..., 2:], channels[..., :-2], out=right[..., 1:-1])
    largest = (down**2 + right**2).argmax(0)[None]
    return np.take_along_axis(down, largest, 0)[0], np.take_along_axis(right, largest, 0)[0]


def _normalised(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gather blocks of cells and normalise each twice, large values cut in between; (T, D)."""
    blocks = np.lib.stride_tricks.sliding_window_view(cells, (BLOCK, BLOCK), axis=(1, 2))
    blocks = blocks.transpose(0, 1, 2, 4, 5, 3).reshape(*blocks.shape[:3], -1)
    blocks = np.minimum(_unit(blocks), CLIP)
    return _unit(blocks).reshape(len(cells), -1)


def _unit(blocks: NDArray[np.float64]) -> NDArray[np.float64]:
    return blocks / np.sqrt((blocks**2).sum(-1, keepdims=True) + EPS**2)

"""The frame encoder that needs no weights: histograms of oriented gradients.

Decided here: scikit-image computes them, since OpenCV 5 has none any more.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge
from skimage.feature import hog

from emoframe.core.errors import ComponentError, DataError
from emoframe.records import Features, Frames, Keypoints

BLOCK = 2


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
        side = self.size // self.cells
        vectors = [
            hog(
                rgb,
                orientations=self.bins,
                pixels_per_cell=(side, side),
                cells_per_block=(BLOCK, BLOCK),
                channel_axis=-1,
            )
            for rgb in frames.rgb
        ]
        x = np.asarray(vectors, np.float32).reshape(-1, self.out_dim)
        return Features(x, np.ones(len(x), np.bool_), frames.time_s)

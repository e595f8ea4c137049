"""The detector that needs nothing: for videos that one person fills."""

from __future__ import annotations

import numpy as np

from emoframe.records import Boxes, Frames


class WholeFrame:
    """Takes the whole picture for one person's box.

    Right where the camera shows a single person, as in an interview; with several people in view
    the pose estimator decides on its own whom it measures, so use a real detector there.
    """

    def __init__(self) -> None:
        """There is nothing to set."""

    def detect(self, frames: Frames) -> list[Boxes]:
        """Return for each frame one box of score 1, as large as the picture.

        Args:
            frames: A chunk of T frames.

        Returns:
            T `Boxes` with one box each, in source pixels.
        """
        height, width = frames.rgb.shape[1:3]
        box = Boxes(np.array([[0, 0, width, height]], np.float32), np.ones(1, np.float32))
        return [box] * len(frames)

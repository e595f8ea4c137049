"""The detector `yolo`: persons in frames, by any model that ultralytics runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from emoframe.records import Boxes
from emoframe_ultralytics.model import Model

if TYPE_CHECKING:
    from emoframe.records import Frames


class Yolo:
    """Finds persons with a YOLO model.

    Source: https://docs.ultralytics.com/models/yolo11/ (AGPL-3.0, as are the published weights).

    Args:
        weights: Path of a model, or name of one that ultralytics publishes, such as `yolo11n.pt`.
        conf: Least confidence of a box, in [0, 1].
        imgsz: Size in pixels that the longer side is scaled to; a model that was exported for one
            size keeps that.
        batch: Frames computed together.
        half: Compute in half precision; for .pt files on a GPU.
        device: Where it computes: `cpu`, `cuda:0`, ...
    """

    not_in_key = ("weights", "batch")

    def __init__(
        self,
        *,
        weights: str = "yolo11x.pt",
        conf: float = 0.25,
        imgsz: int = 640,
        batch: int = 8,
        half: bool = False,
        device: str = "cpu",
    ) -> None:
        self._model = Model("detector yolo", "detect", weights, conf, imgsz, batch, half, device)

    def detect(self, frames: Frames) -> list[Boxes]:
        """Find the persons in each frame.

        Args:
            frames: A chunk of T frames.

        Returns:
            T `Boxes` in source pixels; empty where nobody is seen.

        Raises:
            ComponentError: The weights are not here, cannot be used, or know no persons.
        """
        return [_boxes(result) for result in self._model.persons([*frames.rgb])]

    def fingerprint(self) -> dict[str, str]:
        """Return the sha256 of the weights, fetched if need be, and the version that runs them.

        Raises:
            ComponentError: The weights are not here and cannot be downloaded.
        """
        return self._model.fingerprint()


def _boxes(result: Any) -> Boxes:
    """Turn one result of ultralytics into a record."""
    boxes = result.boxes.cpu().numpy()
    return Boxes(
        np.asarray(boxes.xyxy, np.float32).reshape(-1, 4), np.asarray(boxes.conf, np.float32)
    )

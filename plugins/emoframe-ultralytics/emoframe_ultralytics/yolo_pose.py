"""The pose estimator `yolo_pose`: the 17 points of COCO, by a YOLO model that finds people itself.

Decided here: the model sees the whole frame, as it was trained; of those whom it finds, the tracked
person is the one whose box overlaps most with the track's. ultralytics moves points that lie
outside of the picture onto its edge, so a point on the edge is masked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from emoframe.records import Keypoints
from emoframe.skeleton import COCO_17_TO_OPENPOSE_137
from emoframe_ultralytics.model import POINTS, Model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emoframe.records import Frames, Track


class YoloPose:
    """Measures the body with a YOLO pose model; feet, face and hands are masked.

    Source: https://docs.ultralytics.com/tasks/pose/ (AGPL-3.0, as are the published weights).

    Args:
        weights: Path of a model, or name of one that ultralytics publishes, such as
            `yolo11n-pose.pt`.
        conf: Least confidence of a person, in [0, 1].
        min_confidence: Points of a lower confidence are masked.
        imgsz: Size in pixels that the longer side is scaled to; a model that was exported for one
            size keeps that.
        batch: Frames computed together.
        half: Compute in half precision; for .pt files on a GPU.
        device: Where it computes: `cpu`, `cuda:0`, ...
    """

    not_in_key = ("weights", "batch")

    layout = "openpose_137"

    def __init__(
        self,
        *,
        weights: str = "yolo11x-pose.pt",
        conf: float = 0.25,
        min_confidence: float = 0.5,
        imgsz: int = 640,
        batch: int = 8,
        half: bool = False,
        device: str = "cpu",
    ) -> None:
        self.min_confidence = min_confidence
        part = "pose_estimator yolo_pose"
        self._model = Model(part, "pose", weights, conf, imgsz, batch, half, device)

    def estimate(self, chunks: Iterable[Frames], track: Track) -> Iterator[Keypoints]:
        """Yield one `Keypoints` per chunk, in source pixels.

        Args:
            chunks: The frames of one video, in order.
            track: The person in it; a frame without a box is all masked.

        Raises:
            ComponentError: The weights are not here, cannot be used, or give no points of persons.
        """
        return map(partial(self._measure, track), chunks)

    def fingerprint(self) -> dict[str, str]:
        """Return the sha256 of the weights, fetched if need be, and the version that runs them.

        Raises:
            ComponentError: The weights are not here and cannot be downloaded.
        """
        return self._model.fingerprint()

    def _measure(self, track: Track, chunk: Frames) -> Keypoints:
        box = track.box[chunk.index]
        points = np.full((len(chunk), POINTS, 3), np.nan, np.float32)
        seen = np.flatnonzero(track.valid[chunk.index])
        results = self._model.persons([chunk.rgb[n] for n in seen])
        for n, result in zip(seen, results, strict=True):
            number = nearest(np.asarray(result.boxes.xyxy.cpu(), np.float32), box[n])
            if number is not None:
                points[n] = result.keypoints.data[number].cpu().numpy()
        found = keypoints_of(points, chunk.rgb.shape[2:0:-1], self.min_confidence)
        cut = track.cut[chunk.index]
        return Keypoints(*found, chunk.time_s, self.layout, box=box, cut=cut)


def nearest(boxes: NDArray[np.float32], box: NDArray[np.float32]) -> int | None:
    """Return the number of the box, of B, that overlaps most with one (IoU); None if none does."""
    if not len(boxes):
        return None
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    common = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) + np.prod(box[2:] - box[:2])
    overlap = common / np.maximum(areas - common, 1e-9)
    return int(overlap.argmax()) if overlap.max() > 0 else None


def keypoints_of(
    points: NDArray[np.float32], size: tuple[int, ...], min_confidence: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Turn COCO's points into `openpose_137`.

    Args:
        points: x, y and confidence, (T, 17, 3); NaN where the person was not found.
        size: Width and height of the picture.
        min_confidence: Points of a lower confidence are masked.

    Returns:
        Coordinates, confidence and validity of the 137 joints.
    """
    xy, confidence = points[..., :2], points[..., 2]
    valid = np.all((xy > 0) & (xy < size), axis=-1)
    valid &= (confidence > 0) & (confidence >= min_confidence)
    return COCO_17_TO_OPENPOSE_137.apply(xy, confidence, valid)

"""RTMPose and its whole-body kin as a pose estimator: 133 points on the track's box.

No detector runs here: the track says where the person is. Each frame is measured for itself, so
nothing is carried from one to the next. Decided here: the track's box has a margin already, so it
is cut out as it is, and what the model claims outside of it or of the picture is masked, because
there it saw somebody else or nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated

import numpy as np
from annotated_types import Ge, Le

from emoframe import file_hash
from emoframe.records import Keypoints
from emoframe.skeleton import WHOLEBODY_133_TO_OPENPOSE_137
from emoframe_rtmlib.model import DEFAULT, POINTS, Model, find, runtime_version

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emoframe.records import Frames, Track


class RtmPose:
    """RTMPose, DWPose or RTMW: whole-body points by an ONNX model.

    The points are those of COCO-WholeBody. There are no pupils among them: the mean of an eye's
    points stands for one, at half the confidence.

    Source: https://arxiv.org/abs/2303.07399, https://arxiv.org/abs/2407.08634 (Apache-2.0).

    Args:
        weights: Path of an ONNX file, or the name of one in `~/.cache/emoframe/rtmlib`.
        min_confidence: Points of a lower confidence are masked.
        padding: What the sides of the person's box are multiplied by before it is cut out.
        batch: People computed together, where the model was exported for more than one.
        device: Where it computes: `cpu`, `cuda:0`, ...
    """

    not_in_key = ("weights", "batch")

    layout = "openpose_137"

    def __init__(
        self,
        *,
        weights: str = DEFAULT,
        min_confidence: Annotated[float, Ge(0), Le(1)] = 0.3,
        padding: Annotated[float, Ge(1)] = 1.0,
        batch: Annotated[int, Ge(1)] = 8,
        device: str = "cpu",
    ) -> None:
        self.weights = weights
        self.min_confidence, self.padding = min_confidence, padding
        self.batch, self.device = batch, device
        self._model: Model | None = None

    def estimate(self, chunks: Iterable[Frames], track: Track) -> Iterator[Keypoints]:
        """Yield one `Keypoints` per chunk, in source pixels.

        Args:
            chunks: The frames of one video, in order.
            track: The person in it; a frame without a box is all masked.

        Raises:
            ComponentError: The weights are not here or hold no whole-body model.
        """
        self._model = self._model or Model(find(self.weights), self.device)
        return map(partial(self._measure, self._model, track), chunks)

    def fingerprint(self) -> dict[str, str]:
        """Return the sha256 of the weights, and the version of what runs them.

        Raises:
            ComponentError: The weights are not here.
        """
        return {"weights": file_hash(find(self.weights)), "onnxruntime": runtime_version()}

    def _measure(self, model: Model, track: Track, chunk: Frames) -> Keypoints:
        box = track.box[chunk.index]
        xy = np.full((len(chunk), POINTS, 2), np.nan, np.float32)
        confidence = np.zeros((len(chunk), POINTS), np.float32)
        seen = np.flatnonzero(track.valid[chunk.index])
        for start in range(0, len(seen), self.batch):
            some = seen[start : start + self.batch]
            pictures = [chunk.rgb[n] for n in some]
            xy[some], score = model.measure(pictures, [*box[some]], self.padding)
            confidence[some] = np.clip(score, 0, 1)
        valid = (confidence > 0) & (confidence >= self.min_confidence)
        valid &= _inside(xy, box, chunk.rgb.shape[2:0:-1])
        mapped = WHOLEBODY_133_TO_OPENPOSE_137.apply(xy, confidence, valid)
        cut = track.cut[chunk.index]
        return Keypoints(*mapped, chunk.time_s, self.layout, box=box, cut=cut)


def _inside(
    xy: NDArray[np.float32], box: NDArray[np.float32], size: tuple[int, ...]
) -> NDArray[np.bool_]:
    """Say which points lie in their frame's box and in the picture; false where there is none."""
    low, high = np.maximum(box[:, None, :2], 0), np.minimum(box[:, None, 2:], size)
    return np.all((xy >= low) & (xy < high), axis=-1)

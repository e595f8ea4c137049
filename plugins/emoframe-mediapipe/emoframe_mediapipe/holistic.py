"""MediaPipe Holistic as a pose estimator: one person's body, face and hands in `openpose_137`.

Opened once per video, with the models inside mediapipe's wheel or in a file (`graphs`). The person
is shown to it on a canvas that stands still (`canvas`); what it returns without having seen it is
masked (`points`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from annotated_types import Ge, Le

from emoframe import file_hash
from emoframe.records import Keypoints
from emoframe.skeleton import MEDIAPIPE_TO_OPENPOSE_137
from emoframe_mediapipe.canvas import canvases, paste
from emoframe_mediapipe.graphs import Graph, Settings, open_graph, task_file
from emoframe_mediapipe.points import BODY, POINTS, mask_unseen

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emoframe.records import Frames, Track

Probability = Annotated[float, Ge(0), Le(1)]


class MediaPipe:
    """MediaPipe Holistic, pupils included, with the models of its wheel or of a file.

    Args:
        model: A holistic_landmarker.task for MediaPipe's Tasks. Null takes the models inside the
            wheel of mediapipe before 0.10.30, and with a later one the file in
            `~/.cache/emoframe/mediapipe`.
        min_detection_confidence: Least score at which the person is found anew.
        min_tracking_confidence: Least score at which the person counts as still tracked.
        min_visibility: Body points of a lower visibility are masked.
        smooth: Let MediaPipe smooth the body over time; it halves the jitter and lags a little.
            Tasks without it look at every frame for itself, which is slower.
    """

    not_in_key = ("model",)

    layout = "openpose_137"

    def __init__(
        self,
        *,
        model: Path | None = None,
        min_detection_confidence: Probability = 0.5,
        min_tracking_confidence: Probability = 0.5,
        min_visibility: Probability = 0.5,
        smooth: bool = True,
    ) -> None:
        self.model, self.min_visibility = model, min_visibility
        self.settings = Settings(min_detection_confidence, min_tracking_confidence, smooth)

    def estimate(self, chunks: Iterable[Frames], track: Track) -> Iterator[Keypoints]:
        """Yield one `Keypoints` per chunk, in source pixels.

        Args:
            chunks: The frames of one video, in order.
            track: The person in it; a frame without a box is all masked.

        Raises:
            ComponentError: No mediapipe that works is installed, or its models are not here.
        """
        canvas, fresh = canvases(track)
        graph = open_graph(self.settings, self.model)
        try:
            yield from map(partial(self._measure, graph, track, canvas, fresh), chunks)
        finally:
            graph.close()

    def fingerprint(self) -> dict[str, str]:
        """Return the version of mediapipe, whose wheel holds graph and models, or their hash.

        Raises:
            ComponentError: No mediapipe that works is installed, or its models are not here.
        """
        file = task_file(self.model)
        models = {} if file is None else {"model": file_hash(file)}
        return {"mediapipe": version("mediapipe"), **models}

    def _measure(
        self,
        graph: Graph,
        track: Track,
        canvas: Track,
        fresh: NDArray[np.bool_],
        chunk: Frames,
    ) -> Keypoints:
        xy = np.full((len(chunk), POINTS, 2), np.nan, np.float32)
        confidence = np.zeros((len(chunk), POINTS), np.float32)
        valid = np.zeros((len(chunk), POINTS), np.bool_)
        for n, t in enumerate(chunk.index):
            if fresh[t]:
                graph.restart()
            if track.valid[t]:
                crop, corner = track.crop(chunk.rgb[n], t)
                whole, origin = canvas.crop(chunk.rgb[n], t)
                picture = paste(crop, np.subtract(corner, origin), whole.shape)
                found, confidence[n] = graph.measure(picture, float(chunk.time_s[n]))
                xy[n] = found + origin
                valid[n] = _inside(xy[n], crop, corner)
                valid[n, BODY] &= confidence[n, BODY] >= self.min_visibility
                mask_unseen(xy[n], valid[n])
        mapped = MEDIAPIPE_TO_OPENPOSE_137.apply(xy, confidence, valid)
        here = chunk.index
        return Keypoints(
            *mapped, chunk.time_s, self.layout, box=track.box[here], cut=track.cut[here]
        )


def _inside(
    xy: NDArray[np.float32], crop: NDArray[np.uint8], corner: tuple[int, int]
) -> NDArray[np.bool_]:
    """Say which points lie in the crop; false where a point was not found."""
    local, (height, width) = xy - corner, crop.shape[:2]
    return np.all((local >= 0) & (local < (width, height)), axis=-1)

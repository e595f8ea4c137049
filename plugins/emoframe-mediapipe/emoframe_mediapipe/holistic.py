"""MediaPipe Holistic as a pose estimator: one person's body, face and hands in `openpose_137`.

Opened once per video, with the models inside mediapipe's wheel. The person is shown to it on a
canvas that stands still (`canvas`); what it returns without having seen it is masked (`points`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from annotated_types import Ge, Le

from emoframe import ComponentError
from emoframe.records import Keypoints
from emoframe.skeleton import MEDIAPIPE_TO_OPENPOSE_137
from emoframe_mediapipe.canvas import canvases, paste
from emoframe_mediapipe.points import BODY, FACE, LEFT_HAND, RIGHT_HAND, mask_unseen
from emoframe_mediapipe.quiet import without_notices

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emoframe.records import Frames, Track

Probability = Annotated[float, Ge(0), Le(1)]


class MediaPipe:
    """MediaPipe Holistic with the models of its wheel, pupils included.

    Args:
        min_detection_confidence: Least score at which the person is found anew.
        min_tracking_confidence: Least score at which the person counts as still tracked.
        min_visibility: Body points of a lower visibility are masked.
        smooth: Let MediaPipe smooth the body over time; it halves the jitter and lags a little.
    """

    layout = "openpose_137"

    def __init__(
        self,
        *,
        min_detection_confidence: Probability = 0.5,
        min_tracking_confidence: Probability = 0.5,
        min_visibility: Probability = 0.5,
        smooth: bool = True,
    ) -> None:
        self.min_detection_confidence = min_detection_confidence
        self.min_tracking_confidence = min_tracking_confidence
        self.min_visibility, self.smooth = min_visibility, smooth

    def estimate(self, chunks: Iterable[Frames], track: Track) -> Iterator[Keypoints]:
        """Yield one `Keypoints` per chunk, in source pixels.

        Args:
            chunks: The frames of one video, in order.
            track: The person in it; a frame without a box is all masked.

        Raises:
            ComponentError: No mediapipe that has the holistic models is installed.
        """
        canvas, fresh = canvases(track)
        tracker = _Tracker(self._open())
        try:
            yield from map(partial(self._measure, tracker, track, canvas, fresh), chunks)
        finally:
            tracker.graph.close()

    def fingerprint(self) -> dict[str, str]:
        """Return the version of mediapipe, whose wheel holds graph and models."""
        return {"mediapipe": version("mediapipe")}

    def _open(self) -> Any:
        with without_notices():
            try:
                from mediapipe.python.solutions.holistic import Holistic
            except ImportError as error:
                raise ComponentError(
                    "pose_estimator 'mediapipe' needs a mediapipe that still has the holistic "
                    "models in it; run: pip install 'mediapipe>=0.10.21,<0.10.30'"
                ) from error
            return Holistic(
                model_complexity=1,
                refine_face_landmarks=True,
                smooth_landmarks=self.smooth,
                min_detection_confidence=self.min_detection_confidence,
                min_tracking_confidence=self.min_tracking_confidence,
            )

    def _measure(
        self,
        tracker: _Tracker,
        track: Track,
        canvas: Track,
        fresh: NDArray[np.bool_],
        chunk: Frames,
    ) -> Keypoints:
        frames, points = len(chunk), MEDIAPIPE_TO_OPENPOSE_137.num_source
        xy = np.full((frames, points, 2), np.nan, np.float32)
        confidence = np.zeros((frames, points), np.float32)
        valid = np.zeros((frames, points), np.bool_)
        for n, t in enumerate(chunk.index):
            if fresh[t]:
                tracker.restart()
            if track.valid[t]:
                crop, corner = track.crop(chunk.rgb[n], t)
                whole, origin = canvas.crop(chunk.rgb[n], t)
                picture = paste(crop, np.subtract(corner, origin), whole.shape)
                found, confidence[n] = _landmarks(tracker.process(picture), picture.shape)
                xy[n] = found + origin
                valid[n] = _inside(xy[n], crop, corner)
                valid[n, BODY] &= confidence[n, BODY] >= self.min_visibility
                mask_unseen(xy[n], valid[n])
        mapped = MEDIAPIPE_TO_OPENPOSE_137.apply(xy, confidence, valid)
        here = chunk.index
        return Keypoints(
            *mapped, chunk.time_s, self.layout, box=track.box[here], cut=track.cut[here]
        )


class _Tracker:
    """A graph that starts afresh on demand, without its notices."""

    def __init__(self, graph: Any) -> None:
        self.graph, self.running = graph, False

    def restart(self) -> None:
        if self.running:
            self.graph.reset()
            self.running = False

    def process(self, picture: NDArray[np.uint8]) -> Any:
        if self.running:
            return self.graph.process(picture)
        self.running = True
        with without_notices():
            return self.graph.process(picture)


def _landmarks(
    result: Any, shape: tuple[int, ...]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return all source points of one picture, in its pixels, and their confidence."""
    xy = np.full((MEDIAPIPE_TO_OPENPOSE_137.num_source, 2), np.nan, np.float32)
    confidence = np.zeros(len(xy), np.float32)
    for part, found in (
        (BODY, result.pose_landmarks),
        (FACE, result.face_landmarks),
        (LEFT_HAND, result.left_hand_landmarks),
        (RIGHT_HAND, result.right_hand_landmarks),
    ):
        if found is not None:
            xy[part] = [(point.x, point.y) for point in found.landmark]
            confidence[part] = [point.visibility for point in found.landmark] if part == BODY else 1
    return xy * (shape[1], shape[0]), confidence


def _inside(
    xy: NDArray[np.float32], crop: NDArray[np.uint8], corner: tuple[int, int]
) -> NDArray[np.bool_]:
    """Say which points lie in the crop; false where a point was not found."""
    local, (height, width) = xy - corner, crop.shape[:2]
    return np.all((local >= 0) & (local < (width, height)), axis=-1)

"""The two ways to run MediaPipe Holistic, behind one face: `measure`, `restart`, `close`.

Up to 0.10.21 the graph and its models lie inside mediapipe's wheel. Later releases have Tasks
instead, which need a file of models. Decided here, after trying each release: Tasks of 0.10.21 end
the whole process where nobody is seen, 0.10.30 to 0.10.32 have no holistic one, and from 1.0 on
they report their use to Google and cannot be told not to, so Tasks run on what lies between.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from emoframe import ComponentError
from emoframe_mediapipe.points import BODY, FACE, LEFT_HAND, POINTS, RIGHT_HAND
from emoframe_mediapipe.quiet import without_notices

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Landmarks = tuple[NDArray[np.float32], NDArray[np.float32]]

WITHOUT_SOLUTIONS, FIRST_TASKS, FIRST_REPORTING = (0, 10, 30), (0, 10, 33), (1,)
FILE = "holistic_landmarker.task"
PUBLISHED = (
    "https://storage.googleapis.com/mediapipe-models/holistic_landmarker/holistic_landmarker/"
    f"float16/latest/{FILE}"
)
BUNDLED = "pip install 'mediapipe>=0.10.21,<0.10.30'"


@dataclass(frozen=True)
class Settings:
    """What both ways can be told.

    Attributes:
        min_detection_confidence: Least score at which the person is found anew.
        min_tracking_confidence: Least score at which the person counts as still tracked.
        smooth: Whether points are smoothed over time.
    """

    min_detection_confidence: float
    min_tracking_confidence: float
    smooth: bool


class Graph(Protocol):
    """A running MediaPipe Holistic."""

    def measure(self, picture: NDArray[np.uint8], time_s: float) -> Landmarks:
        """Return all 553 points in pixels, NaN where there is none, and their confidence."""
        ...

    def restart(self) -> None:
        """Forget whom it has seen."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


class Solutions:
    """The graph and the models inside mediapipe's own wheel.

    Raises:
        ComponentError: This mediapipe has none.
    """

    def __init__(self, settings: Settings) -> None:
        with without_notices():
            try:
                from mediapipe.python.solutions.holistic import Holistic
            except ImportError as error:
                raise _lacking() from error
            self._graph: Any = Holistic(
                model_complexity=1,
                refine_face_landmarks=True,
                smooth_landmarks=settings.smooth,
                min_detection_confidence=settings.min_detection_confidence,
                min_tracking_confidence=settings.min_tracking_confidence,
            )
        self._running = False

    def measure(self, picture: NDArray[np.uint8], time_s: float) -> Landmarks:
        """Return all 553 points in pixels; the graph counts its own time."""
        with nullcontext() if self._running else without_notices():
            result = self._graph.process(picture)
        self._running = True
        found = (
            (BODY, result.pose_landmarks),
            (FACE, result.face_landmarks),
            (LEFT_HAND, result.left_hand_landmarks),
            (RIGHT_HAND, result.right_hand_landmarks),
        )
        return _gathered(((part, one.landmark) for part, one in found if one is not None), picture)

    def restart(self) -> None:
        """Forget whom it has seen."""
        if self._running:
            self._graph.reset()
            self._running = False

    def close(self) -> None:
        """Let go of the graph."""
        self._graph.close()


class Tasks:
    """MediaPipe's Tasks with a file of models.

    Without smoothing every picture is looked at for itself, and nobody is tracked: Tasks have no
    switch for the one without the other.
    """

    def __init__(self, settings: Settings, model: Path) -> None:
        self._settings, self._model = settings, model
        self._landmarker = self._open()
        self._last_ms = -1

    def measure(self, picture: NDArray[np.uint8], time_s: float) -> Landmarks:
        """Return all 553 points in pixels."""
        from mediapipe import Image, ImageFormat

        image = Image(image_format=ImageFormat.SRGB, data=np.ascontiguousarray(picture))
        with nullcontext() if self._last_ms >= 0 else without_notices():
            self._last_ms = max(self._last_ms + 1, round(time_s * 1000))  # it must go forward
            result = (
                self._landmarker.detect_for_video(image, self._last_ms)
                if self._settings.smooth
                else self._landmarker.detect(image)
            )
        found = (
            (BODY, result.pose_landmarks),
            (FACE, result.face_landmarks),
            (LEFT_HAND, result.left_hand_landmarks),
            (RIGHT_HAND, result.right_hand_landmarks),
        )
        return _gathered(((part, points) for part, points in found if points), picture)

    def restart(self) -> None:
        """Forget whom it has seen; Tasks cannot, a new one can."""
        if self._last_ms >= 0:
            self.close()
            self._landmarker, self._last_ms = self._open(), -1

    def close(self) -> None:
        """Let go of the models."""
        self._landmarker.close()

    def _open(self) -> Any:
        with without_notices():
            from mediapipe.tasks.python import BaseOptions, vision

            least, mode = self._settings, vision.RunningMode
            options = vision.HolisticLandmarkerOptions(
                base_options=BaseOptions(model_asset_path=str(self._model)),
                running_mode=mode.VIDEO if least.smooth else mode.IMAGE,
                min_face_detection_confidence=least.min_detection_confidence,
                min_pose_detection_confidence=least.min_detection_confidence,
                min_face_landmarks_confidence=least.min_tracking_confidence,
                min_pose_landmarks_confidence=least.min_tracking_confidence,
                min_hand_landmarks_confidence=least.min_tracking_confidence,
            )
            try:
                return vision.HolisticLandmarker.create_from_options(options)
            except (RuntimeError, ValueError, OSError) as error:
                raise ComponentError(
                    f"pose_estimator mediapipe: {self._model} is no bundle of holistic models "
                    f"({next(iter(str(error).splitlines()), '')}); fetch {PUBLISHED}"
                ) from error


def open_graph(settings: Settings, model: Path | None) -> Graph:
    """Start MediaPipe Holistic in the way that this mediapipe and `model` ask for.

    Raises:
        ComponentError: This mediapipe cannot, or there are no models.
    """
    file = task_file(model)
    return Solutions(settings) if file is None else Tasks(settings, file)


def task_file(model: Path | None) -> Path | None:
    """Return the file of models for Tasks; None where the wheel's own models are used.

    Raises:
        ComponentError: This mediapipe cannot use it, or it is not there.
    """
    try:
        installed = version("mediapipe")
    except PackageNotFoundError as error:
        raise _lacking() from error
    number = tuple(int(digits) for digits in re.findall(r"\d+", installed)[:3])
    if model is None and number < WITHOUT_SOLUTIONS:
        return None
    if not FIRST_TASKS <= number < FIRST_REPORTING:
        why = (
            "reports its use to Google and cannot be told not to"
            if number >= FIRST_REPORTING
            else "has no usable holistic task"
        )
        raise ComponentError(
            f"pose_estimator mediapipe: mediapipe {installed} {why}; {BUNDLED}, whose models lie "
            f"inside, or, to use a {FILE}, pip install 'mediapipe>=0.10.33,<1'"
        )
    file = _kept() if model is None else model.expanduser()
    if not file.is_file():
        raise (
            _lacking()
            if model is None
            else ComponentError(
                f"pose_estimator mediapipe: model={str(model)!r} is no file; fetch {PUBLISHED}"
            )
        )
    return file


def _lacking() -> ComponentError:
    return ComponentError(
        "pose_estimator mediapipe: there are no holistic models here; "
        f"{BUNDLED}, whose wheel holds them, or with a newer mediapipe fetch {PUBLISHED} and put "
        f"it at {_kept()}, or give model=PATH of it"
    )


def _kept() -> Path:
    """Name the place where the file of models is looked for."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "emoframe" / "mediapipe" / FILE


def _gathered(
    found: Iterable[tuple[slice, Sequence[Any]]], picture: NDArray[np.uint8]
) -> Landmarks:
    """Put what was found of each part into its place, in pixels of the picture."""
    xy, confidence = np.full((POINTS, 2), np.nan, np.float32), np.zeros(POINTS, np.float32)
    for part, points in found:
        xy[part] = [(point.x, point.y) for point in points]
        confidence[part] = [point.visibility for point in points] if part == BODY else 1
    return xy * (picture.shape[1], picture.shape[0]), confidence

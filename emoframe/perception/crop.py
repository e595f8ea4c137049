"""From everybody in each frame to one person through the video.

The main person of a clip is large and central; after that, the box that overlaps most with the
last one is the same person. It is decided by geometry alone: who somebody is, and where a shot
ends, are not looked at here. Where the person was lost and somebody is found again, the track says
`cut`, and nothing is smoothed or followed across it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
from annotated_types import Ge, Le
from scipy.ndimage import median_filter

from emoframe.core.errors import ComponentError
from emoframe.records import Boxes, Frames, Track

if TYPE_CHECKING:
    from numpy.typing import NDArray

POLICY = "starts with the largest and most central person, then takes the best overlap"


@dataclass(frozen=True)
class CropSettings:
    """How one person is chosen, followed and cut out.

    Attributes:
        min_score: Boxes of a lower detector score are passed over.
        min_overlap: Least overlap (IoU) with the last box to be the same person.
        carry_frames: Frames without a detection for which the last box is kept.
        smooth_frames: Length in frames of the running median over the box; 1 leaves it as it is.
        pad: Margin on each side, as a share of the box's width and height.
    """

    min_score: Annotated[float, Ge(0), Le(1)] = 0.25
    min_overlap: Annotated[float, Ge(0), Le(1)] = 0.1
    carry_frames: Annotated[int, Ge(0)] = 12
    smooth_frames: Annotated[int, Ge(1)] = 25
    pad: Annotated[float, Ge(0)] = 0.1


def track_person(seen: Iterable[tuple[Frames, list[Boxes]]], settings: CropSettings) -> Track:
    """Follow one person through a video.

    Args:
        seen: Chunk by chunk the frames, of which only size and time are kept, and who is in them.
        settings: How to choose and follow.

    Returns:
        One box per frame, smoothed, padded and clipped to the picture; NaN where nobody is.

    Raises:
        ComponentError: The detector gave more or fewer answers than frames.
    """
    follower = _Follower(settings)
    boxes: list[NDArray[np.float32]] = []
    cuts: list[bool] = []
    times: list[NDArray[np.float64]] = []
    size = np.zeros(2, np.float32)
    for frames, found in seen:
        if len(found) != len(frames):
            raise ComponentError(
                f"the detector gave {len(found)} results for {len(frames)} frames; it must give "
                "one `Boxes` per frame, an empty one where nobody is seen"
            )
        size = np.array(frames.rgb.shape[2:0:-1], np.float32)
        times.append(frames.time_s)
        for people in found:
            box, cut = follower.step(people, size)
            boxes.append(box)
            cuts.append(cut)
    box, cut = np.reshape(boxes, (-1, 4)).astype(np.float32), np.array(cuts, np.bool_)
    for part in _unbroken(box, cut):
        box[part] = _padded(_smoothed(box[part], settings.smooth_frames), settings.pad, size)
    return Track(box, cut, np.concatenate(times) if times else np.empty(0), POLICY)


class _Follower:
    """Remembers whom it follows, and for how long they have not been seen."""

    def __init__(self, settings: CropSettings) -> None:
        self.settings = settings
        self.last: NDArray[np.float32] | None = None
        self.unseen = 0
        self.lost = False

    def step(self, people: Boxes, size: NDArray[np.float32]) -> tuple[NDArray[np.float32], bool]:
        """Return the person's box in the next frame, NaN for none, and whether a cut is there."""
        boxes = self._usable(people)
        if self.last is not None:
            overlap = _overlap(boxes, self.last)
            if overlap.size and overlap.max() >= self.settings.min_overlap:
                return self._take(boxes[overlap.argmax()]), False
            self.unseen += 1
            if self.unseen <= self.settings.carry_frames:
                return self.last, False
            self.last, self.lost = None, True
        if not len(boxes):
            return np.full(4, np.nan, np.float32), False
        cut, self.lost = self.lost, False
        return self._take(boxes[_prominence(boxes, size).argmax()]), cut

    def _take(self, box: NDArray[np.float32]) -> NDArray[np.float32]:
        self.last, self.unseen = box, 0
        return box

    def _usable(self, people: Boxes) -> NDArray[np.float32]:
        """Leave out doubtful boxes and those without an area."""
        boxes = np.reshape(people.xyxy, (-1, 4))
        keep = (people.score >= self.settings.min_score) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        return boxes[keep & np.isfinite(boxes).all(axis=1)]


def _prominence(boxes: NDArray[np.float32], size: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weigh area by nearness to the middle of the picture: 1 there, 0 in its corners, (B,)."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    distance = np.linalg.norm(centre - size / 2, axis=1) / np.linalg.norm(size / 2)
    return np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) * np.clip(1 - distance, 0, 1)


def _overlap(boxes: NDArray[np.float32], box: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of each of B boxes with one, (B,)."""
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    common = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return common / (areas + np.prod(box[2:] - box[:2]) - common)


def _unbroken(box: NDArray[np.float32], cut: NDArray[np.bool_]) -> Iterator[slice]:
    """Find the stretches in which the person has a box and no cut lies."""
    valid = np.isfinite(box).all(axis=1)
    run = np.cumsum(cut | np.diff(valid, prepend=False))
    for number in np.unique(run[valid]):
        where = np.flatnonzero(run == number)
        yield slice(where[0], where[-1] + 1)


def _smoothed(box: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    return median_filter(box, size=(frames, 1), mode="nearest")


def _padded(box: NDArray[np.float32], pad: float, size: NDArray[np.float32]) -> NDArray[np.float32]:
    margin = (box[:, 2:] - box[:, :2]) * pad
    grown = np.concatenate([box[:, :2] - margin, box[:, 2:] + margin], axis=1)
    return np.clip(grown, 0, np.tile(size, 2)).astype(np.float32)

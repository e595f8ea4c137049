"""Keypoint features, computed by the data side and never by a backbone (W2S-14 to W2S-18).

Decided here:
    * A frame's features are its coordinates, its offsets lag by lag, and one 0/1 validity channel
      per lag, so that a zero offset and an unknown one can be told apart.
    * Lags are seconds, rounded on the source timeline; offsets are differences on that dense
      timeline, taken before sampling. None spans a gap, a
      shot cut or a change of person, as far as the keypoints mark them.
    * Per-frame boxes jitter. By default an offset is therefore measured in source pixels and
      divided by the box of frame t; `offset_space: box` differences the normalised coordinates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal
from zlib import crc32

import numpy as np
from annotated_types import Gt
from numpy.typing import NDArray

from emoframe.core.errors import ConfigError, Problem
from emoframe.learning.augment import Augmentation, Reference
from emoframe.records import Keypoints, View

Change = Callable[
    [NDArray[Any], NDArray[np.bool_], Reference],
    tuple[NDArray[Any], NDArray[np.bool_], NDArray[Any]],
]
GAP_STEPS, GAP_LAGS = 1.5, 0.3
"""A step of the timeline is a gap if longer than 1.5 usual steps and than 0.3 of the shortest lag
(0.096 s by default): variable frame rates and a single dropped frame are none."""


@dataclass(frozen=True)
class KeypointView:
    """How the keypoints of a clip are sampled.

    Attributes:
        frames: Most frames a view has; longer clips are sampled, stratified.
        lags_s: Lags of the offsets in seconds; the paper's 8, 16 and 24 frames at 25 per second.
        offset_space: Differences of source pixels over the box of frame t, or of box coordinates.
        augment: What training changes at random; nothing, unless asked for.
    """

    frames: Annotated[int, Gt(0)] = 4000
    lags_s: tuple[float, ...] = (0.32, 0.64, 0.96)
    offset_space: Literal["pixel", "box"] = "pixel"
    augment: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        """Refuse lags that are no lags."""
        if any(not 0 < lag < np.inf for lag in self.lags_s) or len(set(self.lags_s)) < len(
            self.lags_s
        ):
            raise ConfigError(
                [Problem("lags_s", f"must be positive and all different, got {list(self.lags_s)}")]
            )


def channels(dims: int, lags: int) -> int:
    """Return C: coordinates, offsets and one validity channel per lag (2-D, three lags: 11)."""
    return dims + lags * (dims + 1)


def rng(view: View, sample_id: str) -> np.random.Generator:
    """Return the generator of one view of one sample: a pure function of its arguments."""
    return np.random.default_rng([view.seed, view.epoch, crc32(sample_id.encode()), view.index])


def sample_frames(
    total: int, wanted: int, generator: np.random.Generator | None
) -> NDArray[np.int64]:
    """Choose frames in order: all of them, or one from each of `wanted` equal strata (W2S-18).

    Args:
        total: Frames of the clip.
        wanted: Most frames to choose.
        generator: Draws inside each stratum; None takes the middle of each.
    """
    if total <= wanted:
        return np.arange(total)
    edges = np.linspace(0, total, wanted + 1)
    inside = np.full(wanted, 0.5) if generator is None else generator.random(wanted)
    chosen = np.floor(edges[:-1] + inside * np.diff(edges)).astype(np.int64)
    return np.maximum.accumulate(np.minimum(chosen, total - 1))


def keypoint_features(
    keypoints: Keypoints,
    view: KeypointView,
    frames: NDArray[np.int64],
    change: Change | None = None,
    clock: float = 1.0,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Compute the features of chosen frames.

    Args:
        keypoints: The whole clip, on its dense timeline.
        view: Lags and offset space.
        frames: Indices of the wanted frames.
        change: Moves and masks joints, `augment.in_space` but for its settings; None changes
            nothing.
        clock: Seconds that one second of the clip counts for; a lag spans the fewer of its frames.

    Returns:
        x_TVC, with zeros where nothing was measured, and mask_TV of coordinate validity.
    """
    reference = _frame_of_reference(keypoints)
    origin, scale, _ = reference
    known = keypoints.valid & np.all(np.isfinite(scale), axis=-1, keepdims=True)
    xy = np.where(known[..., None], keypoints.xy, np.float32(0))
    if change is not None:
        xy, known, origin = change(xy, known, reference)
    segment = _segments(keypoints, min(view.lags_s, default=0.0))
    dims, lags = xy.shape[-1], len(view.lags_s)
    x = np.empty((len(frames), xy.shape[1], channels(dims, lags)), np.float32)
    here, mask = xy[frames], known[frames]
    # a frame without a box holds no known joint; any numbers do for it
    low, size = np.nan_to_num(origin)[:, None], np.nan_to_num(scale, nan=1.0)[:, None]
    place = (here - low[frames]) / size[frames]
    np.multiply(place, mask[..., None], out=x[..., :dims])
    for n, lag in enumerate(view.lags_s):
        before = _lagged(keypoints.time_s, frames, lag / clock)
        valid = mask & known[before] & _joined(segment, frames, before)[:, None]
        if view.offset_space == "pixel":
            offset = (here - xy[before]) / size[frames]
        else:
            offset = place - (xy[before] - low[before]) / size[before]
        np.multiply(offset, valid[..., None], out=x[..., dims * (n + 1) : dims * (n + 2)])
        x[..., dims * (1 + lags) + n] = valid
    return x, mask


def _frame_of_reference(keypoints: Keypoints) -> Reference:
    """Return what each frame is measured against.

    With boxes, the top left corner and the box size (W2S-14). Without, the extent of the valid
    points over the whole clip, one scale for all axes.
    """
    total, dims = len(keypoints), keypoints.xy.shape[-1]
    if keypoints.box is not None and dims == 2:
        box = keypoints.box
        size = box[:, 2:] - box[:, :2]
        size = np.where(size > 0, size, np.nan)
        return Reference(box[:, :2], size, box[:, :2] + size / 2)
    if not keypoints.valid.any():
        nothing = np.zeros((total, dims), np.float32)
        return Reference(nothing, nothing + 1, nothing)
    # axis by axis: numpy reduces over a last axis of two or three some ten times slower
    axes = np.moveaxis(keypoints.xy, -1, 0)
    low = np.array([np.min(np.where(keypoints.valid, axis, np.inf)) for axis in axes])
    high = np.array([np.max(np.where(keypoints.valid, axis, -np.inf)) for axis in axes])
    extent = float((high - low).max())
    scale = np.full((total, dims), extent if extent > 0 else 1.0, np.float32)
    origin, centre = (
        np.tile(point.astype(np.float32), (total, 1)) for point in (low, (low + high) / 2)
    )
    return Reference(origin, scale, centre)


def _segments(keypoints: Keypoints, shortest_lag: float) -> NDArray[np.int64]:
    """Number the stretches that an offset may not leave; -1 where the person has no box."""
    steps = np.diff(keypoints.time_s)
    usual = float(np.median(steps)) if len(steps) else 0.0
    starts = np.concatenate([[False], steps > max(GAP_STEPS * usual, GAP_LAGS * shortest_lag)])
    if keypoints.cut is not None:
        starts = starts | keypoints.cut
    boxed = np.ones(len(keypoints), bool)
    if keypoints.box is not None:
        boxed = np.all(np.isfinite(keypoints.box), 1)
        starts = starts | np.concatenate([[False], boxed[1:] & ~boxed[:-1]])
    return np.where(boxed, np.cumsum(starts), -1)


def _lagged(
    time_s: NDArray[np.float64], frames: NDArray[np.int64], lag: float
) -> NDArray[np.int64]:
    """Find the frame nearest to `lag` seconds before each frame; -1 where the clip begins later."""
    wanted = time_s[frames] - lag
    right = np.clip(np.searchsorted(time_s, wanted), 1, max(len(time_s) - 1, 1))
    if len(time_s) < 2:
        return np.full(len(frames), -1)
    nearer = np.where(wanted - time_s[right - 1] <= time_s[right] - wanted, right - 1, right)
    half_step = 0.5 * float(np.median(np.diff(time_s)))
    return np.where((wanted >= time_s[0] - half_step) & (nearer < frames), nearer, -1)


def _joined(
    segment: NDArray[np.int64], frames: NDArray[np.int64], before: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Say whether a frame and its lagged frame belong to the same stretch."""
    return (before >= 0) & (segment[frames] == segment[before]) & (segment[frames] >= 0)

"""A clip's points on its clock: complex numbers in pixels, not a number where nothing was measured.

Decided here: a point is x + iy, so that a turn and a scaling are one product and what is missing
spreads by itself through every formula; time is the frames' own where that can be used, else it is
counted; nothing spans a cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoframe.core.errors import DataError
from emoframe.records import Keypoints
from emoframe.skeleton import OPENPOSE_137

Floats = NDArray[np.floating[Any]]
Points = NDArray[np.complex128]
Bools = NDArray[np.bool_]
GONE = complex(np.nan, np.nan)
"""A point that was not measured: both parts are no number, else its y would read as 0."""
FPS = 25.0
"""Frames per second where neither the times nor the clip say."""


@dataclass(frozen=True)
class Track:
    """The points of one person over time.

    Attributes:
        z: Points x + iy in the unit of the keypoints, NaN where not measured, (T, 137).
        confidence: The estimator's, 0 where not measured, (T, 137).
        time_s: Seconds, increasing, (T,).
        shot: Number of the shot that a frame belongs to, (T,).
        step_s: Median time between frames in seconds.
        counted: Whether the times are counted, since those given could not be used.
    """

    z: Points
    confidence: Floats
    time_s: Floats
    shot: NDArray[np.int64]
    step_s: float
    counted: bool

    def __len__(self) -> int:
        """Number of frames T."""
        return len(self.time_s)

    def window(self, seconds: float) -> int:
        """Return the odd number of frames nearest to a time, at least 1."""
        return 2 * max(0, round((seconds / self.step_s - 1) / 2)) + 1

    def smooth(self, values: Any, seconds: float) -> Any:
        """Return the running mean over what was measured within a shot; NaN stays NaN."""
        half = self.window(seconds) // 2
        known = np.isfinite(values)
        filled = np.where(known, values, 0)
        total, count = filled.copy(), known.astype(float)
        for lag in range(1, half + 1):
            same = (self.shot[lag:] == self.shot[:-lag]).astype(float)
            total[lag:] += filled[:-lag] * same
            total[:-lag] += filled[lag:] * same
            count[lag:] += known[:-lag] * same
            count[:-lag] += known[lag:] * same
        missing = GONE if np.iscomplexobj(values) else np.nan
        return np.where(known, total / np.maximum(count, 1), missing)


def track_of(keypoints: Keypoints, fps: float = FPS) -> Track:
    """Put keypoints on a clock.

    Args:
        keypoints: In `openpose_137`, 2-D or 3-D; of the latter x and y are read.
        fps: Frames per second, for clips whose times are no increasing numbers.

    Raises:
        DataError: They are of another layout.
    """
    if keypoints.layout != OPENPOSE_137.name:
        raise DataError(
            f"these keypoints are of the layout {keypoints.layout!r}; movements are read from "
            f"{OPENPOSE_137.name!r}, which every pose estimator here gives"
        )
    xy = keypoints.xy.astype(np.float64)
    valid = keypoints.valid & np.isfinite(xy[..., :2]).all(-1)
    z = np.where(valid, xy[..., 0] + 1j * xy[..., 1], GONE)
    time_s, counted = np.asarray(keypoints.time_s, np.float64), False
    if not (np.isfinite(time_s).all() and (np.diff(time_s) > 0).all()):
        fps = fps if np.isfinite(fps) and fps > 0 else FPS
        time_s, counted = np.arange(len(time_s)) / fps, True
    step_s = float(np.median(np.diff(time_s))) if len(time_s) > 1 else 1 / FPS
    cut = np.zeros(len(z), bool) if keypoints.cut is None else keypoints.cut
    confidence = np.where(valid, np.clip(np.nan_to_num(keypoints.confidence), 0, 1), 0)
    return Track(z, confidence.astype(np.float64), time_s, np.cumsum(cut), step_s, counted)


def nearest(known_T: Bools, time_s: Floats) -> NDArray[np.int64]:
    """Return for each frame the nearest one in time that is known; there must be one."""
    index = np.flatnonzero(known_T)
    after = np.clip(np.searchsorted(time_s[index], time_s), 0, len(index) - 1)
    before = np.maximum(after - 1, 0)
    late = time_s[index[after]] - time_s >= time_s - time_s[index[before]]
    return np.where(late, index[before], index[after])


def baseline(
    values_T: Floats, track: Track, quantile: float, own_s: float, least_s: float
) -> Floats:
    """Return what is usual for a signal, (T,): over the shot if that is long enough, else the clip.

    Args:
        values_T: The signal, NaN where not measured.
        track: Clock and shots.
        quantile: 0.5 is the median.
        own_s: Seconds of measurement that give a shot a baseline of its own.
        least_s: Seconds of measurement in the clip below which there is none: NaN.
    """
    known = np.isfinite(values_T)
    result = np.full(len(values_T), np.nan)
    if not known.any() or known.sum() * track.step_s < least_s:
        return result
    result[:] = np.quantile(values_T[known], quantile)
    counts = np.bincount(track.shot, weights=known)
    if len(counts) > 1:
        for shot in np.flatnonzero(counts * track.step_s >= own_s):
            here = track.shot == shot
            result[here] = np.quantile(values_T[here & known], quantile)
    return result

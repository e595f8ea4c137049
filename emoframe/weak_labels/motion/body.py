"""What arms, hands and torso do: signals in shoulder widths.

Decided here: a shoulder width is the median of the shot, since shoulders that turn away look
narrow; a body is told from its own shoulders' line, so that a tilted camera does not matter; a
camera that moves cannot be told from a body that does.
"""

from __future__ import annotations

import numpy as np

from emoframe.weak_labels.motion.hands import SIDES, hand_of
from emoframe.weak_labels.motion.signals import Signal
from emoframe.weak_labels.motion.thresholds import Measure
from emoframe.weak_labels.motion.track import GONE, Floats, Points, Track, baseline

NECK, R_SHOULDER, R_ELBOW, R_WRIST, L_SHOULDER, L_ELBOW, L_WRIST = 1, 2, 3, 4, 5, 6, 7
APART = -1.0
"""Crossing of arms of which one does not lie on the other."""
FAR = 9.0
WAYS = ("to the right", "to the left", "up", "down")
"""Ways of the torso, to the sides as the person has them, who faces the camera."""


def body_signals(track: Track, measure: Measure) -> list[Signal]:
    """Measure all signals of arms, hands and torso."""
    right, left = track.z[:, R_SHOULDER], track.z[:, L_SHOULDER]
    line = left - right
    width = baseline(np.abs(line), track, 0.5, measure.baseline_s, 0)
    scale = (np.where(np.abs(line) > 0, line / np.abs(line), GONE) * width).astype(np.complex128)
    middle = (left + right) / 2
    local = {n: (track.z[:, n] - middle) / scale for n in range(1, 8)}
    shoulders = track.confidence[:, [R_SHOULDER, L_SHOULDER]].min(1)
    arms = track.confidence[:, [R_SHOULDER, R_ELBOW, R_WRIST, L_SHOULDER, L_ELBOW, L_WRIST]].min(1)
    folded = _folded(local, measure)
    heights = {"shoulder_height": middle.imag / width, "shoulder_tilt": line.imag / width}
    return [
        Signal("arms_folded", folded, arms),
        _together(track, middle, scale, folded, measure),
        _way("torso_way", track, middle, width, measure.torso_s, measure.smooth_s, shoulders),
        _way("posture", track, middle, width, measure.posture_s, measure.posture_s / 2, shoulders),
        *(
            Signal(name, track.smooth(values, measure.smooth_s), shoulders)
            for name, values in heights.items()
        ),
    ]


def _folded(local: dict[int, Points], measure: Measure) -> Floats:
    """Return how far the wrists have passed each other, where each lies on the other forearm."""
    right = _to_segment(local[R_WRIST], local[L_ELBOW], local[L_WRIST])
    left = _to_segment(local[L_WRIST], local[R_ELBOW], local[R_WRIST])
    passed = (local[R_WRIST] - local[L_WRIST]).real
    on = (np.maximum(right, left) <= measure.arm_reach) & (local[R_WRIST].imag > 0)
    on &= local[L_WRIST].imag > 0
    return np.where(on | ~np.isfinite(passed + right + left), passed + 0 * (right + left), APART)


def _to_segment(z: Points, start: Points, end: Points) -> Floats:
    """Return the distance of points to segments."""
    along = end - start
    square = np.maximum(np.abs(along) ** 2, 1e-12)
    share = np.clip(((z - start) * np.conj(along)).real / square, 0, 1)
    return np.abs(z - start - share * along)


def _together(
    track: Track, middle: Points, scale: Points, folded: Floats, measure: Measure
) -> Signal:
    """Return the distance of the palms, below the shoulders and not in folded arms."""
    hands = [hand_of(track, side, measure) for side in SIDES]
    palms = [(hand.palm - middle) / scale for hand in hands]
    apart = np.abs(palms[0] - palms[1])
    high = np.minimum(palms[0].imag, palms[1].imag) < 0
    away = np.isfinite(apart) & (high | (folded > 0))
    inferred = ~(hands[0].found & hands[1].found)
    quality = np.minimum(hands[0].quality, hands[1].quality)
    return Signal("palms", np.where(away, FAR, apart), quality, inferred=inferred)


def _way(
    name: str,
    track: Track,
    middle: Points,
    width: Floats,
    over_s: float,
    mean_s: float,
    quality: Floats,
) -> Signal:
    """Return how far the torso goes within `over_s`, between means over `mean_s`, and which way."""
    half = track.window(over_s) // 2
    way: Points = np.full(len(track), GONE)
    if 0 < 2 * half < len(track):
        place = track.smooth(middle, mean_s) / width
        inner = slice(half, len(track) - half)
        step = place[2 * half :] - place[: -2 * half]
        steady = track.shot[2 * half :] == track.shot[: -2 * half]
        steady &= track.time_s[2 * half :] - track.time_s[: -2 * half] <= over_s + 2 * track.step_s
        way[inner] = np.where(steady, step, GONE)
    across = np.abs(way.real) >= np.abs(way.imag)
    choice = np.where(across, way.real > 0, 2 + (way.imag > 0)).astype(np.int64)
    return Signal(name, np.abs(way), quality, "", WAYS, choice)

"""Where the hands are on the head: distances of the fingers to its parts, in face heights.

A picture tells that a finger is in front of a part, not that it touches; how near and how long
decides. Decided here: a part that the hand hides is where the rest of the face says; a hand that
was not found is told by the forearm that it hangs on, at the one part nearest to it, with lower
quality; a hand of which nothing is known is not measured and touches nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emoframe.weak_labels.motion.head import FACE, Head
from emoframe.weak_labels.motion.signals import Side, Signal
from emoframe.weak_labels.motion.thresholds import Measure, Thresholds
from emoframe.weak_labels.motion.track import GONE, Bools, Floats, Points, Track

SIDES: tuple[Side, Side] = ("left", "right")
FIRST = {"left": 95, "right": 116}
ELBOW, WRIST = {"left": 6, "right": 3}, {"left": 7, "right": 4}
FINGERS = np.array([n + joint for n in (1, 5, 9, 13, 17) for joint in (1, 2, 3)])
"""The three outer joints of each finger, tip last, counted from the hand's first point."""
TIPS = slice(2, None, 3)
"""Of `FINGERS`: what decides for small parts, in front of which the rest of a hand often is."""
BROAD = ("hand_jaw", "hand_parts", "hand_neck")
"""Parts that are touched with any joint of a finger."""
PALM = (0, 5, 9, 13, 17)
LEAST_POINTS = 4
"""Points of the fingers that must be seen for a hand to be found; the rest may be out of view."""
UNSPECIFIC = ("hand_parts", "hand_neck")
"""Parts that are told where the hand is at no other, the second after the first."""
INFERRED = 0.4
"""Quality of a hand that is told by its forearm, of that of the forearm."""
FAR = 9.0
"""Distance in face heights of what is told to be elsewhere."""
NEAR = 2.5
"""Face heights from the middle of the face within which distances are computed at all."""


@dataclass(frozen=True)
class Hand:
    """One hand over time.

    Attributes:
        side: Of the person.
        points: Its 21 points in the picture, GONE where not measured, (T, 21).
        fingers: Points of its fingers, or a guess by the forearm, (T, F).
        palm: Middle of the palm, or a guess, (T,).
        found: True where the hand itself was measured, (T,).
        quality: How well, (T,).
    """

    side: Side
    points: Points
    fingers: Points
    palm: Points
    found: Bools
    quality: Floats


def hand_of(track: Track, side: Side, measure: Measure) -> Hand:
    """Take a hand from its own points, else from the forearm."""
    own = slice(FIRST[side], FIRST[side] + 21)
    points, confidence = track.z[:, own], track.confidence[:, own]
    found = np.isfinite(points[:, FINGERS]).sum(1) >= LEAST_POINTS
    elbow, wrist = track.z[:, ELBOW[side]], track.z[:, WRIST[side]]
    arm = track.confidence[:, [ELBOW[side], WRIST[side]]].min(1)
    forearm = wrist - elbow
    guess = wrist[:, None] + forearm[:, None] * np.resize(measure.fingers_ahead, len(FINGERS))
    return Hand(
        side,
        np.where(found[:, None], points, GONE),
        np.where(found[:, None], points[:, FINGERS], guess),
        np.where(found, _middle(points[:, PALM]), wrist + measure.palm_ahead * forearm),
        found,
        np.where(found, confidence.sum(1) / np.maximum((confidence > 0).sum(1), 1), INFERRED * arm),
    )


def _middle(points: Points) -> Points:
    """Return the mean of the points that are seen in each frame."""
    known = np.isfinite(points)
    count = known.sum(1)
    return np.where(count > 0, np.where(known, points, 0).sum(1) / np.maximum(count, 1), GONE)


def head_signals(
    track: Track, head: Head, hands: Sequence[Hand], thresholds: Thresholds
) -> list[Signal]:
    """Measure where each hand is on the head, and how much of the face both hide."""
    parts = head_parts(track, head)
    cover = _cover(hands, head, thresholds.measure)
    found = [_at(hand, head, parts, cover.value, thresholds) for hand in hands]
    return [*(signal for signals in found for signal in signals), cover]


def head_parts(track: Track, head: Head) -> dict[str, dict[str, Points]]:
    """Return the landmarks of each part of the head, in face heights, (T, L), by its pieces."""
    place = head.place[:, FACE:]
    brows, eyes = place[:, 17:27], place[:, 36:48]
    top = (eyes[:, :6].mean(1) + eyes[:, 6:].mean(1)) / 2
    chin, neck = place[:, [8]], head.local(track.z[:, [1]])
    beyond = top[:, None] + np.array([-0.4 - 0.75j, -0.2 - 0.95j, -0.95j, 0.2 - 0.95j, 0.4 - 0.75j])
    lips = place[:, 48:60]
    cheek_r = np.stack([place[:, [31, 2]].mean(1), place[:, [48, 4]].mean(1)], 1)
    cheek_l = np.stack([place[:, [35, 14]].mean(1), place[:, [54, 12]].mean(1)], 1)
    return {
        "hand_eyes": {"right eye": eyes[:, :6], "left eye": eyes[:, 6:]},
        "hand_forehead": {"forehead": brows - 0.25j},
        "hand_ears": {"right ear": place[:, [0, 1]] - 0.1, "left ear": place[:, [15, 16]] + 0.1},
        "hand_jaw": {"jaw": place[:, 4:13]},
        "hand_parts": {
            "nose": place[:, 29:36], "mouth": lips, "right cheek": cheek_r, "left cheek": cheek_l,
        },
        "hand_head": {"head": beyond},
        "hand_neck": {"neck": chin + (neck - chin) * np.array([0.4, 0.55, 0.7])},
    }  # fmt: skip


def _at(
    hand: Hand,
    head: Head,
    parts: dict[str, dict[str, Points]],
    cover: Floats,
    thresholds: Thresholds,
) -> list[Signal]:
    """Return the distance of a hand to each part of the head."""
    fingers = head.local(hand.fingers)
    known = np.isfinite(fingers).any(1) & (head.quality > 0)
    with np.errstate(invalid="ignore"):
        near = known & (np.abs(fingers - head.place[:, [FACE + 30]]) < NEAR).any(1)
    distance, choice = {}, {}
    for name, pieces in parts.items():
        told = known & np.any([np.isfinite(at).any(1) for at in pieces.values()], axis=0)
        by_piece = np.full((len(known), len(pieces)), FAR)
        for n, at in enumerate(pieces.values()):
            joints = fingers if name in BROAD else fingers[:, TIPS]
            by_piece[near, n] = _least(joints[near], at[near])
        distance[name] = np.where(told, by_piece.min(1), np.nan)
        choice[name] = by_piece.argmin(1)
    _only_nearest(distance, known & ~hand.found)
    _specific_first(distance, cover, thresholds)
    quality = hand.quality * head.quality
    return [
        Signal(name, distance[name], quality, hand.side, tuple(pieces), choice[name], ~hand.found)
        for name, pieces in parts.items()
    ]


def _least(fingers: Points, at: Points) -> Floats:
    """Return the least distance between two sets of points in each frame; FAR where unknown."""
    least = np.full(len(fingers), FAR)
    for point in at.T:
        apart = np.abs(fingers - point[:, None])
        least = np.fmin(least, np.fmin.reduce(apart, axis=1))
    return least


def _only_nearest(distance: dict[str, Floats], guessed: Bools) -> None:
    """Where a hand is a guess, keep the one part that is nearest; changed in place."""
    table = np.stack([np.nan_to_num(values, nan=FAR) for values in distance.values()])
    first = table.argmin(0)
    for n, values in enumerate(distance.values()):
        values[guessed & (first != n) & np.isfinite(values)] = FAR


def _specific_first(distance: dict[str, Floats], cover: Floats, thresholds: Thresholds) -> None:
    """Name an unspecific part only where nothing that is more specific is told; in place.

    A hand that covers the face or is at an eye lies on a cheek too, and one that comes to the chin
    from below passes before the neck.
    """
    level = {watch.signal: watch.on for watch in thresholds.events}
    elsewhere = cover >= level.get("cover", FAR)
    for name in (*(part for part in distance if part not in UNSPECIFIC), *UNSPECIFIC):
        if name in UNSPECIFIC:
            distance[name][elsewhere & np.isfinite(distance[name])] = FAR
        elsewhere = elsewhere | (distance[name] <= level.get(name, 0))


def _cover(hands: Sequence[Hand], head: Head, measure: Measure) -> Signal:
    """Return the share of the face's landmarks on which a hand lies."""
    place = head.place[:, FACE:]
    marks = np.stack(
        [
            place[:, 36:42].mean(1), place[:, 42:48].mean(1), place[:, 30],
            place[:, 48:60].mean(1), place[:, [31, 2]].mean(1), place[:, [35, 14]].mean(1),
        ],
        1,
    )  # fmt: skip
    found = np.any([hand.found for hand in hands], axis=0)
    known = found & np.isfinite(marks).all(1)
    covered = under_hands(hands, head, marks, measure.cover_reach)
    quality = np.max([np.where(hand.found, hand.quality, 0) for hand in hands], axis=0)
    return Signal("cover", np.where(known, covered.mean(1), np.nan), quality * head.quality)


def under_hands(hands: Sequence[Hand], head: Head, at: Points, reach: float) -> Bools:
    """Say on which points a hand lies that was itself found.

    Args:
        hands: The hands.
        head: Axes of the face.
        at: Points in face heights, (T, P).
        reach: Distance in face heights within which a hand lies on a point.

    Returns:
        (T, P); false where nobody knows.
    """
    covered = np.zeros(at.shape, bool)
    for hand in hands:
        whole = head.local(np.concatenate([hand.points, hand.palm[:, None]], 1))
        near = (np.abs(whole - head.place[:, [FACE + 30]]) < NEAR).any(1)
        here = np.flatnonzero(hand.found & near)
        for n in range(at.shape[1]):
            covered[here, n] |= _least(whole[here], at[here, n : n + 1]) <= reach
    return covered

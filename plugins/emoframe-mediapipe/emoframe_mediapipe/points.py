"""The 553 points of MediaPipe Holistic, and which of them it did not see.

MediaPipe returns parts whole, what is covered included. Decided here: of the head, what lies under
a hand is masked, since a hand that was found over a face is in front of it. A hand that does not
hang on its own wrist is masked: nearer to the other wrist, one hand was taken for both; far from
either, there was none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from emoframe.skeleton import OPENPOSE_137

if TYPE_CHECKING:
    from numpy.typing import NDArray

BODY, FACE = slice(0, 33), slice(33, 511)
LEFT_HAND, RIGHT_HAND = slice(511, 532), slice(532, 553)
POINTS = 553
LEFT_WRIST, RIGHT_WRIST = 15, 16
HEAD = np.r_[0:11, FACE]
"""The first eleven points of the body are on the head."""

BONES = np.array(OPENPOSE_137.group_edges("hands")[:20])
PALM = np.array([(0, 1, 5), (0, 5, 9), (0, 9, 13), (0, 13, 17)])
"""The palm as a fan of triangles about the wrist."""

FARTHEST = 0.45
"""Most that a hand's root may be from the body's wrist, over the length of the hand. In the clips
that were looked at, hands in their place came to .37, invented ones began at .51."""

FINGER_RADIUS = 0.07
"""How far a finger covers to each side of its bone, over the length of the hand: half its width,
about 0.9 over 19 centimetres, and half as much again because the bone is not quite where it is."""


def mask_unseen(xy: NDArray[np.float32], valid: NDArray[np.bool_]) -> None:
    """Mask a hand that is not on its wrist, and what of the head is under a hand.

    Args:
        xy: The points of one frame, (553, 2).
        valid: True where they were found, (553,); changed in place.
    """
    for hand, own, other in (
        (LEFT_HAND, LEFT_WRIST, RIGHT_WRIST),
        (RIGHT_HAND, RIGHT_WRIST, LEFT_WRIST),
    ):
        to_own, to_other = np.linalg.norm(xy[hand][0] - xy[[own, other]], axis=-1)
        if to_own > min(to_other, FARTHEST * _length(xy[hand])):
            valid[hand] = False
        if valid[hand].any():
            head = HEAD[valid[HEAD]]
            valid[head] = ~under_hand(xy[head], xy[hand])


def under_hand(points: NDArray[Any], hand: NDArray[Any]) -> NDArray[np.bool_]:
    """Say which points a hand covers: those on its palm or within a finger's width of a bone.

    Args:
        points: What may be covered, (P, 2).
        hand: The 21 points of a hand, (21, 2).
    """
    start, along = hand[BONES[:, 0]], hand[BONES[:, 1]] - hand[BONES[:, 0]]
    to_start = points[:, None] - start
    share = (to_start * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-9)
    beside = np.linalg.norm(to_start - np.clip(share, 0, 1)[..., None] * along, axis=-1).min(1)
    corners = hand[PALM]
    edges, to_corner = np.roll(corners, -1, axis=1) - corners, points[:, None, None] - corners
    turn = edges[..., 0] * to_corner[..., 1] - edges[..., 1] * to_corner[..., 0]
    on_palm = ((turn >= 0).all(-1) | (turn <= 0).all(-1)).any(-1)
    return on_palm | (beside < FINGER_RADIUS * _length(hand))


def _length(hand: NDArray[Any]) -> float:
    return float(np.linalg.norm(np.ptp(hand, axis=0)))

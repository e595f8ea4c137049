"""Which of MediaPipe's points count as unseen, on hands drawn by hand."""

from __future__ import annotations

import numpy as np
import pytest
from emoframe_mediapipe.points import FACE, LEFT_HAND, RIGHT_HAND, mask_unseen, under_hand
from numpy.typing import NDArray


def hand(x: float, y: float) -> NDArray[np.float64]:
    """An open hand, fingers up, 60 by 100 pixels, its wrist at (x, y)."""
    thumb = [(-15, -15), (-25, -30), (-30, -45), (-35, -55)]
    fingers = [(dx, -50.0 - 15 * n) for dx in (-15, -5, 5, 15) for n in range(4)]
    return np.add([(0, 0), *thumb, *fingers], (x, y))


def test_a_hand_covers_its_palm_and_its_fingers_and_nothing_between_or_beside() -> None:
    points = np.array([(0, -30), (-5, -80), (-27, -75), (40, -30), (0, 20), (0, -110)])
    assert under_hand(points, hand(0, 0)).tolist() == [True, True, False, False, False, False]


def found(left: tuple[float, float], right: tuple[float, float]) -> NDArray[np.float32]:
    """Points of somebody whose wrists are at x = 100 and 0, with hands at the given roots."""
    xy = np.full((553, 2), 500, np.float32)
    xy[15], xy[16] = (100, 0), (0, 0)
    xy[LEFT_HAND], xy[RIGHT_HAND] = hand(*left), hand(*right)
    return xy


@pytest.mark.parametrize(
    ("left", "right", "kept"),
    [
        ((105, 5), (-5, 5), (True, True)),
        ((105, 5), (95, 5), (True, False)),
        ((100, -90), (0, 0), (False, True)),
    ],
)
def test_a_hand_that_is_not_on_its_own_wrist_is_masked(
    left: tuple[float, float], right: tuple[float, float], kept: tuple[bool, bool]
) -> None:
    valid = np.ones(553, np.bool_)
    mask_unseen(found(left, right), valid)
    assert (valid[LEFT_HAND].all(), valid[RIGHT_HAND].all()) == kept


def test_a_hand_that_was_not_found_hides_nothing() -> None:
    xy, valid = found((100, 0), (0, 0)), np.ones(553, np.bool_)
    xy[FACE] = (100, -30)
    xy[LEFT_HAND], valid[LEFT_HAND] = np.nan, False
    mask_unseen(xy, valid)
    assert valid[FACE].all()
    xy[FACE] = (0, -30)
    mask_unseen(xy, valid)
    assert not valid[FACE].any()

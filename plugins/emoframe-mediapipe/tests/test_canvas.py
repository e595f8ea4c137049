"""The canvas stands still as long as it can, and starts afresh where it must."""

from __future__ import annotations

import numpy as np
import pytest
from emoframe_mediapipe.canvas import canvases, paste

from emoframe.records import Track


def track_of(*boxes: tuple[float, ...], cut: int | None = None) -> Track:
    cuts = np.arange(len(boxes)) == cut
    return Track(np.array(boxes, np.float32), cuts, np.arange(len(boxes)) / 25, "test")


def test_the_canvas_stands_still_while_the_box_moves_a_little() -> None:
    nan = (np.nan,) * 4
    canvas, fresh = canvases(track_of((0, 0, 100, 100), nan, (10, 20, 110, 120)))
    assert canvas.box.tolist() == [[0, 0, 110, 120]] * 3
    assert not fresh.any()


@pytest.mark.parametrize("later", [(150, 0, 250, 100), (0, 0, 300, 300)])
def test_a_new_canvas_begins_where_the_box_has_gone_too_far_or_grown(
    later: tuple[float, ...],
) -> None:
    canvas, fresh = canvases(track_of((0, 0, 100, 100), later))
    assert canvas.box.tolist() == [[0, 0, 100, 100], [*later]]
    assert fresh.tolist() == [False, True]


def test_a_new_canvas_begins_at_a_cut() -> None:
    canvas, fresh = canvases(track_of((0, 0, 10, 10), (1, 0, 11, 10), (2, 0, 12, 10), cut=1))
    assert canvas.box[:, 0].tolist() == [0, 1, 1]
    assert fresh.tolist() == [False, True, False]


def test_the_canvas_is_black_around_the_crop() -> None:
    picture = paste(np.full((2, 3, 3), 9, np.uint8), np.array([1, 2]), (5, 6, 3))
    assert (picture[2:4, 1:4] == 9).all()
    assert picture.sum() == 9 * 18

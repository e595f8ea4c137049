"""What marks promise: they are where the person is, numbered, and hide little."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from emoframe.core.errors import DataError
from emoframe.labelling import Mark
from emoframe.records import Keypoints
from emoframe.skeleton import OPENPOSE_137, SkeletonLayout
from emoframe.weak_labels.shown.marks import check_layout, marked, masked

HEIGHT, WIDTH = 240, 320
BOX = (100.0, 40.0, 220.0, 230.0)
PLAIN = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)


def person(face: float = 30.0) -> Keypoints:
    """Make a face of that radius around (160, 80), shoulders and an arm below it."""
    xy = np.full((1, 137, 2), np.nan, np.float32)
    angle = np.linspace(0, 2 * np.pi, 71)[:-1]
    xy[0, 25:95] = np.stack([160 + face * np.cos(angle), 80 + face * np.sin(angle)], axis=1)
    xy[0, [2, 5, 6]] = [[120, 140], [200, 140], [210, 190]]
    valid = np.isfinite(xy).all(axis=2)
    box = np.float32([BOX])
    return Keypoints(xy, valid.astype(np.float32), valid, np.zeros(1), "openpose_137", box)


def touched(*draw: Mark, someone: Keypoints | None = None) -> np.ndarray:
    """Return which pixels a mark changes."""
    return (marked(PLAIN, someone or person(), 0, OPENPOSE_137, draw) != PLAIN).any(axis=2)


def test_each_mark_is_drawn_only_if_it_is_asked_for() -> None:
    box, body, landmarks = touched("box"), touched("body"), touched("landmarks")
    assert box[40, 100:220].all()
    assert not box[42:228, 102:218].any()
    assert body[165, 203:208].any(), "the upper arm"
    assert not body[40:115].any(), "the face is not part of the body's marks"
    assert landmarks[80, 190]
    assert not landmarks[140:].any()
    assert np.array_equal(touched("box", "body", "landmarks"), box | body | landmarks)
    assert not touched().any()


def test_what_was_not_measured_is_not_drawn() -> None:
    someone = person()
    valid = someone.valid.copy()
    valid[0, 5] = False
    valid[0, 25:95] = False
    without = replace(someone, valid=valid)
    assert not touched("body", someone=without)[140, 130:190].any()
    assert not touched("landmarks", someone=without).any()
    nowhere = replace(someone, box=np.full((1, 4), np.nan, np.float32))
    assert not touched("box", someone=nowhere).any()


def test_a_large_face_bears_more_numbers_than_a_small_one_and_no_two_lie_on_each_other() -> None:
    small, large = (
        int((marked(PLAIN, person(face), 0, OPENPOSE_137, ["landmarks"]) > 170).all(axis=2).sum())
        for face in (8.0, 60.0)
    )
    assert large > 3 * small > 0


def test_marks_leave_most_of_the_face_to_be_seen() -> None:
    ys, xs = np.mgrid[:HEIGHT, :WIDTH]
    face = (xs - 160) ** 2 + (ys - 80) ** 2 < 45**2
    assert touched("landmarks", someone=person(45.0))[face].mean() < 0.35


def test_the_background_is_one_grey_and_the_person_stays() -> None:
    picture = np.random.default_rng(0).integers(0, 255, PLAIN.shape, dtype=np.uint8)
    hidden = masked(picture, person(), 0)
    assert np.array_equal(hidden[40:230, 100:220], picture[40:230, 100:220])
    outside = np.ones((HEIGHT, WIDTH), np.bool_)
    outside[40:230, 100:220] = False
    assert len(np.unique(hidden[outside])) == 1


def test_a_box_that_reaches_beyond_the_picture_is_cut_there() -> None:
    for box in ((-30.0, -20.0, 400.0, 500.0), (-30.0, 5.0, -3.0, 20.0)):
        someone = replace(person(), box=np.float32([box]))
        assert masked(PLAIN, someone, 0).shape == PLAIN.shape
        assert marked(PLAIN, someone, 0, OPENPOSE_137, ["box"]).shape == PLAIN.shape
    assert (masked(PLAIN, someone, 0) == 128).all()


def test_the_picture_that_is_given_stays_as_it_is() -> None:
    before = PLAIN.copy()
    marked(PLAIN, person(), 0, OPENPOSE_137, ["box", "body", "landmarks"])
    masked(PLAIN, person(), 0)
    assert np.array_equal(PLAIN, before)


def test_landmarks_of_a_layout_without_a_face_are_refused() -> None:
    stick = SkeletonLayout("stick", ("head", "foot"), ((0, 1),))
    with pytest.raises(DataError, match="no group 'face'.*its groups are all.*leave landmarks out"):
        check_layout(stick, ["landmarks"])
    check_layout(stick, ["body", "box"])

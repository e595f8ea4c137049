"""What following one person promises: the right one, no jumps, and nothing where nobody is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from emoframe.core.errors import ComponentError
from emoframe.perception.crop import CropSettings, track_person
from emoframe.perception.detectors.whole_frame import WholeFrame
from emoframe.records import Boxes, Frames, Track

WIDTH, HEIGHT = 200, 100
RAW = CropSettings(smooth_frames=1, pad=0)
Box = tuple[float, float, float, float]
HOST: Box = (70, 10, 130, 90)
GUEST: Box = (0, 40, 30, 90)


def frames_of(count: int, start: int = 0) -> Frames:
    index = np.arange(start, start + count)
    return Frames(np.zeros((count, HEIGHT, WIDTH, 3), np.uint8), index / 25, index)


def seen(
    people: Sequence[Sequence[Box]], scores: Sequence[float] | None = None, chunk: int = 7
) -> Iterator[tuple[Frames, list[Boxes]]]:
    """Present one list of boxes per frame in chunks."""
    for start in range(0, len(people), chunk):
        part = people[start : start + chunk]
        found = [
            Boxes(
                np.array(boxes, np.float32).reshape(-1, 4),
                np.array(scores[: len(boxes)] if scores else [1.0] * len(boxes), np.float32),
            )
            for boxes in part
        ]
        yield frames_of(len(part), start), found


def follow(people: Sequence[Sequence[Box]], settings: CropSettings = RAW) -> Track:
    return track_person(seen(people), settings)


def test_it_starts_with_the_large_and_central_person_whatever_the_order() -> None:
    for people in ([HOST, GUEST], [GUEST, HOST]):
        assert follow([people]).box[0].tolist() == list(HOST)


def test_it_stays_with_that_person_when_a_larger_one_comes_in() -> None:
    larger: Box = (100, 0, 200, 100)
    track = follow([[HOST]] * 3 + [[larger, HOST]] * 3)
    assert (track.box == np.array(HOST, np.float32)).all()
    assert not track.cut.any()


def test_it_moves_along_with_the_person() -> None:
    path = [(20 + 4 * n, 10, 60 + 4 * n, 90) for n in range(20)]
    assert follow([[box] for box in path]).box.tolist() == np.float32(path).tolist()


def test_a_short_gap_keeps_the_last_box() -> None:
    track = follow([[HOST], *[[]] * 12, [HOST]])
    assert (track.box == np.array(HOST, np.float32)).all()
    assert not track.cut.any()


def test_a_long_gap_is_empty_after_the_carried_frames_and_ends_in_a_cut() -> None:
    track = follow([[HOST], *[[]] * 15, [HOST, GUEST], [HOST, GUEST]])
    assert track.valid.tolist() == [True] * 13 + [False] * 3 + [True] * 2
    assert np.flatnonzero(track.cut).tolist() == [16]


def test_another_person_at_the_end_of_the_gap_is_a_cut_too() -> None:
    track = follow([[HOST]] * 3 + [[GUEST]] * 20)
    assert np.flatnonzero(track.cut).tolist() == [3 + 12]
    assert track.box[14].tolist() == list(HOST)
    assert track.box[15].tolist() == list(GUEST)


def test_the_first_appearance_is_no_cut() -> None:
    track = follow([[], [], [HOST]])
    assert track.valid.tolist() == [False, False, True]
    assert not track.cut.any()


def test_nobody_at_all_is_no_box_at_all() -> None:
    track = follow([[]] * 5)
    assert np.isnan(track.box).all()
    assert track.box.shape == (5, 4)
    assert track.time_s.tolist() == (np.arange(5) / 25).tolist()


def test_doubtful_and_impossible_boxes_are_passed_over() -> None:
    doubtful = track_person(seen([[HOST]], scores=[0.2]), RAW)
    assert not doubtful.valid.any()
    assert not follow([[(50, 50, 50, 90), (np.nan, 0, 9, 9)]]).valid.any()


def test_one_wild_detection_does_not_shake_the_crop() -> None:
    wild: Box = (60, 0, 160, 100)
    boxes = [[HOST]] * 10 + [[wild]] + [[HOST]] * 10
    track = follow(boxes, CropSettings(pad=0))
    assert (track.box == np.array(HOST, np.float32)).all()


def test_nothing_is_smoothed_across_a_cut() -> None:
    boxes = [[HOST]] * 10 + [[GUEST]] * 30
    track = follow(boxes, CropSettings(pad=0, carry_frames=0))
    assert np.flatnonzero(track.cut).tolist() == [10]
    assert (track.box[:10] == np.array(HOST, np.float32)).all()
    assert (track.box[10:] == np.array(GUEST, np.float32)).all()


def test_the_margin_ends_at_the_edge_of_the_picture() -> None:
    track = follow([[(10, 10, 110, 90)]], CropSettings(pad=0.2))
    assert track.box[0].tolist() == [0, 0, 130, 100]


def test_chunks_of_any_size_give_the_same_track() -> None:
    people = [[(20 + n % 5, 10, 60 + n, 90)] for n in range(60)]
    tracks = [track_person(seen(people, chunk=size), CropSettings()) for size in (1, 16, 60)]
    assert all(np.array_equal(track.box, tracks[0].box) for track in tracks)


def test_a_detector_that_skips_a_frame_is_told_so() -> None:
    with pytest.raises(ComponentError, match="gave 2 results for 3 frames"):
        track_person([(frames_of(3), [*next(seen([[HOST]] * 2))[1]])], RAW)


def test_the_whole_frame_is_one_person() -> None:
    found = WholeFrame().detect(frames_of(3))
    assert [boxes.xyxy.tolist() for boxes in found] == [[[0, 0, WIDTH, HEIGHT]]] * 3
    track = track_person([(frames_of(3), found)], CropSettings())
    assert track.box.tolist() == [[0, 0, WIDTH, HEIGHT]] * 3

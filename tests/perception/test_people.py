"""What is kept of every picture: the surest boxes, looks that tell people apart, and the change."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from emoframe.core.errors import ComponentError
from emoframe.perception.people import (
    LAGS,
    LOOK,
    MOST_PEOPLE,
    Seen,
    Sightings,
    observe,
    sightings,
    unit,
)
from emoframe.records import Boxes, Frames

WIDTH, HEIGHT = 160, 90
Array = np.ndarray


def frames_of(rgb: Array, start: int = 0) -> Frames:
    index = np.arange(start, start + len(rgb))
    return Frames(np.ascontiguousarray(rgb, np.uint8), index / 25, index)


def boxes_of(xyxy: Sequence[Sequence[float]], score: Sequence[float] | None = None) -> Boxes:
    count = len(xyxy)
    return Boxes(np.array(xyxy, np.float32).reshape(count, 4), np.array(score or [1.0] * count))


def kept(rgb: Array, found: list[Boxes], chunk: int = 1000) -> dict[str, Array]:
    parts = [
        (frames_of(rgb[n : n + chunk], n), found[n : n + chunk]) for n in range(0, len(rgb), chunk)
    ]
    seen = list(observe(parts))
    return {name: np.concatenate([part[name] for part in seen]) for name in seen[0]}


def noise(count: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, 255, (count, HEIGHT, WIDTH, 3), dtype=np.uint8)


def somebody(hair: Sequence[int], clothes: Sequence[int]) -> Array:
    """Paint one person, box (40, 10, 100, 90), before a grey wall."""
    rgb = np.full((1, HEIGHT, WIDTH, 3), 128, np.uint8)
    rgb[:, 10:50, 50:90], rgb[:, 50:90, 40:100] = hair, clothes
    return rgb


def likeness(one: Array, other: Array, box: Sequence[float] = (40, 10, 100, 90)) -> float:
    found = [boxes_of([(40, 10, 100, 90)]), boxes_of([box])]
    look = kept(np.concatenate([one, other]), found)["look"][:, 0].astype(float)
    look /= np.linalg.norm(look, axis=1, keepdims=True)
    return float(look[0] @ look[1])


SUIT, SHIRT = somebody((200, 150, 120), (40, 40, 60)), somebody((200, 150, 120), (180, 40, 40))


def test_every_array_has_the_frame_first_and_one_shape_behind_it() -> None:
    arrays = kept(noise(5), [boxes_of([(10, 10, 50, 80)] * n) for n in (0, 1, 2, 8, 11)])
    assert {name: (array.dtype.name, array.shape) for name, array in arrays.items()} == {
        "box": ("float32", (5, MOST_PEOPLE, 4)),
        "score": ("float32", (5, MOST_PEOPLE)),
        "look": ("uint8", (5, MOST_PEOPLE, LOOK)),
        "change": ("float32", (5, LAGS)),
        "time_s": ("float64", (5,)),
    }
    assert np.isfinite(arrays["score"]).sum(axis=1).tolist() == [0, 1, 2, 8, 8]


def test_the_surest_boxes_come_first_and_the_rest_is_nan() -> None:
    boxes = [(n, 0, n + 20, 50) for n in range(10)]
    score = [0.1 * (n % 5) for n in range(10)]
    arrays = kept(noise(1), [boxes_of(boxes, score)])
    assert np.allclose(arrays["score"][0], [0.4, 0.4, 0.3, 0.3, 0.2, 0.2, 0.1, 0.1])
    assert arrays["box"][0, :, 0].tolist() == [4, 9, 3, 8, 2, 7, 1, 6]
    few = kept(noise(1), [boxes_of(boxes[:2], score[:2])])
    assert np.isnan(few["box"][0, 2:]).all()
    assert not few["look"][0, 2:].any()


def test_what_is_no_box_is_left_out() -> None:
    no_boxes = [(np.nan, 0, 9, 9), (50, 50, 50, 90), (20, 9, 10, 0), (0, 0, np.inf, 9)]
    arrays = kept(noise(1), [boxes_of([*no_boxes, (5, 5, 60, 60)], [0.9, 0.9, 0.9, 0.9, 0.3])])
    assert arrays["box"][0, 0].tolist() == [5, 5, 60, 60]
    assert np.isnan(arrays["box"][0, 1:]).all()


def test_a_box_beyond_the_picture_is_described_by_what_is_in_it() -> None:
    beyond = [boxes_of([(-50, -50, 400, 400), (100, 20, 300, 60)])]
    within = [boxes_of([(0, 0, WIDTH, HEIGHT), (100, 20, WIDTH, 60)])]
    arrays, same = kept(noise(1), beyond), kept(noise(1), within)
    for name in ("box", "look"):
        assert np.array_equal(arrays[name], same[name], equal_nan=name == "box"), name
    assert arrays["look"][0, :2].any(axis=1).all()


OUTSIDE = [
    (-60, -60, -20, -20),
    (500, 500, 600, 600),
    (10, -50, 40, 0),
    (WIDTH, 0, WIDTH + 30, 50),
    (-60, 10, 0.5, 60),
]


@pytest.mark.parametrize("box", OUTSIDE)
def test_a_box_of_which_nothing_is_in_the_picture_shows_nobody(box: Sequence[float]) -> None:
    arrays = kept(noise(1), [boxes_of([box, (5, 5, 60, 60)], [0.9, 0.3])])
    assert arrays["box"][0, 0].tolist() == [5, 5, 60, 60]
    assert np.isfinite(arrays["score"][0]).tolist() == [True] + [False] * (MOST_PEOPLE - 1)
    assert not arrays["look"][0, 1:].any()


def test_boxes_beyond_the_picture_take_no_place_from_those_within() -> None:
    found = boxes_of([*OUTSIDE * 2, (5, 5, 60, 60)], [0.9] * 10 + [0.3])
    assert kept(noise(1), [found])["box"][0, 0].tolist() == [5, 5, 60, 60]


@pytest.mark.parametrize("chunk", [1, 5, 1000])
def test_read_back_are_the_sightings_without_the_places_of_nobody(chunk: int) -> None:
    count = [2, 0, 1, 3, 0, 0, 1, 2, 0, 1, 1, 0]
    found = [boxes_of([(n, 5, 60 + n, 80)] * k, [0.9, 0.5, 0.1][:k]) for n, k in enumerate(count)]
    arrays = kept(noise(12), found)
    parts = (
        Seen(**{name: array[n : n + chunk] for name, array in arrays.items()}, size=(WIDTH, HEIGHT))
        for n in range(0, 12, chunk)
    )
    everybody, change, time_s, size = sightings(parts, 0.25)
    frame, place = np.nonzero(arrays["score"] >= 0.25)
    assert frame.tolist() == everybody.frame.tolist() == [0, 0, 2, 3, 3, 6, 7, 7, 9, 10]
    assert np.array_equal(everybody.box, arrays["box"][frame, place])
    assert np.array_equal(everybody.look, arrays["look"][frame, place])
    assert np.array_equal(change, arrays["change"])
    assert np.array_equal(time_s, arrays["time_s"])
    assert size == (WIDTH, HEIGHT)


@pytest.mark.parametrize("block", [1, 2, 1000])
def test_blocks_of_any_size_give_the_same_looks(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emoframe.perception.people.BLOCK", block)
    draw = np.random.default_rng(0)
    look = draw.integers(1, 90, (6, LOOK), dtype=np.uint8)
    frame, box = np.array([1, 1, 2, 5, 5, 8]), draw.random((6, 4), np.float32)
    everybody = Sightings(frame, box, look)
    groups = list(everybody.by_frame())
    assert [(n, first) for n, first, _, _ in groups] == [(1, 0), (2, 2), (5, 3), (8, 5)]
    assert np.array_equal(np.concatenate([boxes for _, _, boxes, _ in groups]), box)
    assert np.array_equal(np.concatenate([looks for *_, looks in groups]), unit(look))
    some = np.array([0, 2, 3, 5])
    assert np.allclose(everybody.total(some), unit(look)[some].sum(axis=0))


def test_a_look_is_of_unit_length() -> None:
    look = kept(noise(3), [boxes_of([(10, 10, 90, 80)])] * 3)["look"][:, 0]
    assert np.allclose(np.linalg.norm(look.astype(float), axis=1), 255, atol=5)


@pytest.mark.parametrize("gain", [0.75, 1.2])
def test_a_look_stays_in_another_light(gain: float) -> None:
    lit = np.clip(SUIT * gain, 0, 255).astype(np.uint8)
    assert likeness(SUIT, lit) > 0.85 > likeness(SUIT, SHIRT)


def test_a_look_stays_in_a_box_that_is_a_little_off() -> None:
    assert likeness(SUIT, SUIT, (43, 7, 98, 86)) > 0.9


def test_a_look_stays_with_the_size_of_the_picture() -> None:
    small = np.repeat(np.repeat(SUIT, 2, axis=1), 2, axis=2)
    looks = [
        kept(rgb, [boxes_of([np.multiply(factor, (40, 10, 100, 90))])])["look"][0, 0].astype(float)
        for rgb, factor in ((SUIT, 1), (small, 2))
    ]
    assert looks[0] @ looks[1] / np.prod(np.linalg.norm(looks, axis=1)) > 0.99


def test_hair_and_clothes_are_told_apart() -> None:
    swapped = somebody((40, 40, 60), (200, 150, 120))
    assert likeness(SUIT, swapped) < 0.6


def test_a_still_does_not_change_and_the_first_picture_has_nothing_before_it() -> None:
    still = kept(np.repeat(noise(1), 6, axis=0), [boxes_of([])] * 6)
    assert not still["change"].any()
    assert not kept(noise(3), [boxes_of([])] * 3)["change"][0].any()


def test_change_is_the_mean_difference_from_each_of_the_pictures_before() -> None:
    grey = np.array([10, 40, 10, 90], np.uint8)
    rgb = np.broadcast_to(grey[:, None, None, None], (4, HEIGHT, WIDTH, 3))
    change = kept(rgb, [boxes_of([])] * 4)["change"]
    assert change.tolist() == [[0, 0, 0], [30, 30, 30], [30, 0, 0], [80, 50, 80]]


@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_chunks_of_any_size_keep_the_same(chunk: int) -> None:
    found = [boxes_of([(n, 5, 60 + n, 80), (90, 5, 150, 90)][: n % 3]) for n in range(12)]
    whole, parts = kept(noise(12), found), kept(noise(12), found, chunk)
    for name, array in whole.items():
        assert np.array_equal(array, parts[name], equal_nan=True), name


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (719, 33)])
def test_pictures_of_any_size_are_looked_at(size: tuple[int, int]) -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (2, *size, 3), dtype=np.uint8)
    arrays = kept(rgb, [boxes_of([(0, 0, size[1], size[0])])] * 2)
    assert arrays["look"][:, 0].any(axis=1).all()
    assert (arrays["change"][1] > 0).all()


@pytest.mark.parametrize("answers", [2, 4])
def test_a_detector_that_skips_a_frame_is_told_so(answers: int) -> None:
    with pytest.raises(ComponentError, match=f"gave {answers} results for 3 frames"):
        list(observe([(frames_of(noise(3)), [boxes_of([])] * answers)]))


def test_no_frames_are_no_arrays() -> None:
    assert list(observe([])) == []

"""What makes an event: hysteresis, least length in seconds, joining, swings; never beyond a cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emoframe.core.errors import DataError
from emoframe.weak_labels.motion.events import Span, spans
from emoframe.weak_labels.motion.thresholds import SHIPPED, Watch, load_thresholds
from emoframe.weak_labels.motion.track import Track, baseline

NAN = float("nan")


def track(frames: int, step_s: float = 0.1, cut: int | None = None) -> Track:
    shot = np.zeros(frames, np.int64)
    if cut is not None:
        shot[cut:] = 1
    nothing = np.zeros((frames, 137))
    return Track(nothing.astype(complex), nothing, np.arange(frames) * step_s, shot, step_s, False)


def watch(on: float = 2, off: float = 1, **more: float) -> Watch:
    return Watch.model_validate(
        {"codes": ["FACS 1"], "signal": "turn", "words": "x", "on": on, "off": off, **more}
    )


def found(values: list[float], rule: Watch, cut: int | None = None) -> list[tuple[int, int, int]]:
    clock = track(len(values), cut=cut)
    return [(s.first, s.last, s.count) for s in spans(np.array(values), clock, rule, hold_s=0.2)]


def test_it_begins_and_ends_at_off_and_must_reach_on() -> None:
    assert found([0, 1.5, 2.5, 1.5, 0, 1.5, 1.9, 0], watch()) == [(1, 3, 1)]


def test_it_is_the_same_backwards() -> None:
    values = [0, 1.5, 1.2, 2.5, NAN, 1.5, 0.9, 3, 0, NAN, 2]
    forward, backward = found(values, watch()), found(values[::-1], watch())
    assert sorted(forward) == sorted((10 - b, 10 - a, n) for a, b, n in backward)


def test_on_below_off_is_an_event_of_low_values() -> None:
    assert found([9, 1.5, 0.5, 1.5, 9], watch(on=1, off=2)) == [(1, 3, 1)]


def test_one_too_short_or_too_long_is_none() -> None:
    values = [0, 3, 0, 0, 3, 3, 3, 0, 3, 3, 3, 3, 3]
    assert found(values, watch(least_s=0.3)) == [(4, 6, 1), (8, 12, 1)]
    assert found(values, watch(least_s=0.3, most_s=0.4)) == [(4, 6, 1)]


def test_those_near_each_other_are_one_that_counts_them() -> None:
    values = [3, 3, 0, 0, 3, 3, 0, 0, 0, 0, 3, 3]
    assert found(values, watch(join_s=0.3)) == [(0, 5, 2), (10, 11, 1)]
    assert found(values, watch(join_s=0.5)) == [(0, 11, 3)]


def test_a_gap_is_held_only_between_two_sides_that_hold_and_only_if_short() -> None:
    assert found([3, NAN, NAN, 3, 3], watch()) == [(0, 4, 1)]
    assert found([3, NAN, NAN, NAN, 3], watch()) == [(0, 0, 1), (4, 4, 1)]
    assert found([3, NAN, 0, 0, NAN, 3], watch()) == [(0, 0, 1), (5, 5, 1)]
    assert found([NAN, 3, NAN], watch()) == [(1, 1, 1)]


def test_none_spans_a_cut() -> None:
    assert found([3, 3, 3, 3], watch(join_s=1), cut=2) == [(0, 1, 1), (2, 3, 1)]
    assert found([3, 3, NAN, 3], watch(), cut=2) == [(0, 1, 1), (3, 3, 1)]
    assert found([0, 3, 0, 3, 0, 3, 0, 3, 0], watch(on=2, swings=5), cut=4) == []
    assert found([0, 3, 0, 3, 0, 3, 0, 3, 0], watch(on=2, swings=5)) == [(1, 7, 6)]


def test_swings_are_counted_where_each_is_large_and_quick_enough() -> None:
    wave = [0, 3, 0, 3, 0, 3, 0]
    assert found(wave, watch(on=2, swings=3)) == [(1, 5, 4)]
    assert found(wave, watch(on=2, swings=5)) == []
    assert found(wave, watch(on=4, swings=1)) == []
    slow = [0, 3, 0, 3, 2.9, 2.8, 2.7, 2.6, 0, 3, 0, 3, 0]
    assert found(slow, watch(on=2, swings=2, swing_s=0.3)) == [(1, 3, 2), (8, 11, 3)]


def test_nothing_comes_of_nothing() -> None:
    for values in ([], [NAN], [NAN, NAN], [3.0]):
        assert found(values, watch(least_s=0.2)) == []
        assert found(values, watch(swings=3)) == []
    assert spans(np.array([3.0]), track(1), watch(), 0.2) == [Span(0, 0, 1)]


def test_a_baseline_is_the_median_and_a_long_shot_has_its_own() -> None:
    values = np.r_[np.full(60, 1.0), np.full(50, 5.0)]
    clock = track(110, cut=60)
    assert baseline(values, clock, 0.5, own_s=4, least_s=1)[[0, -1]].tolist() == [1, 5]
    assert baseline(values, clock, 0.5, own_s=20, least_s=1)[[0, -1]].tolist() == [1, 1]
    assert np.isnan(baseline(values, clock, 0.5, own_s=20, least_s=20)).all()


def test_a_running_mean_stays_in_its_shot_and_leaves_gaps() -> None:
    values = np.array([0, 0, 0, 9, 9, NAN, 9])
    smooth = track(7, cut=3).smooth(values, 0.3)
    np.testing.assert_allclose(smooth, [0, 0, 0, 9, 9, NAN, 9])


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("on: 0.3, off: 0.15", "on: 0.3, off: 0.3", "on and off must differ"),
        ("IMIGUE 17", "IMIGUE17", "'IMIGUE17' must be a codebook and a code"),
        ("hold_s: 0.5", "hold_s: -1", "hold_s"),
        ("hold_s: 0.5", "holds: 1", "holds"),
        ("signal: palms", "signal: plams", "plams.*did you mean 'palms'"),
        ('words: "head nodded"', 'words: "{how} nodded"', "how"),
    ],
)
def test_a_mistake_in_a_file_of_ones_own_is_a_sentence(
    old: str, new: str, says: str, tmp_path: Path
) -> None:
    text = SHIPPED.read_text()
    assert old in text
    file = tmp_path / "mine.yaml"
    file.write_text(text.replace(old, new))
    with pytest.raises(DataError, match=says):
        load_thresholds(file)

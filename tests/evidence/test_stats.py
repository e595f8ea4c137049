"""Intervals are as wide as what was measured allows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from emoframe.core.errors import DataError
from emoframe.evidence.grouped import jackknife, told
from emoframe.evidence.sizes import broken_stick
from emoframe.evidence.stats import (
    NotMeasurableError,
    accuracy_interval,
    balanced_interval,
    cluster_error,
    effective,
    grouped,
    paired,
    share_interval,
    wilson,
)


@pytest.mark.parametrize(("hits", "count"), [(72, 104), (0, 10), (10, 10), (1, 3)])
def test_wilson_agrees_with_scipy(hits: int, count: int) -> None:
    expected = binomtest(hits, count).proportion_ci(method="wilson")
    assert wilson(hits, count) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_videos_of_one_person_do_not_count_as_independent() -> None:
    correct = np.repeat([1.0, 0.0, 1.0, 1.0, 0.0, 1.0], 20)
    subjects = [f"s{n // 20}" for n in range(120)]
    clustered, alone = accuracy_interval(correct, subjects), accuracy_interval(correct)
    assert clustered.high - clustered.low > 3 * (alone.high - alone.low)
    assert "6 subjects" in clustered.method
    assert "subjects are unknown" in alone.method


def test_the_clustered_interval_covers_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        skill = generator.beta(6, 4, size=30)
        correct = (generator.random((30, 5)) < skill[:, None]).astype(float).ravel()
        interval = accuracy_interval(correct, [f"s{n // 5}" for n in range(150)])
        covered += interval.low <= 0.6 <= interval.high
    assert 0.92 <= covered / 400 <= 0.98


@pytest.mark.parametrize("accuracy", [0.55, 0.7, 0.85])
def test_it_does_so_at_the_sizes_of_the_miga_test_set_where_items_alone_do_not(
    accuracy: float,
) -> None:
    sizes, runs, icc = broken_stick(104, 35), 500, 0.3
    generator, total = np.random.default_rng(0), 1 / icc - 1
    skill = generator.beta(accuracy * total, (1 - accuracy) * total, (runs, 35)).repeat(sizes, 1)
    right = (generator.random((runs, 104)) < skill).astype(float)
    subjects = [f"s{n}" for n, size in enumerate(sizes) for _ in range(size)]
    ours = [accuracy_interval(one, subjects) for one in right]
    alone = [accuracy_interval(one) for one in right]
    assert np.mean([one.low <= accuracy <= one.high for one in ours]) > 0.925
    assert np.mean([one.low <= accuracy <= one.high for one in alone]) < 0.88


def test_independent_items_with_as_many_subjects_give_nearly_wilson() -> None:
    right = np.array([1.0] * 72 + [0.0] * 32)
    found = accuracy_interval(right, [f"s{n}" for n in range(104)])
    assert (found.low, found.high) == pytest.approx(wilson(72, 104), abs=0.003)


def test_a_few_large_subjects_leave_few_degrees_of_freedom() -> None:
    even, uneven = np.repeat(np.arange(10), 10), np.repeat(np.arange(10), [55] + [5] * 9)
    assert effective(even) == pytest.approx(10)
    assert effective(uneven) == pytest.approx(100**2 / (55**2 + 9 * 25))
    of = [share_interval(0.7, 0.05, effective(group), "") for group in (even, uneven)]
    assert of[1].high - of[1].low > 1.5 * (of[0].high - of[0].low)


def test_an_interval_stays_within_bounds_and_around_its_value() -> None:
    generator = np.random.default_rng(0)
    for share in (0.02, 0.5, 0.98):
        right = (generator.random(60) < share).astype(float)
        for count in (2, 3, 12):
            found = accuracy_interval(right, [f"s{n % count}" for n in range(60)])
            assert 0 <= found.low <= found.value <= found.high <= 1
            assert found.high > found.low
    for count in range(1, 200):
        for hits in (0, count):
            low, high = wilson(hits, count, 2 + count / 7)
            assert 0 <= low <= hits / count <= high <= 1


def test_the_error_of_a_mean_is_the_same_by_sandwich_and_by_jackknife() -> None:
    right = (np.random.default_rng(1).random(60) < 0.7).astype(float)
    subjects = [f"s{n // 5}" for n in range(60)]  # of the same size, else they differ a little
    group, _ = grouped(subjects)
    left = jackknife(lambda of: float(right[of].mean()), subjects)
    error = cluster_error((right - right.mean()) / 60, group)
    half = (left.high - left.low) / 2
    assert half == pytest.approx(2.2009852 * error, rel=1e-6)  # t of 11 degrees of freedom


def test_many_subjects_are_left_out_in_groups() -> None:
    calls: list[int] = []
    right = (np.random.default_rng(0).random(1000) < 0.6).astype(float)

    def mean(of: np.ndarray) -> float:
        calls.append(len(of))
        return float(right[of].mean())

    found = jackknife(mean, [None] * 1000)
    assert len(calls) == 201 and "in groups" in found.method
    plain = wilson(right.sum(), 1000)
    assert found.high - found.low == pytest.approx(plain[1] - plain[0], rel=0.2)


def test_of_no_item_nothing_is_measured_and_that_is_said() -> None:
    none = np.array([])
    for measure in (
        lambda: accuracy_interval(none),
        lambda: balanced_interval(none, none.astype(int)),
        lambda: paired(none[None], none[None]),
    ):
        with pytest.raises(NotMeasurableError, match="no item"):
            measure()
    assert told(lambda: accuracy_interval(none)) == "not measurable: there is no item to measure"


def test_one_item_and_one_class_are_told_as_such() -> None:
    one = np.array([1.0])
    assert accuracy_interval(one, ["anna"]).low < 0.3
    assert balanced_interval(one, np.array([0])).low < 0.3
    found = balanced_interval(np.array([1.0, 0.0, 1.0]), np.zeros(3, int), ["a", "b", "c"])
    assert "one class only" in found.method


def test_no_variance_seen_is_not_no_variance() -> None:
    interval = accuracy_interval(np.ones(20), [f"s{n // 5}" for n in range(20)])
    assert (interval.value, interval.high) == (1.0, 1.0)
    assert interval.low < 0.6
    assert "4 subjects" in interval.method


def test_subjects_that_agree_by_rounding_alone_give_no_interval_of_width_zero() -> None:
    correct = np.mean([[1, 0] * 6, [0, 1] * 6, [1, 0] * 6], axis=0)
    interval = accuracy_interval(correct, [f"s{n // 4}" for n in range(12)])
    assert interval.high - interval.low > 0.5


def test_some_unknown_subjects_make_all_unknown() -> None:
    assert "unknown" in accuracy_interval(np.array([1.0, 0.0]), ["a", None]).method


def test_an_interval_reads_as_papers_print_it() -> None:
    assert str(accuracy_interval(np.array([1.0] * 72 + [0.0] * 32))) == "0.692 [0.598, 0.773]"


def test_a_paired_difference_holds_its_two_intervals() -> None:
    generator = np.random.default_rng(0)
    first = (generator.random((5, 200)) < 0.7).astype(float)
    other = np.maximum(first, generator.random((5, 200)) < 0.2)
    over_seeds, over_items = paired(first, other)
    assert over_seeds.value == over_items.value == pytest.approx((other - first).mean())
    assert over_seeds.low > 0 and over_items.low > 0
    assert "5 seeds" in over_seeds.method and "200 items" in over_items.method
    by_subject = paired(first, other, [f"s{n // 20}" for n in range(200)])[1]
    assert "10 subjects" in by_subject.method


def test_nothing_is_known_over_a_single_seed() -> None:
    right = np.array([[1.0, 0.0, 1.0]])
    assert np.isinf(paired(right, right)[0].high)
    with pytest.raises(DataError, match="cannot be paired"):
        paired(right, np.ones((2, 3)))


def test_seeds_and_items_that_agree_are_no_proof() -> None:
    right = np.tile([1.0, 0.0, 1.0, 1.0], (3, 1))
    for found in paired(right, right):
        assert found.low < 0 < found.high


def test_items_of_one_subject_are_called_so() -> None:
    right, labels = np.array([1.0, 0.0] * 10), np.arange(20) % 2
    one = ["anna"] * 20
    for method in (
        accuracy_interval(right, one).method,
        balanced_interval(right, labels, one).method,
        paired(right[None], right[None], one)[1].method,
    ):
        assert "20 items; all of one subject" in method


def test_a_class_of_one_subject_is_not_called_certain() -> None:
    right, labels = np.array([1.0] * 12 + [0.0] * 8), np.arange(20) // 10
    found = balanced_interval(right, labels, [f"s{label}" for label in labels])
    assert found.low < found.value < found.high
    assert "one subject only" in found.method


def test_each_class_weighs_the_same_in_balanced_accuracy() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    always = (labels == 0).astype(float)
    found = balanced_interval(always, labels)
    assert found.value == 0.5
    assert found.low < 0.5 < found.high
    clustered = balanced_interval(always, labels, [f"s{n % 7}" for n in range(100)])
    assert "7 subjects" in clustered.method


def test_balanced_intervals_cover_the_truth() -> None:
    generator = np.random.default_rng(3)
    labels = np.array([0] * 70 + [1] * 30)
    hits = 0
    for _ in range(300):
        right = (generator.random(100) < np.where(labels == 0, 0.9, 0.6)).astype(float)
        found = balanced_interval(right, labels)
        hits += found.low <= 0.75 <= found.high
    assert 0.91 < hits / 300 < 0.99

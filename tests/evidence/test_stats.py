"""Intervals are as wide as what was measured allows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from emoframe.core.errors import DataError
from emoframe.evidence.stats import accuracy_interval, balanced_interval, paired, wilson


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

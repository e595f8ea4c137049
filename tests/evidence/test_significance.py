"""Tests of a difference agree with published values, and what cannot be tested is a sentence."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import binomtest

from emoframe.core.errors import DataError
from emoframe.evidence.grouped import told
from emoframe.evidence.significance import Test, holm, mcnemar, sign_flip
from emoframe.evidence.stats import NotMeasurableError

DARWIN = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48], float)
"""Differences in height of 15 pairs of plants (Darwin 1876; Fisher 1935, section 21)."""


def by_all_signs(sums: np.ndarray) -> float:
    signs = np.array([*itertools.product((-1, 1), repeat=len(sums))])
    return float(np.mean(np.abs(signs @ sums) >= abs(sums.sum()) - 1e-9))


def names(count: int) -> list[str]:
    return [f"s{n}" for n in range(count)]


def test_fishers_own_permutation_of_darwins_plants_comes_out() -> None:
    # 1726 of the 32768 patterns are as extreme, which Fisher counted by hand
    found = sign_flip(DARWIN, names(15))
    assert found.p == pytest.approx(1726 / 32768, abs=0.002)
    assert "100000 random" in found.method and "15 subjects" in found.method


def test_few_subjects_are_counted_out_exactly() -> None:
    found = sign_flip(DARWIN[:14], names(14))
    assert found.p == pytest.approx(by_all_signs(DARWIN[:14]), abs=1e-12)
    assert "all 16384 patterns" in found.method


def test_the_videos_of_a_subject_have_one_sign() -> None:
    gap = np.array([1.0, 1, 1, 1, 1, 1, -1, 0, 0, 1, 0, 1])
    subjects = list("aaabbbccddee")
    sums = np.array([3.0, 3, -1, 1, 1])
    assert sign_flip(gap, subjects).p == pytest.approx(by_all_signs(sums))
    assert sign_flip(gap, subjects).p > sign_flip(gap).p
    assert "subjects are unknown" in sign_flip(gap).method


def test_means_over_seeds_that_are_equal_but_for_rounding_are_ties() -> None:
    gap = np.array([0.1 + 0.2, 0.3, -0.3, 0.3, 0.3, -(0.1 + 0.2), 0.3])
    assert sign_flip(gap, names(7)).p == pytest.approx(by_all_signs(np.sign(gap)))


def test_the_order_of_the_two_and_subjects_without_a_difference_change_nothing() -> None:
    gap = np.array([1.0, 1, 0, 1, -1, 0, 1, 1])
    found = sign_flip(gap, names(8))
    assert sign_flip(-gap, names(8)).p == found.p
    assert sign_flip(gap[gap != 0], names(6)).p == found.p


def test_under_no_difference_it_finds_one_no_more_often_than_it_says() -> None:
    generator = np.random.default_rng(0)
    group = np.repeat(np.arange(10), 4)
    shared = generator.integers(-1, 2, (300, 10))[:, group]
    gaps = np.where(generator.random((300, 40)) < 0.5, shared, generator.integers(-1, 2, (300, 40)))
    subjects = [f"s{n}" for n in group]
    found = [sign_flip(gap.astype(float), subjects).p <= 0.05 for gap in gaps if gap.any()]
    assert np.mean(found) < 0.08


def test_so_few_that_no_difference_could_be_found_are_told() -> None:
    found = sign_flip(np.ones(5), names(5))
    assert found.p == 0.0625 and "no p below 0.062 is possible" in found.note
    assert not sign_flip(np.ones(6), names(6)).note


@pytest.mark.parametrize(
    ("gap", "subjects", "says"),
    [
        ([1.0, 0, 1], ["anna"] * 3, "of 1 subject say nothing of others"),
        ([], [], "0 items of 0 subjects"),
        ([0.0, 0, 0], ["a", "b", "c"], "no item of 3 was judged differently"),
        ([1.0, -1, 0], ["a", "a", "b"], "no subject of 2"),
    ],
)
def test_what_cannot_be_tested_is_a_sentence(
    gap: list[float], subjects: list[str], says: str
) -> None:
    with pytest.raises(NotMeasurableError, match=says):
        sign_flip(np.array(gap), subjects)
    assert str(told(lambda: sign_flip(np.array(gap), subjects))).startswith("not measurable: ")


def test_wrong_input_is_refused() -> None:
    with pytest.raises(DataError, match="name one for each"):
        sign_flip(np.ones(3), ["a", "b"])
    with pytest.raises(DataError, match="is no number"):
        sign_flip(np.array([1.0, np.nan]), ["a", "b"])


def test_mcnemar_is_the_exact_binomial_of_who_differs() -> None:
    first = np.array([1.0] * 60 + [0.0] * 40)
    other = first.copy()
    other[:4], other[60:75] = 0.0, 1.0
    found = mcnemar(first, other)
    assert found.p == pytest.approx(binomtest(4, 19).pvalue)
    assert "15 items won and 4 lost" in found.note
    assert mcnemar(other, first).p == found.p


def test_mcnemar_tells_what_it_cannot_do() -> None:
    right = np.array([1.0, 0.0, 1.0])
    with pytest.raises(NotMeasurableError, match="no item of 3"):
        mcnemar(right, right)
    with pytest.raises(NotMeasurableError, match="no item of 0"):
        mcnemar(right[:0], right[:0])
    with pytest.raises(DataError, match="give one seed"):
        mcnemar(right / 2, right)
    with pytest.raises(DataError, match="do not"):
        mcnemar(right[:2], right)


def test_holm_corrects_as_published() -> None:
    # worked example of Wikipedia's "Holm-Bonferroni method": p = .01, .04, .03, .005
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.2]) == [0.2]
    with pytest.raises(DataError, match="is no p-value"):
        holm([0.2, float("nan")])


def test_a_p_value_reads_as_papers_print_it() -> None:
    assert str(Test(0.0312, "")) == "p = 0.031"
    assert str(Test(0.00002, "")) == "p < 0.001"

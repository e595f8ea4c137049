"""What calibration promises: it is honest of few items, and judged on people it never saw."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from emoframe.evidence.grouped import NotMeasurableError, cross_fitted, folds, jackknife
from emoframe.evidence.labels.calibrate import (
    Stated,
    brier,
    calibrated,
    calibrator,
    ece,
    edges,
    judge,
    perfect_ece,
    shifted,
    stated,
)
from emoframe.evidence.labels.labelled import Material
from emoframe.evidence.stats import Interval

Made = Callable[..., Material]


def drawn(count: int, power: float, classes: int = 2, seed: int = 0) -> Stated:
    """Draw truth from probabilities, and state them bent; below 1 is overconfident."""
    generator = np.random.default_rng(seed)
    true = generator.dirichlet(np.ones(classes), count)
    gold = np.array([generator.choice(classes, p=row) for row in true])
    bent = true ** (1 / power)
    names = [f"item-{n}" for n in range(count)]
    subjects = [f"s{n % 60}" for n in range(count)]
    return Stated(names, bent / bent.sum(1, keepdims=True), gold, subjects)


def test_ece_is_what_a_hand_counts() -> None:
    sure, right = np.array([0.6, 0.6, 0.9, 0.9]), np.array([1.0, 0.0, 1.0, 1.0])
    assert ece(sure, right, bins=2) == pytest.approx((abs(0.5 - 0.6) + abs(1 - 0.9)) / 2)


def test_who_states_the_same_is_in_one_bin_and_bins_hold_alike_many() -> None:
    assert len(np.unique(edges(np.full(50, 0.7)))) == 1
    counts = np.bincount(edges(np.random.default_rng(0).random(300)))
    assert len(counts) == 15
    assert counts.min() == counts.max() == 20
    assert np.bincount(edges(np.array([0.6] * 70 + [0.8] * 20 + [0.95] * 10))).tolist() == [
        70, 20, 10,
    ]  # fmt: skip


def test_the_calibration_error_of_few_items_is_told_beside_that_of_a_perfect_labeler() -> None:
    few = judge("as stated", drawn(60, 1.0))
    assert isinstance(few.ece, Interval)
    assert few.ece.value > 0.05, "60 items in 15 bins look uncalibrated"
    assert few.ece.value < few.perfect[1], "no more than chance explains"
    many = perfect_ece(drawn(20_000, 1.0).sure)
    assert many[1] < 0.02


@pytest.mark.parametrize("method", ["isotonic", "platt"])
@pytest.mark.parametrize("classes", [2, 3])
def test_overconfidence_is_mended_on_people_that_were_not_seen(method: str, classes: int) -> None:
    given = drawn(900, 0.4, classes)
    mended = calibrated(given, method)  # pyright: ignore[reportArgumentType]
    before, after = ece(given.sure, given.right), ece(mended.sure, mended.right)
    assert before > 0.09
    assert after < perfect_ece(mended.sure)[1], "no more than chance explains"
    assert brier(mended.share_NK, mended.gold_N) < brier(given.share_NK, given.gold_N)
    assert np.allclose(mended.share_NK.sum(1), 1)


def test_nobody_is_judged_by_a_fit_that_saw_them() -> None:
    given = drawn(120, 1.0)
    for train, held in (cut := folds(given.gold_N, given.subjects)):
        seen = {given.subjects[n] for n in train}
        assert not seen & {given.subjects[n] for n in held}
    assert sorted(n for _, held in cut for n in held) == list(range(120))
    index = cross_fitted(lambda train: lambda held: np.isin(held, train), cut)
    assert not index.any()


def test_platt_is_defined_where_all_are_right_and_where_confidence_is_certain() -> None:
    score, true = np.array([0.0, 0.2, 0.9, 1.0]), np.array([False, False, True, True])
    probability = calibrator("platt", score, true)(np.array([0.0, 0.5, 1.0]))
    assert np.isfinite(probability).all()
    assert 0 < probability[0] < probability[1] < probability[2] < 1


def test_brier_is_zero_for_the_truth_and_two_for_its_contrary() -> None:
    truth = np.eye(2)
    assert brier(truth, np.array([0, 1])) == 0
    assert brier(truth, np.array([1, 0])) == 2


def test_a_prior_moves_probabilities_as_bayes_does() -> None:
    moved = shifted(np.array([[0.5, 0.5], [0.2, 0.8]]), np.array([0.5, 0.5]), np.array([0.8, 0.2]))
    assert moved[0] == pytest.approx([0.8, 0.2])
    assert moved[1] == pytest.approx([0.5, 0.5])


def test_confidences_need_not_sum_to_one_and_abstentions_may_have_some(made: Made) -> None:
    labels = made([0, 1, 0], [0, None, 1], confidence=[(0.9, 0.9), (0.2, 0.6), None])
    found = stated(labels)
    assert found.items == ["item-000", "item-001"]
    assert found.share_NK == pytest.approx(np.array([[0.5, 0.5], [0.25, 0.75]]))
    with pytest.raises(NotMeasurableError, match="0 items state confidences"):
        stated(made([0, 1], [0, 1]))


@pytest.mark.parametrize(
    ("gold", "subjects", "why"),
    [
        ([0, 0, 0, 1], ["a", "b", "c", "d"], "two items of each of two classes"),
        ([0, 0, 1, 1], ["a", "a", "a", "a"], "two subjects, and there is one"),
        ([0, 0, 1, 1], ["a", "a", "b", "b"], "too few subjects"),
        ([0, 0, 0], ["a", "b", "c"], "two items of each of two classes"),
    ],
)
def test_what_cannot_be_fitted_on_others_is_a_sentence(
    gold: list[int], subjects: list[str], why: str
) -> None:
    share = np.array([[0.4, 0.6]] * len(gold))
    given = Stated([str(n) for n in range(len(gold))], share, np.array(gold), subjects)
    with pytest.raises(NotMeasurableError, match=why):
        calibrated(given, "isotonic")


def test_an_interval_leaves_out_one_subject_after_the_other() -> None:
    hits = np.array([1.0, 1.0, 0.0, 0.0, 1.0, 0.0])
    found = jackknife(lambda of: float(hits[of].mean()), ["a", "a", "b", "b", "c", "c"])
    assert found.value == pytest.approx(0.5)
    assert found.method == "jackknife over 3 subjects"
    assert found.high - found.low > 0.9, "three people say little"
    alike = jackknife(lambda of: 1.0, ["a", "b", "c"])
    assert alike.low < 0.6, "no variance was seen, which does not mean that there is none"
    with pytest.raises(NotMeasurableError, match="6 items of 1 subject"):
        jackknife(lambda of: 1.0, ["a"] * 6)

"""What the curves of the noise window promise: they are what a simulation of them gives."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from emoframe.core.errors import DataError
from emoframe.evidence.noise_window.bounds import correction_bound, coverage_bound, reference_bound
from emoframe.evidence.noise_window.window import (
    accuracy_of,
    best_weight,
    break_even,
    curves,
    effective_size,
    largest_weight,
    loss_break_even,
    loss_size,
)

N, M, TEACHER = 245, 104, 37 / 104


def simulated(
    n: int, m: int, rate: float, weight: float, by_chance: bool = False, dim: int = 12
) -> tuple[float, float]:
    """Add up signed features of n gold and m weak items; return mean accuracy and its error."""
    generator, half, draws = np.random.default_rng(0), 0.5, 40_000
    wrong = generator.binomial(m, rate, draws) if by_chance else np.full(draws, round(rate * m))
    spread = np.sqrt(n + weight**2 * m)
    theta = generator.standard_normal((draws, dim)) * spread
    theta[:, 0] += half * (n + weight * (m - 2 * wrong))
    right = norm.cdf(half * theta[:, 0] / np.linalg.norm(theta, axis=1))
    return float(right.mean()), float(right.std() / np.sqrt(draws))


def test_the_papers_point_is_past_break_even_at_unit_weight() -> None:
    assert break_even(N, M) == pytest.approx(0.272, abs=5e-4)
    assert effective_size(N, M, TEACHER) == pytest.approx(216.7, abs=0.05)
    assert effective_size(N, M, TEACHER, 1 - 2 * TEACHER) == pytest.approx(253.7, abs=0.05)
    assert largest_weight(N, M, TEACHER) == pytest.approx(0.598, abs=5e-4)


@pytest.mark.parametrize("weight", [0.1, 0.5, 1.0, 1.5])
@pytest.mark.parametrize("m", [5, 104, 5000])
def test_at_break_even_weak_labels_are_worth_nothing(m: int, weight: float) -> None:
    edge = break_even(N, m, weight)
    assert effective_size(N, m, edge, weight) == pytest.approx(N)
    assert effective_size(N, m, edge - 0.01, weight) > N > effective_size(N, m, edge + 0.01, weight)
    assert largest_weight(N, m, edge) == pytest.approx(weight)


def test_few_labels_of_full_weight_have_to_be_right_in_three_of_four() -> None:
    assert break_even(10**6, 1) == pytest.approx(0.25, abs=1e-4)
    assert break_even(10, 10**8) == pytest.approx(0.5, abs=1e-3)
    assert break_even(N, 1, 3.0) == 0, "so heavy that even a true one hurts"
    assert break_even(N, M, 1e-4) == pytest.approx(0.5, abs=1e-4)


def test_the_best_weight_beats_every_other_and_never_loses() -> None:
    tried = np.linspace(-1, 2, 3001)
    for rate in (0.0, 0.2, TEACHER, 0.5, 0.7):
        assert tried[effective_size(N, M, rate, tried).argmax()] == pytest.approx(
            1 - 2 * rate, abs=1e-3
        )
    rates = np.linspace(0, 1, 101)
    best = effective_size(N, M, rates, best_weight(rates))
    assert best == pytest.approx(N + M * (1 - 2 * rates) ** 2)
    assert best.min() == best[50] == N
    assert largest_weight(N, M, 0.5) == 0
    assert largest_weight(100, 100, 0.0) == float("inf")


@pytest.mark.parametrize(("rate", "weight"), [(0.0, 1.0), (0.25, 1.0), (0.25, 0.5), (0.5, 1.0)])
def test_accuracy_is_that_of_n_eff_gold_labels(rate: float, weight: float) -> None:
    n, m = 40, 60
    mean, error = simulated(n, m, rate, weight)
    expected = float(accuracy_of(effective_size(n, m, rate, weight), 12, 1.0))
    assert abs(mean - expected) < 4 * error
    by_chance, error = simulated(n, m, rate, weight, by_chance=True)
    assert abs(by_chance - expected) < 4 * error + 1e-3, "second order in the direction"


def test_the_specs_other_formula_is_not_what_a_simulation_gives() -> None:
    n, m, rate = 40, 60, 0.4
    mean, error = simulated(n, m, rate, 1.0)
    other = float(accuracy_of(n + m * (1 - 2 * rate) ** 2, 12, 1.0))
    assert other - mean > 20 * error


def test_a_loss_of_constant_pull_has_the_plain_formula() -> None:
    for rate in (0.0, 0.2, 0.4):
        plain = float(effective_size(N, M, rate))
        assert loss_size(N, M, rate, separation=1, ridge=1e7) == pytest.approx(plain, rel=1e-3)
        assert loss_size(N, M, rate, separation=0.02) == pytest.approx(plain, rel=2e-3)
    assert loss_size(N, M, 0.0, separation=2) == pytest.approx(N + M)


def test_cross_entropy_breaks_even_earlier_gce_later_and_forward_correction_never() -> None:
    for separation in (1.0, 2.0):
        ce, gce, forward = (
            loss_break_even(N, M, separation=separation, loss=loss)
            for loss in ("cross_entropy", "gce", "forward_correction")
        )
        assert ce < break_even(N, M) < gce < forward == 0.5
    assert loss_break_even(N, M, separation=2) < loss_break_even(N, M, separation=1)
    assert loss_break_even(N, M, separation=2, ridge=10, matched=True) < 0.3, "1 - 2e is too much"


def test_forward_correction_is_worth_as_much_as_the_best_weight_where_classes_overlap() -> None:
    size = loss_size(N, M, 0.3, separation=0.05, loss="forward_correction")
    assert size == pytest.approx(N + M * 0.4**2, rel=1e-3)


def test_bounds_of_lang_are_what_a_hand_computes_and_silent_where_a_condition_fails() -> None:
    assert correction_bound(0.11, 0.848, 0.08) == pytest.approx(0.08 + 0.11 * (1 - 1.272))
    assert correction_bound(0.2, 0.9, 0.2, 0.03) == pytest.approx(
        0.4 / 0.6 * 0.03 + 0.2 + 0.2 * (1 - 1.35)
    )
    assert coverage_bound(0.2, 0.8, 0.25, 0.01) == pytest.approx(
        (1 + 0.2 / 0.6) * 0.01 + (0.25 - 0.16) / (0.8 * 0.6)
    )
    assert coverage_bound(0.2, 0.8, 0.1, least=0.05) == pytest.approx(0.05)
    assert np.isnan(correction_bound(0.3, 0.5, 0.4))
    assert np.isnan(coverage_bound(0.3, 0.5, 0.36))
    assert np.isnan(correction_bound([0.5, 0.6], 1.0, 0.0)).all()


@pytest.mark.parametrize("c", [0.5, 0.7, 0.85])
def test_the_reference_student_is_bounded_up_to_one_in_five_less_three_c(c: float) -> None:
    edge = 1 / (5 - 3 * c)
    assert np.isnan(reference_bound(edge + 0.001, c))
    promised = float(reference_bound(edge - 0.001, c))
    assert (promised < edge - 0.001) == (c > 2 / 3)


def test_curves_hold_everything_for_a_study_to_draw() -> None:
    found = curves(N, M, [0.0, 0.25, 0.5], 0.5)
    assert found.size_E == pytest.approx(effective_size(N, M, [0.0, 0.25, 0.5], 0.5))
    assert found.best_weight_E == pytest.approx([1, 0.5, 0])
    assert found.best_size_E[1] == pytest.approx(found.size_E[1])
    assert found.break_even == break_even(N, M, 0.5)
    assert found.lang_E[1.0][0] == 0
    assert np.isnan(found.lang_E[0.5][2])


def test_what_has_no_answer_is_refused() -> None:
    for wrong in (lambda: effective_size(0, 5, 0.1), lambda: effective_size(5, 5, 1.2)):
        with pytest.raises(DataError, match="at least one gold label, and a share from 0 to 1"):
            wrong()
    for wrong in (lambda: break_even(5, 0), lambda: break_even(5, 5, 0.0)):
        with pytest.raises(DataError, match="at least one weak label and a weight above 0"):
            wrong()
    with pytest.raises(DataError, match="give more than 0"):
        loss_size(5, 5, 0.1, separation=0)

"""What the noise study promises: it measures what it says, and linear heads meet their curves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from typer.testing import CliRunner

from emoframe.cli.app import build_app
from emoframe.core.errors import DataError
from emoframe.evidence.noise_window.gain import Head, crossing
from emoframe.evidence.noise_window.heads import (
    Noise,
    Plane,
    World,
    draw,
    em_prior,
    logistic,
    mean_difference,
)
from emoframe.evidence.noise_window.page import paper_line
from emoframe.evidence.noise_window.study import SHIFTED, TEACHER, best_weights, measured, shift
from emoframe.evidence.noise_window.window import best_weight, break_even
from emoframe.evidence.stats import Interval

WORLD = World(seeds=60)
SMALL = World(n=30, m=20, dim=4, seeds=6)
RATES = (0.0, 0.1, 0.2, 0.3, TEACHER, 0.42, 0.5)


def test_the_mean_difference_meets_its_curve_within_its_intervals() -> None:
    curve = measured("window", WORLD, Head(), RATES)
    edge = curve.break_even
    assert isinstance(edge, Interval)
    assert edge.low < break_even(WORLD.n, WORLD.m) < edge.high
    assert edge.high - edge.low < 0.15
    assert curve.met == len(RATES)


def test_it_is_past_break_even_at_the_papers_rate_and_not_at_the_best_weight() -> None:
    unit, best = (
        measured("window", WORLD, Head(), (TEACHER,), weight).gains[0] for weight in ("1", "1 - 2e")
    )
    assert unit.high < 0
    assert best.low > 0


@pytest.mark.parametrize("m", [61, 490])
def test_break_even_moves_with_the_number_of_weak_labels_as_theory_says(m: int) -> None:
    curve = measured("amount", replace(WORLD, m=m), Head(), RATES)
    edge = curve.break_even
    assert isinstance(edge, Interval)
    assert edge.low < break_even(WORLD.n, m) < edge.high


def test_the_best_weight_on_a_grid_is_one_less_twice_the_rate() -> None:
    for one in best_weights(WORLD, (0.1, 0.25, 0.4)):
        assert one.weight.low - 0.025 <= one.expected <= one.weight.high + 0.025
        assert one.weight.high - one.weight.low < 0.4


@pytest.mark.parametrize(
    ("head", "weight"),
    [
        (Head("cross_entropy"), "1"),
        (Head("cross_entropy", 1000.0), "1"),
        (Head("gce"), "1"),
        (Head("cross_entropy"), "1 - 2e"),
    ],
)
def test_logistic_heads_meet_the_curve_of_their_loss_and_not_the_plain_one(
    head: Head, weight: str
) -> None:
    world = replace(WORLD, separation=2.0)
    rates = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4)
    curve = measured("loss", world, head, rates, weight)  # pyright: ignore[reportArgumentType]
    edge = curve.break_even
    assert isinstance(edge, Interval)
    assert edge.low < head.edge(world, curve.weight) < edge.high
    if head == Head("cross_entropy"):
        assert edge.high < break_even(world.n, world.m)


def test_forward_correction_never_hurts_where_cross_entropy_does() -> None:
    world = replace(WORLD, separation=2.0)
    plain, corrected = (
        measured("loss", world, Head(loss), (TEACHER, 0.5))
        for loss in ("cross_entropy", "forward_correction")
    )
    assert plain.gains[0].high < 0 <= corrected.gains[0].high
    assert len(corrected.rates_E) == 1, "it refuses labels that tell nothing"


def test_mistakes_near_the_border_hurt_less_than_those_of_chance() -> None:
    chance, near = (
        measured("type", replace(WORLD, noise=noise), Head(), (0.4,)).gains[0]
        for noise in ("symmetric", "instance_dependent")
    )
    assert chance.high < 0 < near.low


def test_a_true_confidence_of_each_label_is_worth_more_than_one_weight_for_all() -> None:
    gains = [
        measured("type", replace(WORLD, noise=noise), Head(), (0.4,), "1 - 2e").gain_SE
        for noise in ("confidence_correlated", "symmetric")
    ]
    assert gains[0].mean() > gains[1].mean()


def test_under_prior_shift_weak_labels_are_held_against_the_prior_alone() -> None:
    found = shift(replace(WORLD, **SHIFTED), Head("cross_entropy", threshold=True), (0.0, TEACHER))
    at = {(one.way, one.against): one.gains for one in found}
    naive = at["weak labels", "gold alone"][1]
    control = at["prior corrected, no weak labels", "gold alone"][1]
    assert 0 < naive.low < naive.high < control.low, "the prior alone explains more than the gain"
    assert at["weak labels, prior corrected", "prior only"][0].low > 0, "labels without noise help"
    assert at["weak labels, prior corrected", "prior only"][1].high < 0
    for way in ("shuffled weak labels", "shuffled weak labels, prior corrected"):
        assert all(gain.high < 0 for gain in at[way, "prior only"]), way


def test_the_prior_is_found_among_items_without_labels() -> None:
    world = World(n=400, m=4000, dim=2, separation=2.0, seeds=4, gold_prior=0.8, target_prior=0.4)
    of = draw(world)
    exact = Plane(np.tile([2.0, 0.0], (4, 1)), np.full(4, np.log(4)))
    assert em_prior(exact, of.x_SND[:, 400:], 0.8) == pytest.approx(0.4, abs=0.06)


@pytest.mark.parametrize(
    "noise", ["symmetric", "class_conditional", "instance_dependent", "confidence_correlated"]
)
def test_exactly_the_share_is_wrong_and_stays_wrong(noise: Noise) -> None:
    of = draw(replace(SMALL, noise=noise))
    truth = of.y_SN[:, SMALL.n :]
    before = np.zeros_like(truth, bool)
    for rate in (0.0, 0.2, 0.5):
        wrong = of.weak(rate) != truth
        assert (wrong.sum(1) == rate * SMALL.m).all()
        assert (wrong >= before).all()
        assert of.rates(rate).mean() == pytest.approx(rate)
        assert (of.shuffled(rate).sum(1) == of.weak(rate).sum(1)).all()
        before = wrong


def test_stated_confidences_are_true() -> None:
    of = draw(World(n=2, m=200, dim=2, seeds=400, noise="confidence_correlated"))
    wrong, stated = of.weak(0.3) != of.y_SN[:, 2:], of.rates(0.3)
    for rate in np.unique(stated):
        assert wrong[stated == rate].mean() == pytest.approx(rate, abs=0.01)


def test_gold_items_do_not_depend_on_the_weak_ones() -> None:
    first, other = draw(SMALL), draw(replace(SMALL, m=7, noise="class_conditional"))
    assert np.array_equal(first.x_SND[:, :30], other.x_SND[:, :30])


def test_accuracy_in_closed_form_is_what_new_items_give() -> None:
    world = World(n=2, m=200_000, dim=3, separation=1.5, seeds=2, target_prior=0.7)
    of = draw(world)
    plane = Plane(np.array([[1.0, 0.5, 0.0], [0.3, -1.0, 1.0]]), np.array([0.4, -0.2]))
    x_SMD, truth = of.x_SND[:, 2:], of.y_SN[:, 2:]
    said = np.sign((x_SMD @ plane.theta_SD[..., None])[..., 0] + plane.bias_S[:, None])
    assert plane.accuracy(world) == pytest.approx((said == truth).mean(1), abs=0.005)


@pytest.mark.parametrize("threshold", [False, True])
def test_all_seeds_at_once_give_what_scikit_learn_gives_one_by_one(threshold: bool) -> None:
    of = draw(SMALL)
    label_SN = np.concatenate((of.y_SN[:, :30], of.weak(0.3)), 1)
    weight_SN = np.random.default_rng(0).random(label_SN.shape)
    found = logistic(of, label_SN, weight_SN, ridge=2.0, threshold=threshold)
    for seed in range(SMALL.seeds):
        one = LogisticRegression(C=0.5, fit_intercept=threshold, tol=1e-8)
        one.fit(of.x_SND[seed], label_SN[seed], weight_SN[seed])
        assert found.theta_SD[seed] == pytest.approx(one.coef_[0], abs=1e-4)
        assert found.bias_S[seed] == pytest.approx(float(np.ravel(one.intercept_)[0]), abs=1e-4)


def test_under_a_strong_ridge_a_logistic_head_is_the_mean_difference() -> None:
    of = draw(SMALL)
    strong = logistic(of, of.y_SN, ridge=1e6).theta_SD
    plain = mean_difference(of, of.y_SN).theta_SD
    for one, other in zip(strong, plain, strict=True):
        assert one / np.linalg.norm(one) == pytest.approx(other / np.linalg.norm(other), abs=1e-4)


def test_break_even_is_where_the_mean_gain_crosses_and_said_to_be_none_where_it_does_not() -> None:
    rates = np.linspace(0, 0.5, 11)
    noise = np.random.default_rng(0).normal(0, 0.01, (40, 1))
    found = crossing(rates, 0.2 - rates + noise - noise.mean())
    assert isinstance(found, Interval)
    assert found.value == pytest.approx(0.2)
    assert found.low < 0.2 < found.high
    assert crossing(rates, np.tile(0.6 - rates, (5, 1))) == "none up to 0.50"
    assert crossing(rates, np.zeros((5, 11))) == "none up to 0.50"
    with pytest.raises(DataError, match="at least 2 of each"):
        crossing(rates, np.zeros((1, 11)))


def test_break_even_of_noisy_gains_holds_the_truth_as_often_as_it_says() -> None:
    rates, generator = np.linspace(0, 0.5, 11), np.random.default_rng(1)
    held = 0
    for _ in range(60):
        slope = generator.normal(1, 0.5, (30, 1))
        found = crossing(rates, slope * (0.27 - rates) + generator.normal(0, 0.1, (30, 1)))
        held += isinstance(found, Interval) and found.low <= 0.27 <= found.high
    assert held >= 51, "95 % less what 60 trials may lack"


def test_a_world_of_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="least 2 of each"):
        World(seeds=1)


def test_the_papers_point_is_told_and_no_more_than_that() -> None:
    assert "is past break-even at unit weight, for such a learner" in paper_line()
    assert best_weight(TEACHER) == pytest.approx(0.288, abs=1e-3)


def test_the_command_writes_a_page_figures_and_tables(tmp_path: Path) -> None:
    args = ["study", "noise", "--quick", "--seeds", "4", "--out", str(tmp_path / "made")]
    done = CliRunner().invoke(build_app(), args, catch_exceptions=False)
    assert done.exit_code == 0
    for text in ("Break-even at w = 1, theory:   0.272", "measured:", "for such a learner",
                 "n_eff at w = 1", "Shuffled weak labels beat prior only"):  # fmt: skip
        assert text in done.stdout
    page = (tmp_path / "made/noise.html").read_text()
    assert page.count("data:image/png") == len([*(tmp_path / "made").glob("*.png")]) == 7
    table = pd.read_csv(tmp_path / "made/noise.csv")
    assert {"window", "amount", "loss", "type", "shift"} == set(table.part)
    assert table.n_eff[table.noise == "instance_dependent"].isna().all(), "no formula, no number"
    found = json.loads((tmp_path / "made/noise.json").read_text())
    assert len(found["items"]) == len(table)

"""What decisions promise: nothing is chosen on what it is judged on, and no gain is flattered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, logit

from emoframe.core.errors import DataError
from emoframe.evidence.stats import Interval
from emoframe.evidence.tables.judged import Judged
from emoframe.evidence.thresholds import (
    RULES,
    at_threshold,
    best_threshold,
    decided,
    prior,
    quantile_threshold,
    scaled,
    temperature_of,
    threshold,
)
from emoframe.records import Prediction


def said(second: Sequence[float], labels: Sequence[int], per_subject: int = 2) -> list[Prediction]:
    return [
        Prediction(f"item-{n:04d}", np.array([1 - p, p]), int(label), f"s{n // per_subject}")
        for n, (p, label) in enumerate(zip(second, labels, strict=True))
    ]


def drawn(
    count: int, bias: float = 0.0, heat: float = 1.0, seed: int = 0, share: float = 0.5
) -> list[Prediction]:
    """Make true log odds of balanced classes, then move them by `bias` and stretch them."""
    generator = np.random.default_rng(seed)
    labels = (generator.random(count) < share).astype(int)
    x = generator.normal(2 * (labels - 0.5))
    return said(expit(heat * 2 * x + bias), labels)


def right(predictions: Sequence[Prediction]) -> float:
    return float(np.mean([one.predicted == one.label for one in predictions]))


def test_the_threshold_that_makes_accuracy_largest_is_found_by_trying_all() -> None:
    for seed in range(5):
        predictions = drawn(60, bias=1.5, seed=seed)
        found = best_threshold(predictions)
        score = [one.probability[1] for one in predictions]
        tried = [right(at_threshold(predictions, t)) for t in np.linspace(0.005, 0.995, 199)]
        assert found.apparent == right(at_threshold(predictions, found.value))
        assert found.apparent >= max(tried)
        assert found.value not in score


def test_a_bias_is_undone_and_a_threshold_that_gains_nothing_stays_at_one_half() -> None:
    found = best_threshold(drawn(2000, bias=1.5))
    assert logit(found.value) == pytest.approx(1.5, abs=0.4)
    assert best_threshold(said([0.2, 0.8] * 10, [0, 1] * 10)).value == 0.5


def test_what_choosing_flatters_is_told_and_is_all_of_it_where_nothing_was_there() -> None:
    generator = np.random.default_rng(0)
    optimism = [
        best_threshold(said(generator.random(40), generator.integers(0, 2, 40))).optimism
        for _ in range(20)
    ]
    assert np.mean([one for one in optimism if one is not None]) > 0.05
    well = best_threshold(drawn(2000, bias=1.5))
    assert well.optimism is not None
    assert abs(well.optimism) < 0.01
    assert isinstance(well.nested, Interval)


def test_optimism_that_cannot_be_measured_is_a_sentence() -> None:
    one_person = [replace(one, subject="only") for one in drawn(20)]
    found = best_threshold(one_person)
    assert found.optimism is None
    assert "one" in str(found.nested)


def test_balanced_accuracy_is_what_is_made_largest_where_it_is_asked_for() -> None:
    generator = np.random.default_rng(0)
    labels = (generator.random(400) < 0.85).astype(int)
    x = generator.normal(labels)
    predictions = said(expit(x - 0.5 + np.log(0.85 / 0.15)), labels)

    def balanced(those: Sequence[Prediction]) -> float:
        return float(np.mean([right([p for p in those if p.label == k]) for k in (0, 1)]))

    found = best_threshold(predictions, "balanced_accuracy")
    plain = best_threshold(predictions)
    gained = [balanced(at_threshold(predictions, one.value)) for one in (found, plain)]
    assert gained[0] > gained[1] + 0.1
    assert found.apparent == pytest.approx(gained[0])


def test_moving_a_threshold_changes_decisions_there_and_no_order() -> None:
    predictions = drawn(200)
    moved = at_threshold(predictions, 0.7)
    before, after = (np.array([p.probability[1] for p in one]) for one in (predictions, moved))
    assert np.array_equal(after > 0.5, before > 0.7)
    assert np.array_equal(np.argsort(before), np.argsort(after))
    same = at_threshold(predictions, 0.5)
    assert np.allclose([p.probability for p in same], [p.probability for p in predictions])


@pytest.mark.parametrize("share", [0.0, 0.25, 0.54, 1.0])
def test_a_quantile_names_the_share_that_it_was_asked_for(share: float) -> None:
    predictions = drawn(200, bias=2)
    moved = at_threshold(predictions, quantile_threshold(predictions, share))
    assert np.mean([one.predicted for one in moved]) == pytest.approx(share)


def test_a_quantile_looks_at_no_label() -> None:
    predictions = drawn(50)
    blind = [replace(one, label=None) for one in predictions]
    assert quantile_threshold(blind, 0.4) == quantile_threshold(predictions, 0.4)


def test_the_temperature_that_was_planted_is_found_and_changes_no_decision() -> None:
    hot = drawn(4000, heat=3.0)
    found = temperature_of(hot)
    assert found == pytest.approx(3.0, rel=0.1)
    cooled = scaled(hot, found)
    assert [one.predicted for one in cooled] == [one.predicted for one in hot]

    def loss(those: Sequence[Prediction]) -> float:
        return float(-np.mean([np.log(one.probability[one.label or 0]) for one in those]))

    assert loss(cooled) < loss(hot) - 0.1
    assert temperature_of(drawn(4000)) == pytest.approx(1.0, abs=0.1)


def test_a_temperature_bears_a_probability_of_zero() -> None:
    predictions = [*drawn(50), *said([0.0, 1.0], [0, 1])]
    assert np.isfinite(
        [p.probability for p in scaled(predictions, temperature_of(predictions))]
    ).all()


@pytest.mark.parametrize("rule", list(RULES))
def test_every_rule_judges_the_same_items_by_what_it_learned_of_others(rule: str) -> None:
    judged = Judged("net", [drawn(120, bias=1.0), drawn(120, bias=1.0, seed=1)], (0, 1), "made")
    found = decided(judged, rule)
    assert (found.name, found.seeds, found.protocol) == (f"net, {rule}", (0, 1), "made")
    for before, after in zip(judged.predictions, found.predictions, strict=True):
        assert [one.id for one in after] == [one.id for one in before]
        assert np.allclose([one.probability.sum() for one in after], 1)


@pytest.mark.parametrize("rule", list(RULES))
def test_the_labels_of_a_fold_do_not_change_what_is_decided_in_it(rule: str) -> None:
    # two items of each person, one of each class: turning the labels of a person moves no fold
    generator = np.random.default_rng(0)
    labels = np.tile([0, 1], 60)
    x = generator.normal(2 * (labels - 0.5))
    predictions = said(expit(2 * x + 1), labels)
    turned = [
        replace(one, label=1 - labels[n]) if n in (6, 7) else one
        for n, one in enumerate(predictions)
    ]
    first, other = (
        decided(Judged("net", [one]), rule).predictions[0] for one in (predictions, turned)
    )
    assert all(np.array_equal(first[n].probability, other[n].probability) for n in (6, 7))


@pytest.mark.parametrize("method", ["em", "bbse"])
def test_a_prior_that_shifted_is_corrected_whatever_the_probabilities_are_like(method: Any) -> None:
    known = drawn(2000, bias=1.0, heat=2.0, share=0.78)  # neither calibrated nor unbiased
    others = drawn(2000, bias=1.0, heat=2.0, share=0.3, seed=1)
    found = prior(method)(known)(others)
    fixed = threshold("accuracy")(known)(others)
    assert right(found) > max(right(others), right(fixed)) + 0.03  # chosen at another prior
    second = np.array([one.probability[1] for one in others])
    knows = (logit(second) - 1.0) / 2.0 + logit(0.3) > 0
    assert right(found) == pytest.approx(np.mean(knows == [p.label for p in others]), abs=0.01)


def test_a_threshold_gains_out_of_fold_where_probabilities_are_biased() -> None:
    judged = Judged("net", [drawn(2000, bias=2.0)])
    assert right(decided(judged, "threshold").predictions[0]) > right(judged.predictions[0]) + 0.08


def test_thresholds_of_three_classes_and_unknown_rules_are_refused() -> None:
    three = [Prediction(f"{n}", np.full(3, 1 / 3), n % 3, f"s{n}") for n in range(30)]
    with pytest.raises(DataError, match="two classes"):
        best_threshold(three)
    with pytest.raises(DataError, match="did you mean 'threshold'"):
        decided(Judged("net", [drawn(20)]), "treshold")
    with pytest.raises(DataError, match="one class"):
        best_threshold(said([0.2, 0.8], [1, 1]))
    with pytest.raises(DataError, match="no labelled prediction"):
        temperature_of([])
    decided(Judged("net", [three]), "temperature")

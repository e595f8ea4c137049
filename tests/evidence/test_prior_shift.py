"""What prior correction promises: the shares that were planted, and no number where none is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from emoframe.core.errors import DataError
from emoframe.evidence.prior_shift import adapt, confusion, taken_for
from emoframe.evidence.stats import NotMeasurableError

TRAIN = np.array([0.22, 0.78])  # the paper's training split; its test has .54 of the second


def drawn(
    share: float, count: int, distance: float = 2.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return true probabilities under the training prior of items of another one, and labels."""
    generator = np.random.default_rng(seed)
    labels = (generator.random(count) < share).astype(int)
    x = generator.normal(distance * (labels - 0.5))
    second = expit(distance * x + np.log(TRAIN[1] / TRAIN[0]))
    return np.stack([1 - second, second], 1), labels


@pytest.mark.parametrize("method", ["em", "bbse"])
@pytest.mark.parametrize("share", [0.1, 0.538, 0.78])
def test_the_share_of_a_class_is_found_without_a_label(method: str, share: float) -> None:
    known, labels = drawn(TRAIN[1], 5000, seed=1)
    counts = confusion(taken_for(known, TRAIN), labels, 2)
    probability, truth = drawn(share, 5000)
    found = adapt(probability, TRAIN, method, counts)  # pyright: ignore[reportArgumentType]
    assert found.prior[1] == pytest.approx(truth.mean(), abs=0.03)
    assert found.converged
    assert np.allclose(found.probability.sum(1), 1)


@pytest.mark.parametrize("method", ["em", "bbse"])
def test_corrected_decisions_reach_those_of_who_knows_the_share(method: str) -> None:
    known, labels = drawn(TRAIN[1], 5000, seed=1)
    probability, truth = drawn(0.3, 5000)
    oracle = drawn(0.3, 5000)[0] * np.array([0.7, 0.3]) / TRAIN
    counts = confusion(taken_for(known, TRAIN), labels, 2)
    found = adapt(probability, TRAIN, method, counts)  # pyright: ignore[reportArgumentType]
    right = (found.probability.argmax(1) == truth).mean()
    assert right > (probability.argmax(1) == truth).mean() + 0.02
    assert right == pytest.approx((oracle.argmax(1) == truth).mean(), abs=0.01)


def test_em_does_what_saerens_latinne_and_decaestecker_wrote_down() -> None:
    probability, _ = drawn(0.5, 40)
    prior = TRAIN.copy()
    for _ in range(500):  # equations 2.9, step by step
        joint = probability * prior / TRAIN
        prior = (joint / joint.sum(1, keepdims=True)).mean(0)
    found = adapt(probability, TRAIN)
    assert np.allclose(found.prior, prior, atol=1e-6)
    joint = probability * prior / TRAIN
    assert np.allclose(found.probability, joint / joint.sum(1, keepdims=True), atol=1e-6)


def test_bbse_solves_for_the_shares_that_make_the_decisions_that_are_seen() -> None:
    counts = np.array([[90.0, 40, 10], [5, 50, 10], [5, 10, 80]])
    shares = np.array([0.5, 0.3, 0.2])
    taken = (counts / counts.sum(0)) @ shares
    probability = np.repeat(np.eye(3), np.round(1000 * taken).astype(int), 0)
    found = adapt(probability, np.full(3, 1 / 3), "bbse", counts)
    assert np.allclose(found.prior, shares, atol=0.005)


def test_counting_says_that_it_ran_into_a_share_below_zero() -> None:
    counts = np.array([[80.0, 20], [20, 80]])
    found = adapt(np.tile([0.9, 0.1], (50, 1)), np.full(2, 0.5), "bbse", counts)
    assert not found.converged
    assert np.allclose(found.prior, [1, 0])


def test_a_confusion_of_chance_is_a_sentence_and_not_a_share() -> None:
    probability, _ = drawn(0.5, 100)
    for counts in (np.array([[30.0, 60], [30, 60]]), np.array([[18.0, 16], [22, 24]])):
        with pytest.raises(NotMeasurableError, match="singular"):
            adapt(probability, TRAIN, "bbse", counts)
    with pytest.raises(NotMeasurableError, match="no item of a class"):
        adapt(probability, TRAIN, "bbse", np.array([[3.0, 0], [2, 0]]))


@pytest.mark.parametrize(
    ("probability", "prior", "says"),
    [
        (np.zeros((0, 2)), TRAIN, "cannot be adapted"),
        (np.full((3, 3), 1 / 3), TRAIN, "cannot be adapted"),
        (np.array([[np.nan, 1.0]]), TRAIN, "no number"),
        (np.array([[0.5, 0.5]]), np.array([0.0, 1.0]), "leave that class out"),
    ],
)
def test_what_cannot_be_adapted_is_refused(
    probability: np.ndarray, prior: np.ndarray, says: str
) -> None:
    with pytest.raises(DataError, match=says):
        adapt(probability, prior)


def test_counting_without_counts_is_refused() -> None:
    with pytest.raises(DataError, match="give counts"):
        adapt(drawn(0.5, 10)[0], TRAIN, "bbse")

"""Losses are their formulas, weighted by sample and class, and finite wherever logits go."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from emoframe.learning.losses.cross_entropy import CrossEntropy
from emoframe.learning.losses.focal import Focal
from emoframe.records import Output, Target

WIRING: dict[str, Any] = {"num_classes": 3, "class_counts": (6, 3, 1)}
SETTINGS = [
    {}, {"label_smoothing": 0.2}, {"balanced": True}, {"label_smoothing": 0.1, "balanced": True},
]  # fmt: skip


def output(logits: torch.Tensor) -> Output:
    return Output(logits, logits, {})


def target(prob: torch.Tensor, weight: torch.Tensor | None = None) -> Target:
    count = len(prob)
    weight = torch.ones(count) if weight is None else weight
    return Target(prob, weight, torch.zeros(count, dtype=torch.bool), torch.arange(count))


def drawn() -> tuple[torch.Tensor, Target]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 3, generator=generator) * 2
    prob = torch.randn(5, 3, generator=generator).softmax(-1)
    return logits, target(prob, torch.tensor([1.0, 0.5, 0.0, 2.0, 1.0]))


def plain(
    logits: torch.Tensor,
    goal: Target,
    gamma: float,
    label_smoothing: float = 0.0,
    balanced: bool = False,
) -> float:
    """The formula, number by number."""
    total = 0.0
    for row, prob, weight in zip(
        logits.tolist(), goal.prob_NK.tolist(), goal.weight_N.tolist(), strict=True
    ):
        norm = sum(map(math.exp, row))
        for k, count in enumerate(WIRING["class_counts"]):
            q = math.exp(row[k]) / norm
            p = prob[k] * (1 - label_smoothing) + label_smoothing / 3
            class_weight = 10 / (3 * count) if balanced else 1
            total += weight * class_weight * p * (1 - q) ** gamma * -math.log(q)
    return total / sum(goal.weight_N.tolist())


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_is_its_formula(gamma: float, settings: dict[str, Any]) -> None:
    logits, goal = drawn()
    loss = Focal(**WIRING, gamma=gamma, **settings)(output(logits), goal)
    assert float(loss) == pytest.approx(plain(logits, goal, gamma, **settings), rel=1e-5)


@pytest.mark.parametrize("settings", SETTINGS)
def test_focal_without_gamma_is_cross_entropy_to_the_bit(settings: dict[str, Any]) -> None:
    logits, goal = drawn()
    one = Focal(**WIRING, gamma=0.0, **settings)(output(logits), goal)
    assert torch.equal(one, CrossEntropy(**WIRING, **settings)(output(logits), goal))


def test_cross_entropy_is_that_of_torch() -> None:
    logits, goal = drawn()
    even = target(goal.prob_NK)
    loss = CrossEntropy(**WIRING, label_smoothing=0.1)(output(logits), even)
    peer = torch.nn.functional.cross_entropy(logits, goal.prob_NK, label_smoothing=0.1)
    torch.testing.assert_close(loss, peer)


def test_what_is_already_right_counts_less() -> None:
    easy, hard = torch.tensor([[4.0, 0.0, 0.0]]), torch.tensor([[0.0, 1.0, 0.0]])
    goal = target(torch.tensor([[1.0, 0.0, 0.0]]))
    focal, entropy = Focal(**WIRING), CrossEntropy(**WIRING)
    assert focal.gamma == 2
    ratio = [float(focal(output(x), goal) / entropy(output(x), goal)) for x in (easy, hard)]
    assert ratio[0] < 0.01
    assert ratio[1] > 0.5


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("size", [20.0, 1e4, 1e30])
@pytest.mark.parametrize("prob", [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.3, 0.2]])
def test_saturated_logits_give_finite_losses_and_gradients(
    gamma: float, size: float, prob: list[float]
) -> None:
    logits = torch.tensor([[size, -size, 0.0]], requires_grad=True)
    loss = Focal(**WIRING, gamma=gamma)(output(logits), target(torch.tensor([prob])))
    loss.backward()
    assert torch.isfinite(loss)
    assert loss >= 0
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_a_batch_without_any_weight_costs_nothing() -> None:
    logits, goal = drawn()
    loss = Focal(**WIRING)(output(logits), target(goal.prob_NK, torch.zeros(5)))
    assert loss == 0

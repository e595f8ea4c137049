"""Losses are their formulas, weighted by sample and class, and finite wherever logits go."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from emoframe.core.errors import ComponentError, ConfigError
from emoframe.core.registry import build
from emoframe.learning.losses.contrastive import Contrastive
from emoframe.learning.losses.cross_entropy import CrossEntropy
from emoframe.learning.losses.focal import Focal
from emoframe.learning.losses.forward_correction import ForwardCorrection
from emoframe.learning.losses.gce import GCE
from emoframe.records import Output, Target

WIRING: dict[str, Any] = {"num_classes": 3, "class_counts": (6, 3, 1)}
NOISE = [[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.3, 0.3, 0.4]]
NAMES = ["cross_entropy", "focal", "gce", "forward_correction", "contrastive"]
SETTINGS = [
    {}, {"label_smoothing": 0.2}, {"balanced": True}, {"label_smoothing": 0.1, "balanced": True},
]  # fmt: skip


def output(logits: torch.Tensor) -> Output:
    return Output(logits, logits, {})


def target(prob: torch.Tensor, weight: torch.Tensor | None = None) -> Target:
    count = len(prob)
    weight = torch.ones(count) if weight is None else weight
    return Target(prob, weight, torch.zeros(count, dtype=torch.bool), torch.arange(count))


def weak(goal: Target) -> Target:
    return goal._replace(weak_N=torch.ones(len(goal.prob_NK), dtype=torch.bool))


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


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_those_of_the_value(name: str) -> None:
    generator = torch.Generator().manual_seed(3)
    loss = build("loss", name, **WIRING, noise_matrix=NOISE)
    prob = torch.eye(3)[[0, 0, 1, 1, 2, 2]].double() * 0.8 + 0.2 / 3
    weight = torch.tensor([1.0, 0.5, 2.0, 1.0, 0.0, 1.0]).double()
    goal = target(prob, weight)._replace(weak_N=torch.tensor([True, False] * 3))
    logits, z = (
        torch.randn(6, width, generator=generator, dtype=torch.float64, requires_grad=True)
        for width in (3, 4)
    )
    assert torch.autograd.gradcheck(lambda x, y: loss(Output(x, y, {}), goal), (logits, z))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16])
def test_mixed_precision_does_not_reach_the_loss(name: str, precision: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(4)
    loss = build("loss", name, **WIRING, noise_matrix=NOISE)
    goal = weak(target(torch.eye(3)[[0, 0, 1, 1, 2, 2]]))
    logits, z = (torch.randn(6, width, generator=generator).to(precision) for width in (3, 64))
    exact = loss(Output(logits.float(), z.float(), {}), goal)
    with torch.autocast("cpu", precision):
        mixed = loss(Output(logits, z, {}), goal)
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, exact)


@pytest.mark.parametrize("k", [None, 0.3])
@pytest.mark.parametrize("q", [0.3, 0.7, 1.0])
def test_gce_is_its_formula(q: float, k: float | None) -> None:
    logits, goal = drawn()
    total = 0.0
    for row, prob, weight in zip(
        logits.tolist(), goal.prob_NK.tolist(), goal.weight_N.tolist(), strict=True
    ):
        norm = sum(map(math.exp, row))
        seen = [max(math.exp(score) / norm, k or 0) for score in row]
        total += weight * sum(p * (1 - f**q) / q for p, f in zip(prob, seen, strict=True))
    assert float(GCE(**WIRING, q=q, k=k)(output(logits), goal)) == pytest.approx(total / 4.5)


def test_gce_of_a_known_prediction() -> None:
    goal = target(torch.tensor([[1.0, 0.0]]))
    quarter = output(torch.tensor([[0.25, 0.75]]).log())
    wiring: dict[str, Any] = {"num_classes": 2, "class_counts": (1, 1)}
    assert float(GCE(**wiring, q=0.5)(quarter, goal)) == pytest.approx(1.0)  # (1 - 1/2) / (1/2)
    assert float(GCE(**wiring, q=0.5, k=0.36)(quarter, goal)) == pytest.approx(0.8)


def test_gce_lies_between_cross_entropy_and_the_absolute_error() -> None:
    logits, _ = drawn()
    goal = target(torch.eye(3)[[0, 1, 2, 0, 1]])
    entropy = CrossEntropy(**WIRING)(output(logits), goal)
    torch.testing.assert_close(GCE(**WIRING, q=1e-6)(output(logits), goal), entropy)
    absolute = (logits.softmax(-1) - goal.prob_NK).abs().sum(-1).mean()
    torch.testing.assert_close(GCE(**WIRING, q=1.0)(output(logits), goal), absolute / 2)


def test_gce_learns_less_from_what_it_does_not_believe_and_nothing_below_k() -> None:
    goal = target(torch.tensor([[1.0, 0.0, 0.0]]))

    def pull(loss: CrossEntropy, score: float) -> float:
        logits = torch.tensor([[score, 0.0, 0.0]], requires_grad=True)
        loss(output(logits), goal).backward()
        assert logits.grad is not None
        return float(logits.grad.abs().sum())

    wrong, unsure = -6.0, 0.0
    assert pull(CrossEntropy(**WIRING), wrong) > pull(CrossEntropy(**WIRING), unsure)
    assert pull(GCE(**WIRING), wrong) < pull(GCE(**WIRING), unsure) / 10
    assert pull(GCE(**WIRING, k=0.3), wrong) == 0
    assert pull(GCE(**WIRING, k=0.3), unsure) > 0


def test_forward_correction_without_noise_is_cross_entropy_to_the_bit() -> None:
    logits, goal = drawn()
    loss = ForwardCorrection(num_classes=3, noise_matrix=torch.eye(3).tolist())
    entropy = CrossEntropy(**WIRING)
    assert torch.equal(loss(output(logits), weak(goal)), entropy(output(logits), goal))


def test_forward_correction_is_its_formula_on_weak_samples_and_leaves_gold_alone() -> None:
    logits, goal = drawn()
    goal = goal._replace(weak_N=torch.tensor([True, False, True, False, True]))
    q = logits.softmax(-1)
    said = torch.where(goal.weak_N[:, None], q @ torch.tensor(NOISE), q)
    value = -(goal.weight_N * (goal.prob_NK * said.log()).sum(-1)).sum() / goal.weight_N.sum()
    loss = ForwardCorrection(num_classes=3, noise_matrix=NOISE)
    torch.testing.assert_close(loss(output(logits), goal), value)


def test_forward_correction_of_a_known_prediction() -> None:
    loss = ForwardCorrection(num_classes=2, noise_matrix=[[0.9, 0.1], [0.4, 0.6]])
    goal = weak(target(torch.tensor([[0.0, 1.0]])))
    even = loss(output(torch.zeros(1, 2)), goal)
    assert float(even) == pytest.approx(-math.log(0.35))  # (.1 + .6) / 2


def fitted(loss: torch.nn.Module, x: torch.Tensor, goal: Target) -> torch.Tensor:
    """Probabilities of a linear model that minimises a loss."""
    layer = torch.nn.Linear(1, 3).double()
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss(output(layer(x)), goal)
        value.backward()
        return value

    optimizer.step(step)  # type: ignore[arg-type]
    return layer(x).softmax(-1).detach()


def test_forward_correction_recovers_the_clean_posterior_where_cross_entropy_does_not() -> None:
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(40_000, 1, generator=generator, dtype=torch.float64)
    clean = (x @ torch.tensor([[-2.0, 0.5, 2.0]]).double()).softmax(-1)
    truth = torch.multinomial(clean, 1, generator=generator)[:, 0]
    noise = torch.tensor(NOISE).double()
    said = torch.multinomial(noise[truth], 1, generator=generator)[:, 0]
    goal = weak(target(torch.eye(3).double()[said]))
    corrected = fitted(ForwardCorrection(num_classes=3, noise_matrix=NOISE), x, goal)
    believed = fitted(CrossEntropy(**WIRING), x, goal)
    assert float((corrected - clean).abs().mean()) < 0.02
    assert float((believed - clean).abs().mean()) > 0.1
    assert float((believed - clean @ noise).abs().mean()) < 0.05  # it learns what is said


@pytest.mark.parametrize(
    ("matrix", "says"),
    [
        (None, "run `emoframe labels agree` first"),
        ([[0.9, 0.1], [0.2, 0.8]], "2 rows of 2 numbers; for 3 classes it takes 3 rows"),
        ([[1.0, 0.0, 0.0], [0.0, 1.0], [0.0, 0.0, 1.0]], "3 rows of 2, 3 numbers"),
        ([], "0 rows of no numbers"),
        ([[0.9, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], "row 0 .* that sum to 1"),
        ([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-0.1, 0.1, 1.0]], "row 2 .* takes probabilities"),
        ([[1.0, 0.0, 0.0], [0.0, math.nan, 0.0], [0.0, 0.0, 1.0]], "row 1 .* sum to 1"),
        ([[0.6, 0.2, 0.2], [0.2, 0.4, 0.4], [0.2, 0.4, 0.4]], "is singular.*leave these"),
        ([[0.1, 0.8, 0.1], [0.8, 0.1, 0.1], [0.1, 0.1, 0.8]], "label 0 is given in 0.8 .* order"),
    ],
)
def test_a_noise_matrix_that_cannot_be_corrected_for_is_refused(
    matrix: list[list[float]] | None, says: str
) -> None:
    with pytest.raises(ComponentError, match=says):
        build("loss", "forward_correction", **WIRING, noise_matrix=matrix)


def test_a_labeler_that_favours_one_class_can_be_corrected_for() -> None:
    biased = [[0.95, 0.05], [0.6, 0.4]]  # says the first class more often than not, whatever is so
    ForwardCorrection(num_classes=2, noise_matrix=biased)


def paired(z: torch.Tensor, labels: list[int], weight: list[float], heat: float) -> float:
    """The supervised contrastive loss, number by number."""
    unit = [[x / math.sqrt(sum(y * y for y in row)) for x in row] for row in z.tolist()]
    close = [
        [math.exp(sum(x * y for x, y in zip(a, b, strict=True)) / heat) for b in unit] for a in unit
    ]
    total = norm = 0.0
    for i, row in enumerate(close):
        others = [j for j in range(len(row)) if j != i and weight[j]]
        partners = [j for j in others if labels[j] == labels[i]]
        if not partners:
            continue
        whole = sum(weight[j] * row[j] for j in others)
        cost = sum(-weight[j] * math.log(weight[j] * row[j] / whole) for j in partners)
        total += weight[i] * cost / sum(weight[j] for j in partners)
        norm += weight[i]
    return total / norm


@pytest.mark.parametrize("weight", [[1.0] * 7, [1.0, 0.5, 2.0, 1.0, 0.0, 0.1, 1.0]])
@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_contrastive_is_its_formula(temperature: float, weight: list[float]) -> None:
    z = torch.randn(7, 4, generator=torch.Generator().manual_seed(6)) * 5
    labels = [0, 0, 1, 1, 1, 0, 2]  # nobody shares the last one's class
    goal = target(torch.eye(3)[labels] * 0.4 + 0.2, torch.tensor(weight))
    loss = Contrastive(temperature=temperature)(Output(z[:, :3], z, {}), goal)
    assert float(loss) == pytest.approx(paired(z, labels, weight, temperature), rel=1e-4)


def test_contrastive_of_known_vectors() -> None:
    z = torch.tensor([[2.0, 0.0], [0.5, 0.0], [0.0, 3.0]])
    goal = target(torch.eye(2)[[0, 0, 1]])
    loss = Contrastive(temperature=1.0)(Output(z, z, {}), goal)
    assert float(loss) == pytest.approx(math.log(math.e + 1) - 1)  # e / (e + 1), and e / (e + 1)


def test_contrastive_draws_a_class_together() -> None:
    z = torch.randn(12, 8, generator=torch.Generator().manual_seed(7)).requires_grad_()
    labels = [0, 1, 2] * 4
    optimizer = torch.optim.Adam([z], lr=0.1)
    for _ in range(100):
        optimizer.zero_grad()
        goal = target(torch.eye(3)[labels])
        Contrastive(temperature=0.5)(Output(z[:, :3], z, {}), goal).backward()
        optimizer.step()
    unit = torch.nn.functional.normalize(z.detach(), dim=-1)
    close, alike = unit @ unit.T, torch.tensor(labels)[:, None] == torch.tensor(labels)
    assert close[alike].min() > 0.95
    assert close[~alike].max() < 0


@pytest.mark.parametrize(
    ("labels", "weight"), [([0], [1.0]), ([0, 1, 2], [1.0] * 3), ([0, 0, 1], [1.0, 0.0, 1.0])]
)
def test_a_batch_without_partners_is_a_zero_that_can_be_trained_on(
    labels: list[int], weight: list[float]
) -> None:
    z = torch.randn(len(labels), 4, requires_grad=True)
    goal = target(torch.eye(3)[labels], torch.tensor(weight))
    loss = Contrastive()(Output(z[:, :3], z, {}), goal)
    loss.backward()
    assert loss == 0
    assert z.grad is not None
    assert not z.grad.any()


def test_vectors_of_zero_give_finite_gradients() -> None:
    z = torch.zeros(4, 3, requires_grad=True)
    Contrastive()(Output(z, z, {}), target(torch.eye(3)[[0, 0, 1, 1]])).backward()
    assert z.grad is not None
    assert torch.isfinite(z.grad).all()


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("gce", {"q": 0.0}, "q: must be float > 0 and <= 1"),
        ("gce", {"k": 1.0}, "k: must be float > 0 and < 1"),
        ("contrastive", {"temperature": 0.0}, "temperature: must be float > 0"),
        ("forward_correction", {"balanced": True}, "balanced: unknown"),
    ],
)
def test_settings_that_make_no_loss_are_refused(
    name: str, settings: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        build("loss", name, **WIRING, noise_matrix=NOISE, **settings)

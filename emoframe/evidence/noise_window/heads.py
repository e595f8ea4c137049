"""The world of the noise study and the linear heads that learn in it, all seeds at once.

Decided here: a world has two normal classes, so that the accuracy of a head is known in closed form
and only training sets are left to chance. Which weak labels are wrong is drawn without replacement:
exactly the share e is, and what is wrong at a low rate stays wrong at a higher one, so that gains
at different rates are of the same draws and differ by the noise alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import norm

from emoframe.core.errors import DataError
from emoframe.core.registry import create
from emoframe.evidence.prior_shift import adapt
from emoframe.records import Output, Target

Noise: TypeAlias = Literal[
    "symmetric", "class_conditional", "instance_dependent", "confidence_correlated"
]
"""What decides which labels are wrong: chance alone; the class, one three times as often as the
other; how near the border an item lies; a confidence that the teacher states, three to one."""
Floats: TypeAlias = NDArray[np.float64]
STEPS = 300
"""Of L-BFGS, at most."""
LEAST = 1e-3
"""Least share of a class, since its log odds are taken."""


@dataclass(frozen=True)
class World:
    """Two normal classes, gold labels and weak labels.

    Attributes:
        n: Gold labels.
        m: Weak labels, on other items.
        dim: Features, at least 2.
        separation: Distance of the class means in standard deviations.
        seeds: Training sets that are drawn.
        noise: What decides which weak labels are wrong.
        gold_prior: Share of class +1 among the gold items.
        target_prior: Share of class +1 among the weak items and the new ones.
        seed: Of the first training set.
    """

    n: int = 245
    m: int = 104
    dim: int = 32
    separation: float = 1.0
    seeds: int = 100
    noise: Noise = "symmetric"
    gold_prior: float = 0.5
    target_prior: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a world in which nothing could be learned or measured."""
        if min(self.n, self.m) < 2 or self.dim < 2 or self.seeds < 2 or self.separation <= 0:
            raise DataError(
                f"a study of {self.n} gold and {self.m} weak labels, {self.dim} features, classes "
                f"{self.separation:g} apart and {self.seeds} seeds is not possible: give at "
                "least 2 of each, and a distance above 0"
            )

    @property
    def best(self) -> float:
        """Accuracy that no head can exceed where classes are balanced, Phi(separation / 2)."""
        return float(norm.cdf(self.separation / 2))

    def wrong(self, rate: float) -> int:
        """Return how many weak labels are wrong at a rate."""
        return round(rate * self.m)


@dataclass(frozen=True)
class Draw:
    """The training sets of a world.

    Attributes:
        world: Which.
        x_SND: Features, gold items first.
        y_SN: The truth, +1 or -1.
        order_SM: Weak items, the first ones wrong first.
        tilt_SM: How readily each weak label is wrong, relative to the others.
        mixed_SM: The weak items in an order that says nothing.
    """

    world: World
    x_SND: Floats
    y_SN: Floats
    order_SM: NDArray[np.int64]
    tilt_SM: Floats
    mixed_SM: NDArray[np.int64]

    def weak(self, rate: float) -> Floats:
        """Return the weak labels at a noise rate, (S, M)."""
        label_SM = self.y_SN[:, self.world.n :].copy()
        wrong = self.order_SM[:, : self.world.wrong(rate)]
        np.put_along_axis(label_SM, wrong, -np.take_along_axis(label_SM, wrong, 1), 1)
        return label_SM

    def shuffled(self, rate: float) -> Floats:
        """Return the same weak labels given to other items: the marginal is all that they tell."""
        return np.take_along_axis(self.weak(rate), self.mixed_SM, 1)

    def rates(self, rate: float) -> Floats:
        """Return how often each weak label is wrong, as far as its teacher can say, (S, M).

        One rate for all but where a confidence is stated.
        """
        share = self.world.wrong(rate) / self.world.m
        if self.world.noise != "confidence_correlated" or share == 0:
            return np.full(self.order_SM.shape, share)
        tilts = np.unique(self.tilt_SM)  # both are equally many

        def excess(time: float) -> float:
            return float((1 - np.exp(-tilts * time)).mean()) - share

        time = float(brentq(excess, 0.0, 100.0))  # pyright: ignore[reportArgumentType]
        return 1 - np.exp(-self.tilt_SM * time)


@dataclass(frozen=True)
class Plane:
    """Fitted heads, one per seed: class +1 where x theta + bias is above 0.

    Attributes:
        theta_SD: Directions.
        bias_S: Thresholds.
    """

    theta_SD: Floats
    bias_S: Floats

    def accuracy(self, world: World) -> Floats:
        """Return the share of all new items that is classified rightly, (S,)."""
        length_S = np.linalg.norm(self.theta_SD, axis=1)
        along_S = self.theta_SD[:, 0] * world.separation / 2
        first_S = norm.cdf((along_S + self.bias_S) / length_S)
        other_S = norm.cdf((along_S - self.bias_S) / length_S)
        return world.target_prior * first_S + (1 - world.target_prior) * other_S

    def shifted(self, prior_S: Floats | float, to_S: Floats | float) -> Plane:
        """Return the heads as corrected from one share of class +1 to another."""
        return Plane(self.theta_SD, self.bias_S + logit(to_S) - logit(prior_S))


def draw(world: World) -> Draw:
    """Draw the training sets of a world; the gold items do not depend on m nor on the noise."""
    gold, weak, chance, mixed = np.random.default_rng(world.seed).spawn(4)
    parts = (_items(world, gold, world.n, world.gold_prior),
             _items(world, weak, world.m, world.target_prior))  # fmt: skip
    x_SND, y_SN = (np.concatenate(each, 1) for each in zip(*parts, strict=True))
    tilt_SM = _tilt(world, *parts[1])
    # the items whose exponential clocks ring first are a weighted sample without replacement
    order_SM = (chance.standard_exponential(tilt_SM.shape) / tilt_SM).argsort(1)
    return Draw(world, x_SND, y_SN, order_SM, tilt_SM, mixed.random(tilt_SM.shape).argsort(1))


def mean_difference(of: Draw, label_SN: Floats, weight_SN: Floats | float = 1.0) -> Plane:
    """Add up the features of the items, signed by their labels and weighted; the threshold is 0.

    The head for which `noise_window.effective_size` holds exactly.
    """
    x_SND = of.x_SND[:, : label_SN.shape[1]]
    theta_SD = np.einsum("sn,snd->sd", label_SN * weight_SN, x_SND, optimize=True)
    return Plane(theta_SD, np.zeros(len(theta_SD)))


def logistic(
    of: Draw,
    label_SN: Floats,
    weight_SN: Floats | None = None,
    *,
    loss: str = "cross_entropy",
    ridge: float = 10.0,
    noise_KK: Floats | None = None,
    threshold: bool = False,
) -> Plane:
    """Fit a linear head by one of the losses that training uses.

    Minimises the weighted sum of losses and ridge / 2 |theta|^2, all seeds in one L-BFGS, since
    their sum has its minimum where each has its own.

    Args:
        of: The training sets.
        label_SN: Labels +1 and -1 of the first N items.
        weight_SN: Their weights; 1 where not given.
        loss: A registered loss.
        ridge: Penalty on the direction, none on the threshold; scikit-learn's 1 / C.
        noise_KK: P(weak | true), for losses that correct the weak labels.
        threshold: Whether the threshold is learned too; else it is 0, as balanced classes have it.
    """
    count = label_SN.shape[1]
    x_SND = torch.from_numpy(of.x_SND[:, :count])
    weight_SN = np.ones_like(label_SN) if weight_SN is None else weight_SN
    part = create("loss", {"type": loss}, {
        "num_classes": 2,
        "class_counts": [int((label_SN < 0).sum()), int((label_SN > 0).sum())],
        "noise_matrix": None if noise_KK is None else noise_KK.tolist(),
    })  # fmt: skip
    target = _target(label_SN, weight_SN, of.world.n)
    head_SD = torch.zeros(len(label_SN), of.world.dim + 1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [head_SD], max_iter=STEPS, tolerance_grad=1e-6, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        margin_SN = (x_SND @ head_SD[:, :-1, None])[..., 0]
        margin_N = (margin_SN + head_SD[:, -1:] if threshold else margin_SN).flatten()
        logits_NK = torch.stack((-margin_N / 2, margin_N / 2), 1)
        cost = part(Output(logits_NK, logits_NK, {}), target) * float(weight_SN.sum())
        cost = (cost + ridge / 2 * (head_SD[:, :-1] ** 2).sum()) / count
        cost.backward()
        return cost

    optimizer.step(closure)  # pyright: ignore[reportArgumentType]
    fitted = head_SD.detach().numpy()
    return Plane(fitted[:, :-1], fitted[:, -1])


def em_prior(plane: Plane, x_SMD: Floats, prior: float) -> Floats:
    """Estimate the share of class +1 among items without labels by EM, (S,).

    Args:
        plane: Heads whose margins are log odds under `prior`.
        x_SMD: Features of the items.
        prior: Share of class +1 where the heads were fitted.
    """
    sure_SM = expit((x_SMD @ plane.theta_SD[..., None])[..., 0] + plane.bias_S[:, None])
    shares = np.array([1 - prior, prior])
    found = [adapt(np.stack((1 - sure_M, sure_M), 1), shares).prior[1] for sure_M in sure_SM]
    return np.clip(found, LEAST, 1 - LEAST)


def _items(
    world: World, generator: np.random.Generator, count: int, prior: float
) -> tuple[Floats, Floats]:
    """Draw features and truth; each seed has the same number of items of each class."""
    y_N = np.where(np.arange(count) < round(prior * count), 1.0, -1.0)
    x_SND = generator.standard_normal((world.seeds, count, world.dim))
    x_SND[:, :, 0] += y_N * world.separation / 2
    return x_SND, np.repeat(y_N[None], world.seeds, 0)


def _tilt(world: World, x_SMD: Floats, y_SM: Floats) -> Floats:
    if world.noise == "class_conditional":
        return np.where(y_SM > 0, 3.0, 1.0)
    if world.noise == "instance_dependent":
        return np.exp(-2 * np.abs(x_SMD[:, :, 0]))
    if world.noise == "confidence_correlated":
        return np.where(np.arange(world.m) % 2, 3.0, 1.0) * np.ones_like(y_SM)
    return np.ones_like(y_SM)


def _target(label_SN: Floats, weight_SN: Floats, gold: int) -> Target:
    label_N = torch.from_numpy(label_SN.flatten())
    weak_SN = np.broadcast_to(np.arange(label_SN.shape[1]) >= gold, label_SN.shape)
    return Target(
        torch.stack((label_N < 0, label_N > 0), 1).double(),
        torch.from_numpy(np.broadcast_to(weight_SN, label_SN.shape).flatten()),
        torch.from_numpy(weak_SN.flatten()),
        torch.arange(len(label_N)),
    )

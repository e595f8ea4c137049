"""Gains of a head from weak labels over noise rates, and where they cross zero.

Decided here: break-even is where the mean gain, made to fall with the rate (isotonic), crosses
zero, with a percentile bootstrap over seeds; where it never crosses, that is said and no number is
made up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from math import sqrt
from typing import Any, Literal, TypeAlias

import numpy as np
from scipy import stats
from scipy.optimize import isotonic_regression

from emoframe.core.errors import DataError
from emoframe.evidence.grouped import Told
from emoframe.evidence.noise_window.heads import (
    Draw,
    Floats,
    Plane,
    World,
    logistic,
    mean_difference,
)
from emoframe.evidence.noise_window.window import (
    MarginLoss,
    best_weight,
    break_even,
    effective_size,
    loss_break_even,
    loss_size,
)
from emoframe.evidence.stats import LEVEL, Interval

RESAMPLES = 1000
NONE = 1e-9
"""A gain that is none; where a weight of 0 leaves the weak labels out, rounding may say less."""
Weight: TypeAlias = Literal["1", "1 - 2e"]


@dataclass(frozen=True)
class Head:
    """A linear head.

    Attributes:
        loss: A registered loss; None for the mean difference.
        ridge: Penalty on its direction.
        threshold: Whether it learns its threshold, which theory takes as known.
    """

    loss: MarginLoss | None = None
    ridge: float = 10.0
    threshold: bool = False

    @property
    def name(self) -> str:
        """How tables call it."""
        if self.loss is None:
            return "mean difference"
        return f"{self.loss}, ridge {self.ridge:g}{', threshold' if self.threshold else ''}"

    def fit(self, of: Draw, weak_SM: Floats, weight_SM: Floats, noise_KK: Floats) -> Plane:
        """Learn from the gold items and weak labels; (S, 0) for none."""
        gold = of.world.n
        label_SN = np.concatenate((of.y_SN[:, :gold], weak_SM), 1)
        weight_SN = np.concatenate((np.ones((len(label_SN), gold)), weight_SM), 1)
        if self.loss is None:
            return mean_difference(of, label_SN, weight_SN)
        given = {"loss": self.loss, "ridge": self.ridge, "threshold": self.threshold}
        return logistic(of, label_SN, weight_SN, noise_KK=noise_KK, **given)

    def alone(self, of: Draw) -> Plane:
        """Learn from the gold items alone."""
        none = np.zeros((of.world.seeds, 0))
        return self.fit(of, none, none, np.eye(2))

    def with_weak(self, of: Draw, weak_SM: Floats, rate: float, weight: Weight = "1") -> Plane:
        """Learn from gold items and these weak labels of a rate."""
        weight_SM = np.ones_like(weak_SM)
        if weight == "1 - 2e":
            weight_SM = best_weight(of.rates(rate)).clip(0)
        truth_SM = of.y_SN[:, of.world.n :]
        wrong = [float((weak_SM != truth_SM)[truth_SM == true].mean()) for true in (-1, 1)]
        noise_KK = np.array([[1 - wrong[0], wrong[0]], [wrong[1], 1 - wrong[1]]])
        return self.fit(of, weak_SM, weight_SM, noise_KK)

    def size(self, world: World, rate: float, weight: float) -> float:
        """Return n_eff as theory has it, with independent noise of this rate."""
        if self.loss is None:
            return float(effective_size(world.n, world.m, rate, weight))
        given = {"separation": world.separation, "ridge": self.ridge, "loss": self.loss}
        return loss_size(world.n, world.m, rate, weight, **given)

    def edge(self, world: World, weight: Weight = "1") -> float:
        """Return break-even as theory has it for independent noise; 1/2 where there is none."""
        if self.loss is None:
            return break_even(world.n, world.m) if weight == "1" else 0.5
        given = {"separation": world.separation, "ridge": self.ridge, "loss": self.loss}
        return loss_break_even(world.n, world.m, matched=weight != "1", **given)


@dataclass(frozen=True)
class Curve:
    """Gains of one way to learn over noise rates.

    Attributes:
        part: Part of the study.
        way: What was learned from, in words.
        against: What the gain is measured against.
        world: Where.
        head: By which head.
        weight: Weight of the weak labels.
        rates_E: Share of weak labels that is wrong, as drawn.
        gain_SE: Gain of each seed, as a share of items.
        expected_E: Mean gain as theory has it; None where it has none.
    """

    part: str
    way: str
    against: str
    world: World
    head: Head
    weight: Weight
    rates_E: Floats
    gain_SE: Floats
    expected_E: Floats | None = None

    @cached_property
    def gains(self) -> list[Interval]:
        """The mean gain at each rate, with its t interval over seeds."""
        count = len(self.gain_SE)
        half_E = float(stats.t.ppf(0.5 + LEVEL / 2, count - 1)) * self.gain_SE.std(0, ddof=1)
        return [
            Interval(mean, mean - half, mean + half, f"t over {count} seeds")
            for mean, half in zip(self.gain_SE.mean(0), half_E / sqrt(count), strict=True)
        ]

    @cached_property
    def break_even(self) -> Told:
        """Where the gain crosses zero, or that it does not."""
        return crossing(self.rates_E, self.gain_SE)

    @property
    def met(self) -> int:
        """How many expected gains lie in the interval of the measured one."""
        if self.expected_E is None:
            return 0
        pairs = zip(self.gains, self.expected_E, strict=True)
        return sum(one.low - 1e-9 <= expected <= one.high + 1e-9 for one, expected in pairs)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield a row per rate, for programs; n_eff where the formulas cover it."""
        independent = self.world.noise == "symmetric" or (
            self.world.noise == "class_conditional" and not self.head.threshold
        )
        known = independent and self.world.gold_prior == self.world.target_prior
        told = {"part": self.part, "way": self.way, "against": self.against}
        world = {"head": self.head.name, "weight": self.weight, **asdict(self.world)}
        for number, (rate, gain) in enumerate(zip(self.rates_E, self.gains, strict=True)):
            weight = 1.0 if self.weight == "1" else 1 - 2 * rate
            expected = None if self.expected_E is None else float(self.expected_E[number])
            yield {
                **told, **world, "rate": float(rate), "gain": gain.value, "low": gain.low,
                "high": gain.high, "expected": expected,
                "n_eff": self.head.size(self.world, float(rate), weight) if known else None,
            }  # fmt: skip


def crossing(rates_E: Floats, gain_SE: Floats) -> Told:
    """Return the rate at which the mean gain, made to fall with the rate, crosses zero.

    Args:
        rates_E: Rising rates.
        gain_SE: Gain of each seed at each of them.

    Raises:
        DataError: There are fewer than two seeds or rates.
    """
    seeds, count = gain_SE.shape
    if seeds < 2 or count < 2:
        raise DataError(f"break-even from {seeds} seeds at {count} rates: give at least 2 of each")
    value = _crossed(rates_E, gain_SE.mean(0))
    if value is None:
        return f"none up to {rates_E[-1]:.2f}"
    picked = np.random.default_rng(0).integers(0, seeds, (RESAMPLES, seeds))
    found = [_crossed(rates_E, gain_SE[one].mean(0)) for one in picked]
    never = sum(one is None for one in found)
    ends = [rates_E[-1] if one is None else one for one in found]
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(ends, (tail, 100 - tail))
    method = f"bootstrap over {seeds} seeds"
    if never:
        method += f"; {never / RESAMPLES:.0%} of resamples never cross and count as the last rate"
    return Interval(value, float(low), float(high), method)


def _crossed(rates_E: Floats, mean_E: Floats) -> float | None:
    fitted_E = isotonic_regression(mean_E, increasing=False).x
    if fitted_E[-1] > -NONE:
        return None
    after = int(np.argmax(fitted_E < -NONE))
    if after == 0:
        return float(rates_E[0])
    above, below = fitted_E[after - 1], fitted_E[after]
    step = rates_E[after] - rates_E[after - 1]
    return float(rates_E[after - 1] + step * above / (above - below))

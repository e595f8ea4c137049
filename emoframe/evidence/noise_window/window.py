"""When weak labels help and when they hurt: the curves that measurements are held against.

The paper leaves open how wrong weak labels may be (its limitation 2, W2S-44). Here is what theory
says, for a linear learner exactly and for others as a bound; `noise_study` measures the first,
`curves` is what a study of another learner draws beside its own points.

Decided here: the size of a learner's evidence is told in gold labels, n_eff, so that every curve
has one unit and break-even is where n_eff is the number n of gold labels that there are anyway. The
formula n + m w (1 - 2e)^2 of the specs is not used: it never falls below n, so it knows no
break-even. With w = 1 it is n_eff at the best weight, 1 - 2e, and not at that of 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import chi2, norm

from emoframe.core.errors import DataError
from emoframe.evidence.noise_window.bounds import reference_bound

MarginLoss: TypeAlias = Literal["cross_entropy", "gce", "forward_correction"]
Floats: TypeAlias = NDArray[np.float64]
GCE_Q = 0.7
"""The default of the loss `gce`."""
NORMAL = np.linspace(-9.0, 9.0, 601)
DENSITY = np.exp(-(NORMAL**2) / 2) / np.exp(-(NORMAL**2) / 2).sum()
"""A grid over a standard normal and the mass of each of its points."""


@dataclass(frozen=True)
class Curves:
    """What theory says over noise rates, for a study to draw beside its points.

    Attributes:
        rates_E: Share e of the weak labels that is wrong.
        size_E: n_eff at the weight that was asked for, in gold labels.
        best_weight_E: The best weight, 1 - 2e.
        best_size_E: n_eff at that weight.
        break_even: Rate at which weak labels of the weight asked for are worth nothing.
        lang_E: By the expansion c, the bound of Lang et al. on the error of a student, see
            `reference_bound`; NaN where the theorem is silent.
    """

    rates_E: Floats
    size_E: Floats
    best_weight_E: Floats
    best_size_E: Floats
    break_even: float
    lang_E: dict[float, Floats]


def curves(n: int, m: int, e_grid: ArrayLike, w: float = 1.0) -> Curves:
    """Return every curve for n gold and m weak labels of weight w over noise rates.

    Args:
        n: Gold labels.
        m: Weak labels.
        e_grid: Noise rates, from 0 to 1.
        w: Weight of a weak label; a gold one has 1.

    Raises:
        DataError: There is no gold label, a rate is no share, or the weight is not positive.
    """
    rates = np.asarray(e_grid, float)
    best = best_weight(rates)
    lang = {c: reference_bound(rates, c) for c in (0.5, 0.85, 1.0)}
    size, best_size = effective_size(n, m, rates, w), effective_size(n, m, rates, best)
    return Curves(rates, size, best, best_size, break_even(n, m, w), lang)


def effective_size(n: int, m: int, rate: ArrayLike, weight: ArrayLike = 1.0) -> Floats:
    """Return n_eff = (n + w m (1 - 2e))^2 / (n + w^2 m): how many gold labels all are worth.

    Derivation. Classes y = +1 and -1 are N(y mu, I). A learner that adds up signed features takes
    theta = sum_gold y x + w sum_weak s y x, where s = -1 for the share e that is wrong. As y x is
    N(mu, I) and s y (x - y mu) is standard normal whatever s is, theta has the mean
    (n + w m (1 - 2e)) mu and, where exactly the share e is wrong, the covariance (n + w^2 m) I. So
    its direction, and with it the accuracy, is distributed as from n_eff gold labels: exactly, in
    every dimension and at every distance of the classes, also where one class is flipped more often
    than the other. Where each label is wrong by chance, the variance along mu grows by
    4 e (1 - e) w^2 m |mu|^2, which moves the direction in second order only.

    It assumes: a linear head of that sort whose threshold is known (no shift of the prior), labels
    that are wrong independently of x given y, and features that are normal with one covariance. For
    heads that minimise a loss see `loss_size`.

    Args:
        n: Gold labels.
        m: Weak labels.
        rate: Share e of the weak labels that is wrong.
        weight: Weight w of a weak label.

    Raises:
        DataError: There is no gold label, or a rate is no share.
    """
    rate, weight = _checked(n, m, rate), np.asarray(weight, float)
    return (n + weight * m * (1 - 2 * rate)) ** 2 / (n + weight**2 * m)


def best_weight(rate: ArrayLike) -> Floats:
    """Return the weight at which n_eff is largest, 1 - 2e, and then n + m (1 - 2e)^2.

    By the inequality of Cauchy and Schwarz: every label counts in proportion to how much it tells.
    So known noise never costs anything; n_eff touches n at e = 1/2, and beyond it the weight is
    negative, since a labeler that is mostly wrong is right when turned round.
    """
    return 1 - 2 * np.asarray(rate, float)


def break_even(n: int, m: int, weight: float = 1.0) -> float:
    """Return the rate at which weak labels of one weight are worth nothing, n_eff = n.

    n_eff = n where w m (1 - 2e) = sqrt(n (n + w^2 m)) - n. At w = 1 and the paper's n = 245,
    m = 104 that is .272. At w = 1 it rises from 1/4 for a few weak labels to 1/2 for very many, so
    three of four have to be right before a few of them help; it rises to 1/2 as w falls to 0, too.
    It is 0 where a weight is so large that even true labels hurt.

    Raises:
        DataError: There is no gold or no weak label, or the weight is not positive.
    """
    _checked(n, m, 0.0)
    if m < 1 or weight <= 0:
        raise DataError(
            f"break-even of {m} weak labels of weight {weight:g} is not defined: give at least one "
            "weak label and a weight above 0"
        )
    return max(0.0, (1 - (sqrt(n * (n + weight**2 * m)) - n) / (weight * m)) / 2)


def largest_weight(n: int, m: int, rate: float) -> float:
    """Return the weight below which weak labels of this rate still help: 2 n r / (n - m r^2).

    With r = 1 - 2e, from n_eff(w) = n. Infinite where every weight helps, 0 from e = 1/2 on.

    Raises:
        DataError: There is no gold label, or the rate is no share.
    """
    right = float(best_weight(_checked(n, m, rate)))
    left = n - m * right**2
    if right <= 0:
        return 0.0
    return 2 * n * right / left if left > 0 else float("inf")


def loss_size(
    n: int,
    m: int,
    rate: float,
    weight: float = 1.0,
    *,
    separation: float,
    ridge: float = 0.0,
    loss: MarginLoss = "cross_entropy",
) -> float:
    """Return n_eff for a linear head that minimises a loss, for many items per feature.

    Derivation. Let psi be the pull of an item, minus the slope of its loss in the margin, at the
    fitted length t of theta. Orthogonally to mu theta is (sum of w psi v) / (curvature + ridge)
    with v standard normal; by Stein's identity the same denominator stands under the part along mu,
    which is |mu| (sum of w E psi). What is left is a ratio without it:

        n_eff is in proportion to (n E psi + w m E psi~)^2 / (n E psi^2 + w^2 m E psi~^2),

    and equals n without weak labels. With a constant pull it is `effective_size`. Under cross
    entropy a wrong label pulls more than a right one, so break-even comes earlier, the more so the
    better the classes are told apart; as classes overlap, or the ridge is strong, the pulls become
    alike and the formula returns. GCE pulls less at what contradicts it, and break-even comes
    later; forward correction knows e and weighs by itself. The same assumptions as there, and many
    more items than features, since psi is taken at the mean of the fits.

    Args:
        n: Gold labels.
        m: Weak labels.
        rate: Share e of the weak labels that is wrong.
        weight: Weight w of a weak label.
        separation: Distance of the class means in standard deviations, 2 |mu|.
        ridge: Factor of |theta|^2 / 2 beside the sum of losses.
        loss: Which; `forward_correction` corrects the weak labels with the true e.

    Raises:
        DataError: There is no gold label, the rate is no share, or the classes are not apart.
    """
    _checked(n, m, rate)
    if separation <= 0:
        raise DataError(f"classes {separation:g} apart cannot be told apart; give more than 0")
    alone = _signal(n, 0, 0.0, 0.0, separation, ridge, loss)
    return n * _signal(n, m, rate, weight, separation, ridge, loss) / alone


def loss_break_even(
    n: int,
    m: int,
    *,
    separation: float,
    ridge: float = 0.0,
    loss: MarginLoss = "cross_entropy",
    matched: bool = False,
) -> float:
    """Return the rate from which on weak labels hurt by `loss_size`; 1/2: from none on.

    Args:
        n: Gold labels.
        m: Weak labels.
        separation: Distance of the class means in standard deviations.
        ridge: As in `loss_size`.
        loss: As in `loss_size`.
        matched: Whether their weight is 1 - 2e, else 1. The best weight is 1 - 2e for a constant
            pull only: cross entropy wants less of wrong labels that pull more.

    Raises:
        DataError: There is no gold or no weak label, or the classes are not apart.
    """
    break_even(n, m)

    def worth(rate: float) -> float:
        weight = 1 - 2 * rate if matched else 1.0
        return loss_size(n, m, rate, weight, separation=separation, ridge=ridge, loss=loss) - n

    rates = np.linspace(0, 0.4999, 26)
    below = np.flatnonzero([worth(float(rate)) < -1e-3 for rate in rates])
    if not len(below):
        return 0.5
    if not below[0]:
        return 0.0
    return float(brentq(worth, rates[below[0] - 1], rates[below[0]]))  # pyright: ignore[reportArgumentType]


def accuracy_of(size: ArrayLike, dim: int, separation: float) -> Floats:
    """Return the mean accuracy of a mean-difference head that learned from `size` gold labels.

    theta / sqrt(size) is N(mu, I / size), and a direction at the angle phi to mu is right in
    Phi(|mu| cos phi) of new items: the mean over theta, by quadrature. Exact, see `effective_size`.

    Args:
        size: Gold labels, or n_eff.
        dim: Number of features, at least 2.
        separation: Distance of the class means in standard deviations.
    """
    far = separation / 2
    along = far * np.sqrt(np.asarray(size, float))[..., None, None] + NORMAL[::6, None]
    across = chi2.ppf((np.arange(200) + 0.5) / 200, dim - 1)
    right = norm.cdf(far * along / np.sqrt(along**2 + across))
    mass = DENSITY[::6] / DENSITY[::6].sum()
    return (right.mean(-1) * mass).sum(-1)


def _checked(n: int, m: int, rate: ArrayLike) -> Floats:
    rate = np.asarray(rate, float)
    if n < 1 or m < 0 or not ((rate >= 0) & (rate <= 1)).all():
        raise DataError(
            f"{n} gold and {m} weak labels, of which {rate.min():g} to {rate.max():g} are wrong: "
            "give at least one gold label, and a share from 0 to 1"
        )
    return rate


def _pulls(loss: MarginLoss, margin: Floats, rate: float) -> tuple[Floats, Floats]:
    """Return psi of a label that is right and of one that is wrong, at the margin of the truth."""
    sure = np.clip(expit(margin), 1e-12, 1 - 1e-12)
    if loss == "gce":
        return sure**GCE_Q * (1 - sure), -((1 - sure) ** GCE_Q) * sure
    turned = rate if loss == "forward_correction" else 0.0
    said = turned + (1 - 2 * turned) * sure
    slope = (1 - 2 * turned) * sure * (1 - sure)
    return slope / said, -slope / (1 - said)


def _signal(
    n: int, m: int, rate: float, weight: float, separation: float, ridge: float, loss: MarginLoss
) -> float:
    """Return (sum of pulls)^2 / (sum of squared pulls) at the fitted length."""
    place = NORMAL + separation / 2

    def sums(length: float) -> tuple[Floats, Floats]:
        gold, _ = _pulls(loss, length * place, 0.0)
        right, wrong = _pulls(loss, length * place, rate)
        pull = n * gold + weight * m * ((1 - rate) * right + rate * wrong)
        squared = n * gold**2 + weight**2 * m * ((1 - rate) * right**2 + rate * wrong**2)
        return pull, squared

    def slope(length: float) -> float:
        return float((DENSITY * place * sums(length)[0]).sum()) - ridge * length

    pull, squared = sums(float(brentq(slope, 1e-9, 100.0)))  # pyright: ignore[reportArgumentType]
    return float((DENSITY * pull).sum() ** 2 / (DENSITY * squared).sum())

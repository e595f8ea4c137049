"""How often the 95 % intervals of emoframe hold the truth, at the sizes of iMiGUE's protocols.

    python benchmarks/coverage.py             # eight sizes, three accuracies, five correlations

People are drawn anew in each run: a skill by subject from a beta distribution, each video right
with that probability (beta-binomial), so that two videos of one person correlate by `icc` exactly.
Beside the default interval (`accuracy_interval`, cluster-robust by subject) stand Wilson's over
items, which takes videos for independent, and a bootstrap-t by subject (1000 draws). Sizes by
subject are assumed where they are not published, see `emoframe.evidence.sizes`; the table is
printed for those, for people of the same number of videos each, for the six people of the poker
videos, and for six people of few videos.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from emoframe.evidence.sizes import Cohort, broken_stick, of_protocol
from emoframe.evidence.stats import LEVEL, accuracy_interval, wilson

ACCURACIES, ICCS, ENOUGH = (0.55, 0.7, 0.85), (0.0, 0.1, 0.2, 0.3, 0.5), 0.93
POKER = (41, 34, 32, 30, 36, 27)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Coverage:
    """How often three intervals held the accuracy, and how wide the first was in the mean."""

    default: float
    items: float
    bootstrap: float
    width: float


def settings() -> list[Cohort]:
    """Return the items of three protocols, with unequal people and with equal ones."""
    found = [
        Cohort("MiGA test", broken_stick(104, 35), "broken stick"),
        Cohort("CVPR-2021 test", of_protocol("cvpr2021_emotion")[1].sizes, "drawn"),
        Cohort("MiGA train, out of fold", broken_stick(245, 37), "broken stick"),
    ]
    equal = [Cohort(one.name, even(one), "equal") for one in found]
    few = [Cohort("poker", POKER, "counted"), Cohort("few", broken_stick(40, 6), "broken stick")]
    return [*found, *equal, *few]


def even(judged: Cohort) -> tuple[int, ...]:
    """Return as many items of as many people, spread as evenly as can be."""
    parts = np.array_split(np.arange(judged.items), len(judged.sizes))
    return tuple(len(part) for part in parts)


def drawn(sizes: Sequence[int], accuracy: float, icc: float, runs: int, seed: int) -> Floats:
    """Return who was right, (runs, items)."""
    generator = np.random.default_rng(seed)
    skill = np.full((runs, len(sizes)), accuracy)
    if icc:
        total = 1 / icc - 1
        skill = generator.beta(accuracy * total, (1 - accuracy) * total, skill.shape)
    return (generator.random((runs, sum(sizes))) < np.repeat(skill, sizes, 1)).astype(float)


def bootstrap_t(right: Floats, sizes: Sequence[int], draws: int, seed: int) -> tuple[Floats, ...]:
    """Return the ends of a bootstrap-t by subject for many runs at once; NaN where none varied.

    Args:
        right: 0 or 1, (runs, items), items in the order of their subjects.
        sizes: Items by subject.
        draws: Samples of as many subjects with replacement (Efron and Tibshirani 1993, ch. 12).
        seed: Of the draws.
    """
    count, n = len(sizes), np.array(sizes, float)
    sums = np.add.reduceat(right, np.cumsum([0, *sizes[:-1]]), axis=1)
    weight = (
        np.random.default_rng(seed).multinomial(count, [1 / count] * count, draws).astype(float)
    )

    def studentised(of: Floats) -> tuple[Floats, Floats]:
        size = n @ of.T
        mean = sums @ of.T / size
        square = sums**2 @ of.T - 2 * mean * ((sums * n) @ of.T) + mean**2 * (n**2 @ of.T)
        return mean, np.sqrt(count / (count - 1) * np.maximum(square, 0)) / size

    mean, error = studentised(np.ones((1, count)))
    others, errors = studentised(weight)
    warnings.simplefilter("ignore", RuntimeWarning)  # of runs in which no draw varies
    t = np.where(errors > 1e-9, (others - mean) / np.maximum(errors, 1e-9), np.nan)
    low, high = np.nanquantile(t, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2], axis=1)
    return mean[:, 0] - high * error[:, 0], mean[:, 0] - low * error[:, 0]


def coverage(judged: Cohort, accuracy: float, icc: float, runs: int, seed: int = 0) -> Coverage:
    """Simulate how often the intervals hold an accuracy."""
    right = drawn(judged.sizes, accuracy, icc, runs, seed)
    ours = [accuracy_interval(one, judged.subjects) for one in right]
    naive = [wilson(one.sum(), len(one)) for one in right]
    ends = np.array([(one.low, one.high) for one in ours]).T
    boot = [
        np.where(np.isnan(other), end, other)  # nothing varied: as the default, which is Wilson's
        for end, other in zip(ends, bootstrap_t(right, judged.sizes, 1000, seed), strict=True)
    ]
    return Coverage(
        float(np.mean([one.low <= accuracy <= one.high for one in ours])),
        float(np.mean([ends[0] <= accuracy <= ends[1] for ends in naive])),
        float(np.mean((boot[0] <= accuracy) & (accuracy <= boot[1]))),
        float(np.mean([one.high - one.low for one in ours])),
    )


def main() -> None:
    """Print the table, and where the default falls short."""
    parser = argparse.ArgumentParser(description="Coverage of 95 % intervals, by simulation.")
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--accuracies", type=float, nargs="+", default=ACCURACIES)
    arguments = parser.parse_args()
    runs = arguments.runs
    columns = (
        "items", "of subjects", "sizes", "accuracy", "icc", "default", "Wilson over items",
        "bootstrap-t", "width of the default",
    )  # fmt: skip
    table, short = Table(*columns, box=None), []
    for judged in settings():
        for accuracy in arguments.accuracies:
            for icc in ICCS:
                found = coverage(judged, accuracy, icc, runs)
                where = f"{judged.name}, {judged.source}, accuracy {accuracy}, icc {icc}"
                short += [f"{where}: {found.default:.1%}"] * (found.default < ENOUGH)
                shares = (found.default, found.items, found.bootstrap)
                table.add_row(
                    f"{judged.name} {judged.items}", str(len(judged.sizes)), judged.source,
                    str(accuracy), str(icc), *(f"{x:.1%}" for x in shares), f"{found.width:.3f}",
                )  # fmt: skip
    console = Console(width=160, highlight=False)
    console.print(table)
    console.print(f"{runs} runs each, so a share is known to {2 * (0.05 * 0.95 / runs) ** 0.5:.1%}")
    console.print(f"default below {ENOUGH:.0%}: {'; '.join(short) or 'nowhere'}")


if __name__ == "__main__":
    main()

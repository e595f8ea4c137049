"""What is told of the noise study: sections for the terminal, a page, and rows for programs.

Decided here: every measured number stands beside what theory says of it and says whether the two
agree, with no tolerance but its own interval; what the study cannot say is a section of its own.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from emoframe.core.files import replacing
from emoframe.evidence.labels.pages import Report, Section
from emoframe.evidence.noise_window import figures as noise_figures
from emoframe.evidence.noise_window.gain import Curve
from emoframe.evidence.noise_window.sections import edge, inside, losses, points, shift, types
from emoframe.evidence.noise_window.study import TEACHER, Study
from emoframe.evidence.noise_window.window import (
    accuracy_of,
    break_even,
    effective_size,
    largest_weight,
)
from emoframe.evidence.pictures.page import Drawing

PAPER = (245, 104)
"""Gold and weak labels of the paper (specs 0.2)."""
FORMULA = (
    "n_eff(w) = (n + w m (1 - 2e))^2 / (n + w^2 m), in gold labels. Exact for a head that adds up "
    "signed features, where classes are normal with one covariance, the threshold is known, and "
    "labels are wrong independently of the features given the class."
)
BOUND = (
    "Right: the bound of Lang et al. 2024 (Th 4.1) on a student that contradicts its labels as "
    "often as the truth does, for three assumed expansions c. A line ends where the theorem falls "
    "silent. Its a is of one class, and the paper tells e over both. Drawn, not asserted."
)
SCOPE = (
    "It is about a linear head on made-up normal features. It says nothing about any video, any "
    "person or any labeler."
)
DEEP = (
    "A deep network is no such learner: it chooses its features with the labels, may memorise "
    "wrong ones, and starts from pre-trained weights. Its own curve has to be measured."
)
TRANSDUCTION = (
    "The paper trains on the videos that it is tested on, with labels whose mistakes may depend on "
    "what is seen, under a prior that shifts. n_eff knows none of this."
)
ASSUMED = (
    "The bounds of Lang et al. are drawn for a reference student and for constants c that are "
    "assumed. They are no measurement, and no point is held against them."
)


def report(study: Study) -> Report:
    """Write up a study."""
    world = study.world
    about = (
        f"{world.n} gold and {world.m} weak labels, two normal classes {world.separation:g} "
        f"standard deviations apart in {world.dim} features (no head can exceed {world.best:.3f}), "
        f"{world.seeds} training sets; accuracy in closed form, gains in percentage points. "
        "Intervals of 95 % over training sets: t for gains, bootstrap for break-even and the best "
        "weight. Synthetic: no video was looked at."
    )
    parts = (_window, _curves, _amounts, _weights, losses, types, shift)
    limits = Section("What this does not say", (SCOPE, DEEP, TRANSDUCTION, ASSUMED))
    items = tuple(row for curve in study.curves for row in curve.rows())
    sections = (*(part(study) for part in parts), limits)
    return Report("The noise window", about, sections, items=items)


def write(told: Report, folder: Path) -> Path:
    """Write the page with its figures, `noise.json` and `noise.csv`, and return the page."""
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "noise.csv") as partial:
        pd.DataFrame(told.items).to_csv(partial, index=False)
    return told.write(folder / "noise.html")


def paper_line() -> str:
    """Say where the paper's own point lies, and no more than that."""
    n, m = PAPER
    size, edge_at = float(effective_size(n, m, TEACHER)), break_even(n, m)
    most = float(effective_size(n, m, TEACHER, 1 - 2 * TEACHER)) - n
    return (
        f"The paper's own point (n = {n}, m = {m}, e = {TEACHER:.3f}, w = 1) is past break-even at "
        f"unit weight, for such a learner: break-even is {edge_at:.3f}, and all {n + m} labels are "
        f"worth {size:.0f} gold ones. Such a learner would gain at a weight below "
        f"{largest_weight(n, m, TEACHER):.2f}, at {1 - 2 * TEACHER:.2f} most: {most:.1f} gold "
        "labels."
    )


def _window(study: Study) -> Section:
    unit, best = study.of("window")
    world, theory = unit.world, break_even(unit.world.n, unit.world.m)
    pairs = zip(unit.rates_E, unit.gains, best.gains, strict=True)
    rows = [
        {
            "e": round(float(rate), 3),
            "gain at w = 1": points(one),
            "theory": _expected(unit, number),
            "gain at w = 1 - 2e": points(other),
            "theory ": _expected(best, number),
            "n_eff at w = 1": f"{unit.head.size(world, float(rate), 1.0):.1f}",
            "n_eff at w = 1 - 2e": f"{unit.head.size(world, float(rate), 1 - 2 * rate):.1f}",
        }
        for number, (rate, one, other) in enumerate(pairs)
    ]
    met = (
        f"Of {len(rows)} gains that theory expects, {unit.met} (w = 1) and {best.met} (w = 1 - 2e) "
        "lie in the interval of the measured one."
    )
    lines = (
        f"Break-even at w = 1, theory:   {theory:.3f}",
        f"Break-even at w = 1, measured: {unit.break_even}; theory is "
        + inside(theory, unit.break_even),
        "At w = 1 - 2e theory has no break-even: the gain falls to nothing at e = 1/2, not below.",
        met,
        paper_line(),
    )
    fine = noise_figures.FINE
    sizes = [effective_size(world.n, world.m, fine, weight) for weight in (1.0, 1 - 2 * fine)]
    alone = accuracy_of(world.n, world.dim, world.separation)
    expected = [accuracy_of(size, world.dim, world.separation) - alone for size in sizes]
    drawing = Drawing(
        "noise_window",
        "Gain over the noise rate",
        "Points are means over training sets with 95 % intervals; the blue band is the interval of "
        "the measured break-even.",
        "Gain falling with the noise rate, at two weights, beside theory.",
        noise_figures.window(unit, best, TEACHER, expected),
    )
    return Section("Gain of a mean-difference head", lines, tuple(rows), drawing)


def _curves(study: Study) -> Section:
    drawing = Drawing(
        "noise_curves",
        "What theory says",
        "Left: effective number of gold labels. Right: the bound on a student's error; below the "
        "grey line the student is promised to be better than its teacher.",
        "Curves of n_eff falling with the noise rate, and bounds rising with it.",
        noise_figures.sizes(study.world.n, study.world.m, TEACHER),
    )
    return Section("The curves", (FORMULA, BOUND), (), drawing)


def _amounts(study: Study) -> Section:
    found = study.of("amount")
    rows = [{"weak labels": curve.world.m, **edge(curve)} for curve in found]
    drawing = Drawing(
        "noise_amounts",
        "Break-even over the number of weak labels",
        "Mean-difference head, weight 1.",
        "Measured break-even rates beside the curve of theory.",
        noise_figures.amounts(found, study.world.n),
    )
    line = f"Mean-difference head, weight 1, {study.world.n} gold labels."
    return Section("How many weak labels", (line,), tuple(rows), drawing)


def _weights(study: Study) -> Section:
    rows = [
        {
            "e": round(one.rate, 3),
            "best weight, measured": one.weight,
            "theory, 1 - 2e": one.expected,
            "theory is": inside(one.expected, one.weight),
        }
        for one in study.weights
    ]
    drawing = Drawing(
        "noise_weights",
        "The best weight over the noise rate",
        "Mean-difference head; weights from -0.5 to 1.5 were tried in steps of 0.025.",
        "Measured best weights beside the line 1 - 2e.",
        noise_figures.weights(study.weights),
    )
    line = "Mean-difference head; the weight of which the mean gain is largest."
    return Section("Which weight is best", (line,), tuple(rows), drawing)


def _expected(curve: Curve, number: int) -> str:
    return "" if curve.expected_E is None else f"{100 * curve.expected_E[number]:z.3f}"

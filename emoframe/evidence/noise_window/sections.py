"""Sections of the noise study that leave the plain formula: losses, types of noise, prior shift.

Decided here: each says what theory covers it, if any, and prints its control beside it. Gains are
percentage points.
"""

from __future__ import annotations

from typing import Any

from emoframe.evidence.grouped import Told
from emoframe.evidence.labels.pages import Section
from emoframe.evidence.noise_window import figures as noise_figures
from emoframe.evidence.noise_window.gain import Curve
from emoframe.evidence.noise_window.study import TEACHER, Study
from emoframe.evidence.noise_window.window import break_even
from emoframe.evidence.pictures.page import Drawing
from emoframe.evidence.stats import Interval

IN_WORDS = {
    "symmetric": "chance alone",
    "class_conditional": "the class",
    "instance_dependent": "nearness to the border",
    "confidence_correlated": "a stated confidence",
}
THEORY = "break-even, theory"
NEVER = 0.5
"""What theory gives where there is no break-even."""
LOSSES = (
    "The formula is that of a constant pull. Under cross entropy a wrong label pulls more than a "
    "right one, the more so the better the classes are told apart, and break-even comes earlier "
    "than {plain:.3f}; with a strong ridge, or classes that overlap, it comes back. Theory here is "
    "`loss_size`, which has the pulls in it and holds for many items per feature."
)
NO_EDGE = (
    "Where theory has no break-even the gain runs out to nothing, and a mean may cross zero by "
    "chance: measured is then whether the interval of any gain lies below 0."
)
TYPES = (
    "At one rate it matters which labels are wrong, and only mistakes that are independent of the "
    "features given the class have the curves above. By class: one is wrong three times as readily "
    "as the other. By nearness: the less, the farther from the border. By confidence: half of the "
    "labels are wrong three times as readily as the others and their teacher says which; at weight "
    "1 - 2e each has that of its own rate."
)


def losses(study: Study) -> Section:
    """Write up the heads that minimise a loss."""
    found = study.of("loss")
    rows = [
        {
            "apart": curve.world.separation,
            "head": curve.head.name,
            "weight": curve.weight,
            **edge(curve),
            "gain at the paper's e": points(at(curve)),
        }
        for curve in found
    ]
    plain = break_even(study.world.n, study.world.m)
    absent = [f"{loss} is not registered and was not measured." for loss in study.absent]
    names = [f"{row['head']}, w = {row['weight']}, {row['apart']:g} apart" for row in rows]
    told = [(name, row[THEORY], row["measured"]) for name, row in zip(names, rows, strict=True)]
    drawing = Drawing(
        "noise_losses",
        "Break-even of logistic heads",
        "Dashed: the mean difference. None: theory has no break-even.",
        "Measured break-even of several losses beside theory.",
        noise_figures.edges(told, plain),
    )
    lines = (LOSSES.format(plain=plain), NO_EDGE, *absent)
    return Section("Losses", lines, tuple(rows), drawing)


def types(study: Study) -> Section:
    """Write up what wrong labels may depend on."""
    found = study.of("type")
    rows = [
        {
            "wrong labels depend on": IN_WORDS[curve.world.noise],
            "head": curve.head.name,
            "weight": curve.weight,
            "break-even": curve.break_even,
            "gain at the paper's e": points(at(curve)),
        }
        for curve in found
    ]
    shown: dict[str, dict[str, Curve]] = {}
    for curve in found:
        head = "mean difference" if curve.head.loss is None else "logistic"
        shown.setdefault(f"{head}, w = {curve.weight}", {})[IN_WORDS[curve.world.noise]] = curve
    drawing = Drawing(
        "noise_types",
        "Gain by what decides which labels are wrong",
        "Means over training sets with 95 % intervals. The logistic head learns its threshold.",
        "Gains over the noise rate for several types of noise.",
        noise_figures.panels(shown, TEACHER),
    )
    return Section("Types of noise", (TYPES,), tuple(rows), drawing)


def shift(study: Study) -> Section:
    """Write up the prior shift, its control and the shuffled labels."""
    found = study.of("shift")
    rows: dict[str, dict[str, Any]] = {}
    for curve in found:
        row = rows.setdefault(curve.way, {"head learned from": curve.way})
        row[f"gain over {curve.against}"] = points(at(curve))
    for row in rows.values():
        row.setdefault("gain over prior only", None)
    by = {(curve.way, curve.against): curve for curve in found}
    shown = {
        "over gold alone": {
            way: by[way, "gold alone"]
            for way in ("prior corrected, no weak labels", "weak labels", "shuffled weak labels")
        },
        "over prior only": {
            f"{name}weak labels{end}": by[f"{name}weak labels{end}", "prior only"]
            for end in (", prior corrected", "")
            for name in ("", "shuffled ")
        },
    }
    drawing = Drawing(
        "noise_shift",
        "Gain where the prior shifts",
        "The same heads against two baselines. Left, what the prior alone brings looks like a gain "
        "of the weak labels; right, it is taken off.",
        "Gains over gold alone, and over a gold head whose prior was corrected.",
        noise_figures.panels(shown, TEACHER),
    )
    return Section("Where the prior shifts", _shift_lines(by), tuple(rows.values()), drawing)


def _shift_lines(by: dict[tuple[str, str], Curve]) -> tuple[str, ...]:
    naive, control = (
        by[way, "gold alone"] for way in ("weak labels", "prior corrected, no weak labels")
    )
    mended = by["weak labels, prior corrected", "prior only"]
    world, rate = naive.world, naive.rates_E[nearest(naive)]
    beaten = [
        f"{curve.way}, e = {curve.rates_E[number]:.2f}"
        for (way, against), curve in by.items()
        for number, gain in enumerate(curve.gains)
        if way.startswith("shuffled") and against == "prior only" and gain.low > 0
    ]
    told = "; ".join(beaten) or "at no rate, no interval of the difference lies above 0"
    setting = (
        f"Gold items are +1 in {world.gold_prior:.1%}, weak and new ones in "
        f"{world.target_prior:.1%}, as `win` in the two splits of MiGA. Numbers are at e = "
        f"{rate:.3f}. The control, prior only, keeps the gold head and moves its threshold to the "
        "share of +1 among the weak labels; nothing else of them is used."
    )
    numbers = (
        f"Over gold alone: weak labels {points(at(naive))}, the prior alone "
        f"{points(at(control))}. Over prior only: weak labels with their prior corrected too "
        f"{points(at(mended))}; break-even {mended.break_even}."
    )
    return setting, numbers, f"Shuffled weak labels beat prior only: {told}."


def points(gain: Interval) -> Interval:
    """Return a gain in percentage points."""
    return Interval(100 * gain.value, 100 * gain.low, 100 * gain.high, gain.method)


def edge(curve: Curve) -> dict[str, Any]:
    """Return break-even by theory and as measured, as cells of a row."""
    theory, found = curve.head.edge(curve.world, curve.weight), curve.break_even
    if theory < NEVER:
        return {THEORY: theory, "measured": found, "theory is": inside(theory, found)}
    lowest = min(gain.high for gain in curve.gains)
    told = ("no gain below 0", "inside") if lowest >= 0 else (found, "outside")
    return {THEORY: "none", "measured": told[0], "theory is": told[1]}


def inside(theory: float, found: Told) -> str:
    """Say whether theory lies in a measured interval."""
    held = isinstance(found, Interval) and found.low <= theory <= found.high
    return "inside" if held else "outside"


def nearest(curve: Curve) -> int:
    """Return which rate of a curve is the nearest to the paper's."""
    return int(abs(curve.rates_E - TEACHER).argmin())


def at(curve: Curve) -> Interval:
    """Return the gain at the rate that is nearest to the paper's."""
    return curve.gains[nearest(curve)]

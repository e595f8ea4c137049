"""The report of `emoframe labels agree`: how good weak labels are, on training items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoframe.evidence.labels import figures as label_figures
from emoframe.evidence.labels.calibrate import DRAWN, Calibration, shifted
from emoframe.evidence.labels.consistency import Consistency
from emoframe.evidence.labels.labelled import Material, TrainingItems, asked_or_error
from emoframe.evidence.labels.noise import ABSTAINED, accuracy_at, posterior_at, shares_table
from emoframe.evidence.labels.pages import Report, Section, row_of
from emoframe.evidence.labels.quality import Agreement, Quality, chosen, others_of, quality
from emoframe.evidence.pictures.page import Drawing
from emoframe.learning.experiment import Experiment
from emoframe.weak_labels.noise import keep_noise, prior_of
from emoframe.weak_labels.store import LabelStore

TITLE = "How good the weak labels are"
LEAST_DRAWN = 3 * DRAWN
"""Items from which on a reliability diagram is drawn."""
_BASELINES = (
    "ECE has bins of equal mass (at most 15), of the class held most likely; its baseline is what "
    "a perfectly calibrated labeler shows on these confidences: mean, and 95 % quantile. The "
    "baseline of Brier is stating the shares of the classes."
)
_BY_TEXT = (
    "By a text classifier over rationales without their verdict, fitted on other subjects; its "
    "baseline is the most frequent verdict. P(verdict | rationale) by item is in the JSON."
)


def agree(
    experiment: Experiment,
    prior: Mapping[str, float] | None = None,
    prompt: str = "",
    labeler: str = "",
) -> Report:
    """Judge the labels of an experiment against gold, and store P(weak | true).

    Args:
        experiment: Its `weak_labels` says in which store, and unless they are named, whose labels
            and of which prompt.
        prior: Share of each class where the labels will be used; None leaves that out.
        prompt: Name of another stored prompt, see `find_prompt`.
        labeler: Name of another stored labeler, such as one whose labels were imported.

    Raises:
        EmoframeError: There is no store, no label, or the prior is none.
    """
    items = TrainingItems(experiment)
    wanted = prior_of(prior, items.classes) if prior else None
    with LabelStore(items.settings.store, write=False) as store:
        material = items.material(store, *chosen(items, store, prompt, labeler))
        asked_or_error(material, store)
        if judges_nothing(material):
            return silent(material)
        found = quality(material, others_of(items, store, material))
        keep_noise(store, found.noise)
    return report(found, wanted)


def judges_nothing(material: Material) -> bool:
    """Say whether labels only describe: there are some, and none names or weighs a class."""
    labels = [label for row in material.rows for label in row.labels]
    return bool(labels) and all(one.label is None and one.confidence is None for one in labels)


def silent(material: Material) -> Report:
    """Say of labels that only describe that there is nothing to compare with gold."""
    count = len(material.answered.rows)
    text = (
        f"{material.labeler.name} describes and gives no verdict: it names no class in any of its "
        f"{count} answers, so there is nothing to compare with gold, and no P(weak | true) is "
        "kept. Its texts can still be an input of a model (`features: {text: rationale}`)."
    )
    return Report(
        TITLE, _about(material), (Section("No verdict to judge", (text,)),), material.marks
    )


def report(found: Quality, prior: NDArray[np.float64] | None = None) -> Report:
    """Put what was measured into sections.

    Args:
        found: What was measured.
        prior: Another prior of the classes, (K,).
    """
    material = found.material
    sections = [_right(found), _noise(found)]
    if prior is not None:
        sections.append(_prior(found, prior))
    sections += [_calibration(found), _agreement(found), _consistency(found)]
    about, items = _about(material), tuple(_items(found, prior))
    return Report(TITLE, about, tuple(sections), material.marks, items)


def _about(material: Material) -> str:
    return (
        f"{material.name} on {len(material.rows)} labelled training videos of {material.dataset}; "
        "test labels are sealed and have no part in this. Intervals are of 95 %."
    )


def _right(found: Quality) -> Section:
    material, named = found.material, found.material.named
    asked = sum(bool(row.answers) for row in material.rows)
    count = len(named.rows)
    rows = [
        row_of("accuracy where a class is named", found.accuracy, named.majority, count),
        row_of("accuracy if every other answer is wrong", found.overall, _majority(found), asked),
        row_of("Cohen's kappa where a class is named", found.kappa, 0.0, count),
    ]
    for k, (name, recall) in enumerate(found.recall.items()):
        said = sum(row.weak == k for row in named.rows)
        chance = said / count if count else ""
        of = sum(row.gold == k for row in named.rows)
        rows.append(
            row_of(f"recall of {name} (baseline: how often it is named)", recall, chance, of)
        )
    answered = len(material.answered.rows)
    rows.append(row_of("share of abstentions among answers", found.abstains, "", answered))
    told = ", ".join(f"{count} {name}" for name, count in sorted(found.statuses.items()))
    lines = [f"Videos by how asking about them ended: {told}."]
    if material.twice:
        lines.append(f"{material.twice} items show a video of another item and are left out.")
    return Section("How often they are right", tuple(lines), tuple(rows))


def _majority(found: Quality) -> float:
    return found.material.where(lambda row: bool(row.answers)).majority


def _noise(found: Quality) -> Section:
    matrix = found.noise
    n = ", ".join(f"{count} {name}" for name, count in matrix.n.items())
    lines = (
        (
            f"Measured on {n}, {matrix.subjects or 'unknown'} subjects, {matrix.at[:16]} UTC, "
            "and kept in the label store for training. An abstention is an answer of its own."
        ),
        f"Intervals: {matrix.method or 'not measurable'}.",
    )
    counts = np.array(matrix.counts)
    told = "; ".join(
        f"of {sum(row)} {name}: {', '.join(map(str, row))}"
        for name, row in zip(matrix.classes, matrix.counts, strict=True)
    )
    drawing = Drawing(
        "noise",
        "P(weak | true)",
        "Share of the items of a true class, and their number.",
        f"Matrix of items by true class and weak label, abstentions last: {told}.",
        label_figures.noise(counts, matrix.classes, ABSTAINED),
    )
    return Section("P(weak | true)", lines, tuple(shares_table(matrix)), drawing)


def _prior(found: Quality, prior: NDArray[np.float64]) -> Section:
    material, matrix = found.material.answered, found.noise
    classes = matrix.classes
    said = ", ".join(f"{name} {share:.3f}" for name, share in zip(classes, prior, strict=True))
    accuracy = accuracy_at(material, matrix, prior)
    rows = [
        {"says": name, **{f"is {k}": cell for k, cell in zip(classes, row, strict=True)}}
        for name, row in zip(
            (*classes, ABSTAINED), posterior_at(material, matrix, prior), strict=True
        )
    ]
    lines = (
        (
            f"For the prior {said}, if P(weak | true) is the same there: accuracy where a class is "
            f"named {accuracy}, where always naming the likeliest class has {prior.max():.3f}."
        ),
        (
            "Below: P(true | weak), the calibrated confidence of each label under that prior. The "
            "calibrated confidences of single items are in the JSON, recomputed for it."
        ),
    )
    return Section("For another prior of the classes", lines, tuple(rows))


def _calibration(found: Quality) -> Section:
    title = "How true the confidences are"
    if isinstance(found.calibrations, str):
        return Section(title, (f"Calibration: {found.calibrations}.",))
    shares = np.bincount(found.material.answered.gold, minlength=2)
    shares = shares / max(shares.sum(), 1)
    chance = float(1 - (shares**2).sum())
    rows = [
        row for one in found.calibrations for row in _calibrated(one, chance, float(shares.max()))
    ]
    lines = [_BASELINES]
    if len(found.calibrations) == 1:
        lines.append(
            "Isotonic and Platt calibration are not measurable: there are too few items or "
            "subjects of a class to fit on some and judge others."
        )
    count = found.calibrations[0].count
    if count < LEAST_DRAWN:
        lines.append(
            f"A reliability diagram is not drawn: the intervals of {count} items would span "
            f"nearly everything; {LEAST_DRAWN} are needed."
        )
    drawing = _reliability(found.calibrations, title) if count >= LEAST_DRAWN else None
    return Section(title, tuple(lines), tuple(rows), drawing)


def _reliability(found: Sequence[Calibration], title: str) -> Drawing:
    told = "; ".join(f"{one.name}: ECE {one.ece}" for one in found)
    return Drawing(
        "reliability",
        title,
        "How often items are right over how sure they are, with 95 % intervals; below, the number "
        f"of items in each bin: at most 15 bins of equal mass, of about {DRAWN} items or more. On "
        "the dotted line, confidences are true. Held out: fitted on other subjects.",
        f"Reliability diagrams. {told}.",
        label_figures.reliability(found),
    )


def _calibrated(one: Calibration, chance: float, most: float) -> Iterator[dict[str, Any]]:
    mean, high = one.perfect
    yield row_of(f"ECE, {one.name}", one.ece, f"{mean:.3f}, {high:.3f}", one.count)
    yield row_of(f"Brier, {one.name}", one.brier, chance, one.count)
    yield row_of(f"accuracy of the likeliest class, {one.name}", one.accuracy, most, one.count)


def _agreement(found: Quality) -> Section:
    rows: Sequence[Agreement] = [*([found.samples] if found.samples else []), *found.others]
    lines = []
    if found.samples is None:
        lines.append("There is one answer to each question, so samples cannot be compared.")
    if not found.others:
        lines.append("The store holds no other prompt or labeler about these items.")
    marked = found.material.simulated  # then all of them are, as the title says
    told = [
        {
            "one": row.one,
            "other": row.other + (" (simulated)" if row.simulated and not marked else ""),
            "same class": row.equal,
            "kappa": row.kappa,
            "n": row.count,
        }
        for row in rows
    ]
    if told:
        lines.append(f"Below: with what the answers of {found.material.name} were compared.")
    brief = ("other", "same class", "kappa", "n")
    title = "How much answers agree with each other"
    return Section(title, tuple(lines), tuple(told), brief=brief)


def _consistency(found: Quality) -> Section:
    title = "Whether the rationale tells the verdict"
    one = found.consistency
    if not isinstance(one, Consistency):
        return Section(title, (f"Consistency of rationale and verdict: {one}.",))
    rows = (
        row_of("text tells the stated verdict", one.share, one.majority, one.count),
        row_of("accuracy where it does", one.consistent, "", one.split[0]),
        row_of("accuracy where it does not", one.inconsistent, "", one.split[1]),
        row_of("the first less the second", one.gap, 0.0, one.count),
    )
    lines = (_BY_TEXT,)
    return Section(title, lines, rows)


def _items(found: Quality, prior: NDArray[np.float64] | None) -> Iterator[Mapping[str, Any]]:
    """Tell of each item what training can weight it by."""
    tells = found.consistency.probability if isinstance(found.consistency, Consistency) else {}
    shares = [] if isinstance(found.calibrations, str) else found.calibrations
    before = np.bincount(found.material.answered.gold, minlength=len(found.noise.classes))
    for row in found.material.rows:
        confidence = {
            one.name: _moved(one.share[row.item], before, prior if n else None)
            for n, one in enumerate(shares)
            if row.item in one.share
        }
        yield {
            "item": row.item,
            "status": row.status,
            "label": None if row.weak is None else found.noise.classes[row.weak],
            "simulated": found.material.simulated,
            "confidence": confidence,
            "p_verdict_given_rationale": tells.get(row.item),
        }


def _moved(
    share: list[float], before: NDArray[np.int64], prior: NDArray[np.float64] | None
) -> list[float]:
    """Recompute calibrated confidences for another prior; what was stated stays."""
    if prior is None:
        return share
    return shifted(np.array([share]), before / before.sum(), prior)[0].tolist()

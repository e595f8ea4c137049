"""Compares prompts on training subjects, as stored: nothing is asked, nothing of test is looked at.

Decided here: prompts are compared on the videos that all of them answered, video by video, with
intervals by subject; a label that is missing is wrong. What is fitted is fitted on other subjects:
a calibration, and the choice of the best prompt itself, since the best of several on the items that
chose it is flattered. A difference whose interval holds 0 is a tie, whatever the order; each row
says how large a difference these videos could show at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoframe.core.errors import DataError
from emoframe.evidence.grouped import (
    NotMeasurableError,
    Told,
    cross_fitted,
    folds,
    share_of,
    told,
)
from emoframe.evidence.labels.calibrate import calibrated, stated
from emoframe.evidence.labels.labelled import Material, TrainingItems
from emoframe.evidence.labels.pages import Report, Section, row_of
from emoframe.evidence.stats import Interval, accuracy_interval, paired
from emoframe.labelling import Usage
from emoframe.learning.experiment import Experiment
from emoframe.weak_labels.exchange.listing import SIMULATED, STAMP
from emoframe.weak_labels.exchange.names import prompt_name
from emoframe.weak_labels.store import LabelStore

BRIEF = ("prompt", "stands", "accuracy", "behind by", "abstains", "usd")
"""Columns that have room on a terminal; the others are in the JSON."""


@dataclass(frozen=True)
class Ranked:
    """One prompt among others.

    Attributes:
        material: Its labels on the videos that all prompts answered.
        accuracy: No class named is wrong.
        mended: The same after a calibration that was fitted on other subjects (Platt).
        behind: Accuracy of the best less this one; None for the best.
        usage: Tokens of its answers.
        usd: US dollars of its answers; None where a price is not known.
    """

    material: Material
    accuracy: Told
    mended: Told
    behind: Told | None
    usage: Usage
    usd: float | None

    @property
    def place(self) -> str:
        """Where it stands, in words; nobody is best by less than these videos can show."""
        if self.behind is None:
            return "highest"
        if not isinstance(self.behind, Interval):
            return "not compared"
        return "behind" if self.behind.low > 0 else "tie with the highest"


def rank_prompts(experiment: Experiment, prompts: Sequence[str]) -> Report:
    """Compare prompts by the labels that the config's labeler gave.

    Args:
        experiment: The experiment.
        prompts: Names of shipped prompts, or files.

    Raises:
        DataError: There are fewer than two, one was never asked, or no video has them all.
    """
    items = TrainingItems(experiment)
    made = {prompt.hash: (name, prompt) for name in prompts for prompt in [items.prompt(name)]}
    if len(made) < 2:
        raise DataError("there are fewer than two prompts to compare; give --prompt twice or more")
    with LabelStore(items.settings.store, write=False) as store:
        found = {name: items.material(store, prompt) for name, prompt in made.values()}
        opened = bool(store.openings(items.name))
    for name, one in found.items():
        if not any(row.answers for row in one.rows):
            raise DataError(
                f"{items.settings.store}: no training item was asked about with the prompt "
                f"{one.prompt.name!r}; run emoframe label CONFIG weak_labels.prompt={name} "
                "--split train first"
            )
    return report(ranked([*found.values()]), opened)


def ranked(found: Sequence[Material]) -> list[Ranked]:
    """Judge prompts on the videos that all of them answered; the highest accuracy first.

    Raises:
        DataError: There are fewer than two such videos.
    """
    common = set.intersection(*({row.item for row in one.answered.rows} for one in found))
    if len(common) < 2:
        raise DataError(
            f"{len(common)} training videos are answered under all {len(found)} prompts; two are "
            "needed, run emoframe label for the others"
        )
    shared = [one.where(lambda row: row.item in common) for one in found]
    order = sorted(shared, key=lambda one: -float(one.right.mean()))
    return [_ranked(one, None if n == 0 else order[0]) for n, one in enumerate(order)]


def chosen_elsewhere(found: Sequence[Ranked]) -> Interval:
    """Return the accuracy of choosing the best prompt on other subjects than it is judged on.

    Raises:
        NotMeasurableError: There are too few items of a class, or too few subjects.
    """
    first = found[0].material
    right = np.stack([one.material.right for one in found])

    def fit(train: NDArray[np.int64]) -> Callable[[NDArray[np.int64]], NDArray[Any]]:
        best = int(np.argmax(right[:, train].mean(1)))
        return lambda held: right[best, held]

    hits = cross_fitted(fit, folds(first.gold, first.subjects))
    return accuracy_interval(hits, first.subjects)


def report(found: Sequence[Ranked], opened: bool = False) -> Report:
    """Put a comparison into sections.

    Args:
        found: The prompts, the highest accuracy first.
        opened: Whether test was ever opened.
    """
    first = found[0].material
    best = told(lambda: chosen_elsewhere(found))
    behind = [one for one in found if one.place == "behind"]
    ties = [one for one in found if one.place == "tie with the highest"]
    lines = [_verdict(found, ties, behind)]
    late = [one.material.prompt.name for one in found if one.material.stamped]
    if late:
        lines.append(f"{STAMP}: {', '.join(late)} may have been written with test in mind.")
    elif opened:
        lines.append("Test was opened before, but after each of these prompts was first used.")
    chosen = row_of(
        "accuracy of the prompt that other subjects choose", best, first.majority, len(first.rows)
    )
    sections = (
        Section(
            "Prompts, the highest accuracy first",
            tuple(lines),
            tuple(map(_row, found)),
            brief=BRIEF,
        ),
        Section(
            "What choosing among them is worth",
            ("Fold by fold, the prompt that is best on other subjects is judged on these.",),
            (chosen,),
        ),
    )
    subjects = len({one for one in first.subjects if one is not None})
    about = (
        f"{first.labeler.name} on {len(first.rows)} training videos of {first.dataset} that all "
        f"prompts answered, {subjects or 'unknown'} subjects; no class named is wrong."
    )
    marks = (SIMULATED,) if any(one.material.simulated for one in found) else ()
    return Report("Which prompt is better", about, sections, marks)


def _ranked(one: Material, best: Material | None) -> Ranked:
    answers = [answer for row in one.rows for answer in row.answers]
    replies = [answer.reply for answer in answers if answer.reply is not None]
    prices = [answer.usd for answer in answers]
    return Ranked(
        one,
        share_of(one.right, one.subjects),
        told(lambda: _mended(one)),
        None if best is None else _behind(one, best),
        Usage(
            sum(reply.usage.input for reply in replies),
            sum(reply.usage.output for reply in replies),
            sum(reply.usage.thoughts for reply in replies),
        ),
        None if None in prices else sum(usd for usd in prices if usd is not None),
    )


def _behind(one: Material, best: Material) -> Told:
    found = paired(one.right[None], best.right[None], one.subjects)[1]
    finite = np.isfinite(found.high)
    return found if finite else "not measurable: one video"


def _mended(one: Material) -> Interval:
    """Return the accuracy of the likeliest class after calibration, of all videos."""
    given = stated(one)
    if len(given.items) < len(one.rows):
        raise NotMeasurableError(
            f"{len(one.rows) - len(given.items)} of {len(one.rows)} videos state no confidences"
        )
    return accuracy_interval(calibrated(given, "platt").right, given.subjects)


def _row(one: Ranked) -> dict[str, Any]:
    silent = sum(row.weak is None for row in one.material.rows)
    count = len(one.material.rows)
    gap = one.behind
    return {
        "prompt": prompt_name(one.material.prompt),
        "stands": one.place,
        "accuracy": one.accuracy,
        "majority": one.material.majority,
        "calibrated on others": one.mended,
        "behind by": "" if gap is None else gap,
        "detectable": gap.value - gap.low if isinstance(gap, Interval) else "",
        "abstains": f"{silent} of {count}",
        "tokens in": one.usage.input,
        "tokens out": one.usage.output + one.usage.thoughts,
        "usd": "unknown" if one.usd is None else f"{one.usd:.4f}",
        "stamp": STAMP if one.material.stamped else "",
    }


def _verdict(found: Sequence[Ranked], ties: Sequence[Ranked], behind: Sequence[Ranked]) -> str:
    best = found[0].material.prompt.name
    if len(behind) == len(found) - 1:
        return f"{best} is better than each of the others, by more than chance explains."
    if ties and not behind:
        return f"These videos tell no difference: all {len(found)} prompts tie."
    tied = ", ".join(one.material.prompt.name for one in ties)
    worse = ", ".join(one.material.prompt.name for one in behind)
    return (
        f"{best} has the highest accuracy, tied with {tied or 'nobody'}; behind are "
        f"{worse or 'none'}. A tie means that these videos cannot tell them apart."
    )

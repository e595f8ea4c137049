"""How good weak labels are, measured against gold on training items alone.

Decided here: accuracy is of the items in which a class was named, and stands beside the share of
those; counted once more with every other answer as wrong. Nothing is printed without its interval,
its baseline and its n, and what so few items cannot tell is a sentence.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score

from emoframe.core.errors import DataError
from emoframe.evidence.grouped import (
    NotMeasurableError,
    Subjects,
    Told,
    jackknife,
    share_of,
    told,
)
from emoframe.evidence.labels.calibrate import METHODS, Calibration, calibrated, judge, stated
from emoframe.evidence.labels.consistency import Consistency, consistency
from emoframe.evidence.labels.labelled import Material, Row, TrainingItems
from emoframe.evidence.labels.noise import measured
from emoframe.evidence.stats import Interval
from emoframe.labelling import Prompt
from emoframe.weak_labels.exchange.names import (
    find_labeler,
    find_prompt,
    is_probe,
    prompt_name,
    prompts_of,
)
from emoframe.weak_labels.noise import NoiseMatrix
from emoframe.weak_labels.store import LabelerRecord, LabelStore


@dataclass(frozen=True)
class Agreement:
    """How often two say the same, of items in which both name a class.

    Attributes:
        one: Who.
        other: Who else.
        count: Number of items.
        equal: Share of items in which they say the same.
        kappa: The same corrected for chance (Cohen).
        simulated: Whether either is simulated.
    """

    one: str
    other: str
    count: int
    equal: Told
    kappa: Told
    simulated: bool = False


@dataclass(frozen=True)
class Quality:
    """What is known of the labels of one prompt and labeler.

    Attributes:
        material: What was judged.
        accuracy: Of the items in which a class was named.
        overall: Of all items that were asked about; no class named is wrong.
        kappa: Agreement with gold, corrected for chance.
        recall: By class, of the items in which a class was named.
        abstains: Share of abstentions among the answers.
        statuses: Items by how asking about them ended.
        noise: P(weak | true).
        calibrations: As stated, and mended; or why there are none.
        samples: Agreement among the answers to the same question; None where there is one each.
        others: Agreement with other prompts and labelers in the store.
        consistency: Of rationale and verdict; or why it is not known.
    """

    material: Material
    accuracy: Told
    overall: Told
    kappa: Told
    recall: dict[str, Told]
    abstains: Told
    statuses: dict[str, int]
    noise: NoiseMatrix
    calibrations: Sequence[Calibration] | str
    samples: Agreement | None
    others: Sequence[Agreement]
    consistency: Consistency | str


def quality(material: Material, others: Sequence[Material] = ()) -> Quality:
    """Judge labels.

    Args:
        material: The labels.
        others: Labels of other prompts and labelers about the same items.
    """
    asked = material.where(lambda row: bool(row.answers))
    answered, named = material.answered, material.named
    silent = np.array([row.weak is None for row in answered.rows], float)
    return Quality(
        material,
        share_of(named.right, named.subjects),
        share_of(asked.right, asked.subjects),
        told(lambda: kappa([(row.weak, row.gold) for row in named.rows], named.subjects)),
        {name: _recall(named, k) for k, name in enumerate(material.classes)},
        share_of(silent, answered.subjects),
        dict(Counter(row.status for row in material.rows)),
        measured(material),
        _calibrations(material),
        _among_samples(material),
        [_between(material, other) for other in others],
        _consistency_or_why(named),
    )


def others_of(items: TrainingItems, store: LabelStore, material: Material) -> list[Material]:
    """Return what other prompts and labelers said in the same classes about the same items.

    The order of their classes does not matter; what a probe asked for is no label.
    """
    labelers = {one.key: one for one in store.labelers()}
    prompts = {one.hash: one.prompt for one in store.prompts()}
    pairs = {(one.key.prompt, one.key.labeler) for one in store.answers(items.name, status="ok")}
    pairs -= {(material.prompt.hash, material.labeler.key)}
    found = [
        items.material(store, prompts[prompt], labelers[labeler])
        for prompt, labeler in sorted(pairs)
        if set(prompts[prompt].classes) == set(material.classes) and not is_probe(prompts[prompt])
    ]
    return [one for one in found if one.named.rows]  # who only describes agrees with nobody


def chosen(
    items: TrainingItems, store: LabelStore, prompt: str = "", labeler: str = ""
) -> tuple[Prompt, LabelerRecord]:
    """Return whose labels are meant, to which prompt: those of the config, or stored ones.

    Args:
        items: The training items.
        store: The label store.
        prompt: Name of a stored prompt; where it is empty, the config's, else the only one that
            the named labeler was asked.
        labeler: Name of a stored labeler; where it is empty, the config's.

    Raises:
        DataError: There is none of that name, or several.
    """
    record = find_labeler(store, labeler) if labeler else items.labeler
    if prompt:
        return find_prompt(store, prompt), record
    if not labeler:
        return items.prompt(), record
    known = prompts_of(store, items.name, record.key)
    if len(known) == 1:
        return known[0], record
    own = items.prompt()
    if not known or own.hash in {one.hash for one in known}:
        return own, record
    raise DataError(
        f"{store.path}: {record.name} was asked several prompts: "
        f"{', '.join(map(prompt_name, known))}; name one of them by --prompt"
    )


def kappa(pairs: Sequence[tuple[int | None, int | None]], subjects: Subjects) -> Interval:
    """Return Cohen's kappa of two namings of the same items, with an interval by subject.

    Raises:
        NotMeasurableError: There are too few items or subjects, or both only ever say one class.
    """
    if len(pairs) < 2:
        raise NotMeasurableError(f"{len(pairs)} items")
    both = np.array(pairs, int)

    def agreement(items: NDArray[np.int64]) -> float:
        if len(np.unique(both[items])) < 2:
            return float("nan")
        return float(cohen_kappa_score(*both[items].T))

    if len(np.unique(both)) < 2:
        raise NotMeasurableError("there is one class in all items, so that chance agrees always")
    return jackknife(agreement, subjects, (-1.0, 1.0))


def _recall(named: Material, k: int) -> Told:
    of = named.where(lambda row: row.gold == k)
    return share_of(of.right, of.subjects)


def _calibrations(material: Material) -> Sequence[Calibration] | str:
    try:
        given = stated(material)
        found = [judge("as stated", given)]
    except NotMeasurableError as error:
        return f"not measurable: {error}"
    try:
        found += [judge(f"{one}, held out", calibrated(given, one)) for one in METHODS]
    except NotMeasurableError:
        return found  # the page says so: as stated stands alone
    return found


def _among_samples(material: Material) -> Agreement | None:
    pairs: list[tuple[Row, int, int]] = []
    for row in material.rows:
        said = [one.label for one in row.labels if one.label is not None]
        pairs += [(row, *pair) for pair in itertools.combinations(said, 2)]
    if all(len(row.answers) < 2 for row in material.rows):
        return None
    return _agreement("a sample", "another sample", pairs, material.simulated)


def _between(one: Material, other: Material) -> Agreement:
    said = {row.item: row.weak for row in other.rows}
    pairs = [
        (row, row.weak, weak)
        for row in one.rows
        if row.weak is not None and (weak := said.get(row.item)) is not None
    ]
    return _agreement(one.name, other.name, pairs, one.simulated or other.simulated)


def _agreement(
    one: str, other: str, pairs: Sequence[tuple[Row, int, int]], simulated: bool
) -> Agreement:
    subjects = [_who(row) for row, _, _ in pairs]
    equal = np.array([first == second for _, first, second in pairs], float)
    return Agreement(
        one,
        other,
        len({row.item for row, _, _ in pairs}),
        share_of(equal, subjects),
        told(lambda: kappa([(first, second) for _, first, second in pairs], subjects)),
        simulated,
    )


def _who(row: Row) -> str:
    """Keep the pairs of one item together, whoever it shows."""
    return f"item {row.item}" if row.subject is None else row.subject


def _consistency_or_why(named: Material) -> Consistency | str:
    try:
        return consistency(named)
    except NotMeasurableError as error:
        return f"not measurable: {error}"

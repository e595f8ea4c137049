"""Whether a labeler knows more than what a person does: the numbers of `emoframe labels probe`.

Decided here: a video is identified where the labeler gave a name with confidence when it was asked;
whether that name is true nobody knows, nor needs to. A label that is missing is wrong, so that an
abstention where a face is hidden counts as what it is: a loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emoframe.core.errors import DataError
from emoframe.evidence.grouped import (
    NotMeasurableError,
    Told,
    difference,
    share_of,
    told,
)
from emoframe.evidence.labels.labelled import Material, TrainingItems
from emoframe.evidence.probe.names import recognition
from emoframe.evidence.stats import Interval, paired
from emoframe.learning.split import cut_validation
from emoframe.weak_labels.store import LabelStore
from emoframe.weak_labels.words import leaks


@dataclass(frozen=True)
class Claim:
    """What the labeler says to know of the result.

    Attributes:
        count: Clips that were asked about and answered.
        claims: Share of them with a claim.
        claimed: Number of them.
        right: How often a claim is right.
        majority: Accuracy of always claiming the most frequent class of these clips.
    """

    count: int
    claims: Told
    claimed: int
    right: Told
    majority: float


@dataclass(frozen=True)
class Split:
    """Label accuracy where the person was identified, and where not; no class named is wrong.

    Attributes:
        identified: Accuracy where a name was given with confidence.
        unidentified: Where it was asked for, and none was.
        gap: The first less the second.
        counts: Number of items of each.
        majorities: Accuracy of each one's most frequent class.
    """

    identified: Told
    unidentified: Told
    gap: Told
    counts: tuple[int, int]
    majorities: tuple[float, float]


@dataclass(frozen=True)
class Variant:
    """Weak labels and names where less is shown.

    Attributes:
        accuracy: Of the labels; no class named is wrong.
        majority: Accuracy of always naming the most frequent class.
        count: Videos that were answered.
        loss: Accuracy as shown less this one, on the videos that have both.
        named: Share of clips with a name given with confidence.
        split: Accuracy of identified and unidentified videos.
        why: Why there is nothing; empty where there is.
    """

    accuracy: Told
    majority: float
    count: int
    loss: Told
    named: Told
    split: Split
    why: str = ""


@dataclass(frozen=True)
class Words:
    """What rationales betray.

    Attributes:
        rationales: Number of rationales.
        items: Items whose rationale holds such a word, by what it betrays.
        share: Share of rationales that hold any.
    """

    rationales: int
    items: dict[str, list[str]]
    share: Told


@dataclass(frozen=True)
class Elsewhere:
    """Weak labels of items that nothing may learn from unless it says so.

    Attributes:
        validation: Items of the validation cut of the config with a label of any prompt.
        test: Items of the test split with one.
        why: Why validation could not be cut; empty where it could.
    """

    validation: list[str]
    test: list[str]
    why: str = ""


def claim(material: Material) -> Claim:
    """Compare claimed results with gold."""
    answered, named = material.answered, material.named
    claims = np.array([row.weak is not None for row in answered.rows], float)
    return Claim(
        len(answered.rows),
        share_of(claims, answered.subjects),
        len(named.rows),
        share_of(named.right, named.subjects),
        named.majority,
    )


def split(labels: Material, names: Mapping[str, str], asked: Sequence[str]) -> Split:
    """Compare label accuracy of identified videos with that of the others.

    Args:
        labels: The weak labels.
        names: Name by item, where one was given.
        asked: Items that were asked about and answered.
    """
    known = set(asked)
    both = labels.answered.where(lambda row: row.item in known)
    one = np.array([row.item in names for row in both.rows], np.bool_)
    parts = [both.where(lambda row, of=of: (row.item in names) == of) for of in (True, False)]
    shares = [share_of(part.right, part.subjects) for part in parts]
    return Split(
        shares[0],
        shares[1],
        told(lambda: difference(both.right, one, both.subjects)),
        (len(parts[0].rows), len(parts[1].rows)),
        (parts[0].majority, parts[1].majority),
    )


def variant(full: Material, labels: Material, person: Material) -> Variant:
    """Judge what is left where less is shown.

    Args:
        full: Labels where all is shown.
        labels: Labels where less is.
        person: Answers of who it is, where less is shown.
    """
    found = recognition(person)
    rows = labels.answered
    items = [row.item for row in person.answered.rows]
    return Variant(
        share_of(rows.right, rows.subjects),
        rows.majority,
        len(rows.rows),
        told(lambda: _loss(full, labels)),
        found.named,
        split(labels, found.names, items),
        _why(labels),
    )


def words(labels: Material, names: Mapping[str, str]) -> Words:
    """Look for words in rationales that betray identity, result, or text in the picture.

    Args:
        labels: The weak labels.
        names: Names that the labeler gave when it was asked, by item.
    """
    items: dict[str, list[str]] = {}
    betrays: list[float] = []
    subjects: list[str | None] = []
    for row in labels.rows:
        own = [names[row.item]] if row.item in names else []
        for label in row.labels:
            kinds = {one.kind for one in leaks(label.rationale, own)}
            betrays.append(float(bool(kinds)))
            subjects.append(row.subject)
            for kind in sorted(kinds):
                items.setdefault(kind, []).append(row.item)
    told_once = {kind: sorted(set(found)) for kind, found in sorted(items.items())}
    return Words(len(betrays), told_once, share_of(np.array(betrays), subjects))


def elsewhere(items: TrainingItems, store: LabelStore, prompts: Sequence[str]) -> Elsewhere:
    """Find weak labels of validation and test items; no true label of test is needed.

    Args:
        items: The training items.
        store: The label store.
        prompts: Hashes of prompts whose answers are no weak labels.
    """
    answers = store.answers(items.name, status="ok")
    labelled = {one.key.clip for one in answers if one.key.prompt not in prompts}
    known = {item for (_, item), clip in store.items(items.name).items() if clip in labelled}
    train, why = items.experiment.train, ""
    try:
        held = cut_validation(items.refs, train.val_fraction, items.experiment.seed)[1]
    except DataError as error:
        held, why = [], str(error)
    test = items.dataset.samples("test")
    return Elsewhere(
        [ref.id for ref in held if ref.id in known],
        [ref.id for ref in test if ref.id in known],
        why,
    )


def _loss(full: Material, less: Material) -> Interval:
    """Compare on the videos that have both, as differences within a video."""
    before = {row.item: float(row.right) for row in full.answered.rows}
    rows = [row for row in less.answered.rows if row.item in before]
    if len(rows) < 2:
        raise NotMeasurableError(f"{len(rows)} videos have both")
    first = np.array([[float(row.right) for row in rows]])
    other = np.array([[before[row.item] for row in rows]])
    return paired(first, other, [row.subject for row in rows])[1]


def _why(labels: Material) -> str:
    """Say why nothing was answered, in the words of the first answer."""
    if labels.answered.rows:
        return ""
    answers = [answer for row in labels.rows for answer in row.answers]
    return f"{answers[0].status}: {answers[0].reason}" if answers else "nobody was asked"

"""Weak labels as goals of training: which items get one, and how much it counts.

Decided here: gold wins where both exist; no item of validation ever gets one; what is judged on
gets one in mode `transductive` alone, which every number then says. How wrong the teacher is, is
counted on the items that are trained on, and on no others.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from emoframe.core.errors import DataError
from emoframe.labelling import WeakLabel
from emoframe.learning.answers import Answers
from emoframe.learning.data import Data, prepare
from emoframe.learning.experiment import Experiment
from emoframe.learning.judge import predict_clips
from emoframe.learning.run import load_run
from emoframe.learning.sources import answers, name_of
from emoframe.learning.stages import Mode, Weak
from emoframe.records import Goal, SampleRef

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Said:
    """What a teacher says of one item, and what becomes of it.

    Attributes:
        item: Its id.
        label: Index of the class that is named; None for none.
        confidence: In that class, confidences taken together to 1; 1 where none was stated.
        weight: How much it counts; 0 where it is left out.
        left_out: Why; empty where it counts.
    """

    item: str
    label: int | None = None
    confidence: float = 1.0
    weight: float = 0.0
    left_out: str = ""


@dataclass(frozen=True)
class Lesson:
    """The weak labels of a training.

    Attributes:
        mode: On which items they may be.
        said: One row for each item that could have one.
        noise_matrix: P(weak | gold) on the items that are trained on, smoothed by one of each;
            None where the teacher said nothing of them.
        simulated: Whether no model ever saw the clips.
    """

    mode: Mode
    said: Sequence[Said]
    noise_matrix: tuple[tuple[float, ...], ...] | None = None
    simulated: bool = False

    @property
    def used(self) -> list[Said]:
        """Those that count."""
        return [one for one in self.said if not one.left_out]

    @property
    def hash(self) -> str:
        """Changes when what is taught does."""
        text = json.dumps([self.mode, [asdict(one) for one in self.said], self.noise_matrix])
        return hashlib.sha256(text.encode()).hexdigest()

    def goals(self, classes: int) -> dict[str, Goal]:
        """Return what each item is to teach, by its id."""
        return {
            one.item: Goal.of(one.label, classes, one.weight, weak=True)
            for one in self.used
            if one.label is not None
        }


def lesson(experiment: Experiment, data: Data, source: Path | None = None) -> Lesson:
    """Return what the weak labels of an experiment teach.

    Args:
        experiment: Its section `weak` says which and how much.
        data: Its data.
        source: Run whose predictions are the weak labels; None for the label store.

    Raises:
        DataError: Not one can be used, or they are of other classes.
        EmoframeError: There is no label store, or no such run.
    """
    weak = experiment.weak or Weak()
    refs = candidates(data, weak.mode)
    if source is None:
        name = name_of(experiment, data.dataset)
        teacher = answers(experiment, name, data.dataset.classes)
        _tell_unknown(teacher, data)
        said = [_of_labels(ref.id, teacher) for ref in refs]
        made_up, noise = teacher.simulated, _noise(teacher, data)
    else:
        said, made_up, noise = _of_run(refs, source), False, None
    said = _kept(said, weak)
    if weak.shuffle:
        said = _shuffled(said, experiment.seed)
    found = Lesson(weak.mode, said, noise, made_up)
    if not found.used:
        why = Counter(one.left_out for one in said)
        told = ", ".join(f"{count} {text}" for text, count in why.most_common(5))
        raise DataError(
            f"not one weak label can be used in mode {weak.mode!r}: of {len(refs)} items without "
            f"gold {told or 'none is there; give the data set items without a label'}"
        )
    return found


def taught(data: Data, found: Lesson) -> Data:
    """Return the data with the items of a lesson among those that are trained on.

    Raises:
        DataError: An item is one of validation or has gold, which never happens by `lesson`.
    """
    goals = found.goals(len(data.dataset.classes))
    known = {ref.id for ref in [*data.train.refs, *data.val.refs]}
    if both := sorted(known & set(goals)):
        raise DataError(f"{both[0]}: has gold, and takes no weak label")
    refs = {ref.id: ref for ref in candidates(data, found.mode)}
    more = [refs[item] for item in goals]
    train = data.train.of([*data.train.refs, *more], data.train.goals | goals)
    wiring = replace(data.wiring, noise_matrix=found.noise_matrix)
    return replace(data, train=train, wiring=wiring, synthetic=data.synthetic or found.simulated)


def candidates(data: Data, mode: Mode) -> list[SampleRef]:
    """Return the items that may get a weak label in a mode: none that has gold."""
    judged = data.held.refs or data.test.refs
    return [*data.unlabelled, *(judged if mode == "transductive" else ())]


def _of_labels(item: str, teacher: Answers) -> Said:
    """Return what the first of the answers about an item says."""
    labels = teacher.labels.get(item)
    if not labels:
        why = teacher.missing.get(item, "was never asked about")
        return Said(item, left_out=f"without a label ({why})")
    if labels[0].label is None:
        return Said(item, left_out="abstained")
    return Said(item, labels[0].label, _confidence(labels[0]))


def _confidence(label: WeakLabel) -> float:
    """Return the share of the confidences that the class has which is named."""
    stated = label.confidence
    if not stated or label.label is None or not sum(stated):
        return 1.0
    return float(stated[label.label] / sum(stated))


def _of_run(refs: Sequence[SampleRef], folder: Path) -> list[Said]:
    """Return what a run says of items that it did not learn from."""
    run = load_run(folder)
    said = predict_clips(run, prepare(run.experiment).val.of(refs))
    return [Said(one.id, one.predicted, float(one.probability[one.predicted])) for one in said]


def _kept(said: Sequence[Said], weak: Weak) -> list[Said]:
    """Weigh what is said, and leave out what is too uncertain."""
    share = {"unit": lambda p: 1.0, "confidence": lambda p: p, "margin": lambda p: 2 * p - 1}
    best: dict[int, list[Said]] = {}
    for one in sorted(said, key=lambda one: (-one.confidence, one.item)):
        if one.label is not None and one.confidence >= weak.least_confidence:
            best.setdefault(one.label, []).append(one)
    top = {one.item for found in best.values() for one in found[: weak.per_class]}
    kept: list[Said] = []
    for one in said:
        weight = weak.weight * max(0.0, share[weak.weighting](one.confidence))
        if one.left_out:
            kept.append(one)
        elif one.confidence < weak.least_confidence:
            kept.append(replace(one, left_out="below weak.least_confidence"))
        elif one.item not in top:
            kept.append(replace(one, left_out="beyond weak.per_class"))
        elif not weight:
            kept.append(replace(one, left_out="of weight 0"))
        else:
            kept.append(replace(one, weight=weight))
    return kept


def _shuffled(said: Sequence[Said], seed: int) -> list[Said]:
    """Deal the labels that count out to the items that have one."""
    used = [n for n, one in enumerate(said) if not one.left_out]
    order = np.random.default_rng([seed, len(used)]).permutation(used)
    found = list(said)
    for here, there in zip(used, order, strict=True):
        found[here] = replace(said[there], item=said[here].item)
    return found


def _noise(teacher: Answers, data: Data) -> tuple[tuple[float, ...], ...] | None:
    """Count what the teacher says of the items that are trained on, by their gold."""
    classes = data.dataset.classes
    counts = np.ones((len(classes), len(classes)))
    for ref in data.train.refs:
        said = _of_labels(ref.id, teacher)
        if said.label is not None and ref.label is not None:
            counts[ref.label, said.label] += 1
    if counts.sum() == counts.size:
        return None
    rows = counts / counts.sum(1, keepdims=True)
    return tuple(tuple(map(float, row)) for row in rows)


def _tell_unknown(teacher: Answers, data: Data) -> None:
    """Tell of weak labels of items that the data set does not have."""
    items = {ref.id for split in ("train", "test") for ref in data.dataset.samples(split)}
    if unknown := sorted(set(teacher.labels) - items):
        log.warning(
            "%d weak labels are of items that the data set has not (%s, ...); they are not used",
            len(unknown), unknown[0],
        )  # fmt: skip

"""What an experiment learns from: its data set, cut, wrapped and checked."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import nn

from emoframe.core.errors import ComponentError, DataError, EmoframeError
from emoframe.core.registry import create
from emoframe.interfaces import Dataset
from emoframe.learning.augment import check_mirror
from emoframe.learning.branches import Wiring
from emoframe.learning.checks import AbsentError
from emoframe.learning.clips import Clips, collate
from emoframe.learning.experiment import Experiment
from emoframe.learning.model import Recognizer
from emoframe.learning.rationales import Rationales
from emoframe.learning.sources import first_inputs, joint_layout, loaders
from emoframe.learning.split import cut_fold, cut_validation
from emoframe.records import Features, Goal, Keypoints, Sample, SampleRef

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Data:
    """The data of an experiment.

    Attributes:
        dataset: The data set part.
        train: Clips to learn from, sampled at random.
        val: Clips to select by, sampled the same way each time.
        test: Clips to be judged on, without labels.
        held: Clips of the fold that is held out, without labels; none without folds.
        unlabelled: Training items without a label, of nobody who is in `val` or `held`.
        wiring: What the model has to know.
        hash: Changes when an item, its label, its split or its subject changes, or a rationale.
        origin: Where rationales come from, for the record: prompt and labeler; empty without any.
        synthetic: Whether the items, or rationales of theirs, are made up.
    """

    dataset: Dataset
    train: Clips
    val: Clips
    test: Clips
    held: Clips
    unlabelled: Sequence[SampleRef]
    wiring: Wiring
    hash: str
    origin: dict[str, str]
    synthetic: bool

    def texts(self, name: str) -> list[str]:
        """Return one text input of the training clips that have it.

        Those of validation and test are never part of it: what learns from texts is given this.
        """
        found: list[str] = []
        for ref in self.train.refs:
            with suppress(AbsentError):
                found.append(self.train.fetch_one(name, ref))
        return found


def prepare(experiment: Experiment) -> Data:
    """Build the data set of an experiment and cut validation from its training items.

    Raises:
        DataError: The data set is empty, mislabelled, or leaks its test labels.
    """
    dataset: Dataset = create("dataset", experiment.dataset)
    refs, test = dataset.samples("train"), dataset.samples("test")
    check_refs(refs, test, dataset.classes, disjoint=getattr(dataset, "subject_disjoint", True))
    labelled = [ref for ref in refs if ref.label is not None]
    kept, held = labelled, list[SampleRef]()
    if experiment.folds:
        cut = (experiment.folds, experiment.fold, experiment.seed, experiment.folds_by)
        kept, held = cut_fold(labelled, *cut)
    dealt = shuffled(kept, experiment.seed) if experiment.train.shuffle_labels else kept
    train, val = cut_validation(dealt, experiment.train.val_fraction, experiment.seed)
    load = loaders(experiment, dataset)
    firsts = first_inputs(load, train, experiment)
    joints = joint_layout(experiment, dataset, firsts)
    if joints:
        check_mirror(experiment.view.keypoints.augment, joints)
    frame_dims = {n: one.x.shape[-1] for n, one in firsts.items() if isinstance(one, Features)}

    def clips(items: Sequence[SampleRef], goals: bool = True) -> Clips:
        return Clips(
            items,
            load,
            joints,
            experiment,
            training=items is train,
            frame_dims=frame_dims,
            goals=gold(items, len(dataset.classes)) if goals else None,
        )

    dims = [one.xy.shape[-1] for one in firsts.values() if isinstance(one, Keypoints)]
    counts = Counter(ref.label for ref in train)
    wiring = Wiring(
        joints,
        dims[0] if dims else 0,
        len(experiment.view.keypoints.lags_s),
        tuple(counts[k] for k in range(len(dataset.classes))),
        frame_dims,
    )
    written = [one for one in load.values() if isinstance(one, Rationales)]
    origin = [one.fingerprint() for one in written[:1]]  # all are of the one section
    return Data(
        dataset,
        clips(train),
        clips(val),
        clips(test, goals=False),
        clips([replace(ref, label=None) for ref in held], goals=False),
        _strangers([ref for ref in refs if ref.label is None], [*val, *held]),
        wiring,
        _hash(dataset, refs, test, origin),
        origin[0] if origin else {},
        dataset.synthetic or any(one.simulated for one in written),
    )


def gold(refs: Sequence[SampleRef], classes: int) -> dict[str, Goal]:
    """Return what labelled items are to teach, by their id."""
    return {ref.id: Goal.of(ref.label, classes) for ref in refs if ref.label is not None}


def _strangers(refs: Sequence[SampleRef], others: Sequence[SampleRef]) -> list[SampleRef]:
    """Leave out who is also among others: training on a person whom one is judged on is a leak."""
    known = {ref.subject for ref in others if ref.subject is not None}
    kept = [ref for ref in refs if ref.subject not in known]
    if left := len(refs) - len(kept):
        log.warning("%d unlabelled items show somebody of validation and are left out", left)
    return kept


def check_clips(data: Data) -> None:
    """Load every item once, so that a bad one is found in the first minute of a training.

    Raises:
        DataError: With the first items that cannot be used, and how many there are.
    """
    wrong: list[str] = []
    absent: Counter[str] = Counter()
    total, measured = 0, False
    for clips in (data.train, data.val, data.held, data.test):
        for ref in clips.refs:
            total += 1
            try:
                found = clips.fetch(ref)
            except DataError as error:
                wrong.append(str(error))
                continue
            absent.update(name for name in clips.loaders if name not in found)
            measured |= any(isinstance(x, str) or bool(x.valid.any()) for x in found.values())
    if wrong:
        shown = "\n".join(wrong[:5])
        raise DataError(f"{len(wrong)} items cannot be used:\n{shown}")
    if not measured:
        raise DataError("not one joint was measured in any item; there is nothing to learn from")
    for name, count in absent.items():
        log.warning("%d of %d items have no input %r; the model is told so", count, total, name)


def rehearse(model: nn.Module, data: Data) -> None:
    """Run a model on one batch, so that a part that cannot work stops nothing but itself.

    Raises:
        ComponentError: The model fails.
    """
    batch = collate(_showing_all(data.train))
    if isinstance(model, Recognizer):
        model.fit_texts(data.texts)
    try:
        model(**batch, mode="loss")
    except EmoframeError:
        raise
    except Exception as error:  # whatever a plugin's code does
        raise ComponentError(
            f"the model fails on its first batch: {type(error).__name__}: {error}; hold each part "
            "of your own to its contract with emoframe.testing.check_component(kind, name)"
        ) from error


def _showing_all(clips: Clips) -> list[Sample]:
    """Return two samples, and more until every input was seen that any of them has."""
    samples: list[Sample] = []
    lacking = set(clips.loaders)
    for n in range(len(clips)):
        if len(samples) >= 2 and not lacking:
            break
        sample = clips[n]
        if len(samples) < 2 or lacking & set(sample.inputs):
            samples.append(sample)
            lacking -= set(sample.inputs)
    return samples


def shuffled(refs: Sequence[SampleRef], seed: int) -> list[SampleRef]:
    """Return the items with their labels dealt out at random."""
    labels = [ref.label for ref in refs]
    order = np.random.default_rng(seed).permutation(len(labels))
    return [replace(ref, label=labels[n]) for ref, n in zip(refs, order, strict=True)]


def check_refs(
    train: Sequence[SampleRef],
    test: Sequence[SampleRef],
    classes: Sequence[str],
    *,
    disjoint: bool = True,
) -> None:
    """Check the items of a data set against one another.

    Args:
        train: Training items.
        test: Test items.
        classes: Names of the classes.
        disjoint: Whether nobody may be in both splits; a published protocol may be by video.

    Raises:
        DataError: Nothing to train on, an id twice, a label outside the classes, a labelled test
            item, or a person on both sides of the split.
    """
    if not train:
        raise DataError("the data set has no training item")
    for what in ("id", "video"):
        seen = Counter(str(value) for ref in [*train, *test] if (value := getattr(ref, what)))
        twice, count = next(iter(seen.most_common(1)), ("", 0))
        if count > 1:
            raise DataError(f"the {what} {twice!r} stands for {count} items; it must for one")
    wrong = [ref for ref in train if ref.label is not None and not 0 <= ref.label < len(classes)]
    if wrong:
        raise DataError(
            f"{wrong[0].id}: label {wrong[0].label} is outside the classes "
            f"0 to {len(classes) - 1} ({', '.join(classes)})"
        )
    told = [ref.id for ref in test if ref.label is not None]
    if told:
        raise DataError(f"test item {told[0]!r} carries its label; test labels are sealed")
    both = {r.subject for r in train if r.subject} & {r.subject for r in test if r.subject}
    if both and disjoint:
        raise DataError(
            f"subject {min(both)!r} is in train and in test ({len(both)} such subjects); a result "
            "on known people says nothing about others"
        )


def _hash(
    dataset: Dataset,
    train: Sequence[SampleRef],
    test: Sequence[SampleRef],
    more: Sequence[Mapping[str, str]],
) -> str:
    fingerprint: Any = getattr(dataset, "fingerprint", dict)()
    rows = [[(r.id, r.label, r.subject, str(r.video)) for r in refs] for refs in (train, test)]
    text = json.dumps([list(dataset.classes), rows, fingerprint, *more], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()

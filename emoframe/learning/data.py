"""What an experiment learns from: its data set, cut, wrapped and checked."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import nn

from emoframe.core.errors import ComponentError, DataError, EmoframeError
from emoframe.core.registry import create
from emoframe.interfaces import Dataset
from emoframe.learning.augment import check_mirror
from emoframe.learning.clips import Clips, Loader, check_keypoints, collate
from emoframe.learning.experiment import Experiment
from emoframe.learning.model import Wiring
from emoframe.learning.sources import loaders
from emoframe.learning.split import cut_validation
from emoframe.records import SampleRef
from emoframe.skeleton import SkeletonLayout, layout


@dataclass(frozen=True)
class Data:
    """The data of an experiment.

    Attributes:
        dataset: The data set part.
        train: Clips to learn from, sampled at random.
        val: Clips to select by, sampled the same way each time.
        test: Clips to be judged on, without labels.
        wiring: What the model has to know.
        hash: Changes when an item, its label, its split or its subject changes.
    """

    dataset: Dataset
    train: Clips
    val: Clips
    test: Clips
    wiring: Wiring
    hash: str


def prepare(experiment: Experiment) -> Data:
    """Build the data set of an experiment and cut validation from its training items.

    Raises:
        DataError: The data set is empty, mislabelled, or leaks its test labels.
    """
    dataset: Dataset = create("dataset", experiment.dataset)
    refs, test = dataset.samples("train"), dataset.samples("test")
    check_refs(refs, test, dataset.classes, disjoint=getattr(dataset, "subject_disjoint", True))
    fingerprint = _hash(dataset, refs, test)
    if experiment.train.shuffle_labels:
        refs = shuffled(refs, experiment.seed)
    train, val = cut_validation(refs, experiment.train.val_fraction, experiment.seed)
    load = loaders(experiment, dataset)
    joints = joint_layout(experiment, dataset, load, train[0])
    check_mirror(experiment.view.keypoints.augment, joints)

    def clips(items: Sequence[SampleRef], training: bool) -> Clips:
        return Clips(items, load, joints, experiment, training=training)

    first = check_keypoints(next(iter(load.values()))(train[0]), joints, train[0].id)
    counts = Counter(ref.label for ref in train)
    wiring = Wiring(
        joints,
        first.xy.shape[-1],
        len(experiment.view.keypoints.lags_s),
        tuple(counts[k] for k in range(len(dataset.classes))),
    )
    return Data(
        dataset,
        clips(train, True),
        clips(val, False),
        clips(test, False),
        wiring,
        fingerprint,
    )


def check_clips(data: Data) -> None:
    """Load every item once, so that a bad one is found in the first minute of a training.

    Raises:
        DataError: With the first items that cannot be used, and how many there are.
    """
    wrong: list[str] = []
    measured = False
    for clips in (data.train, data.val, data.test):
        for ref in clips.refs:
            try:
                for load in clips.loaders.values():
                    found = check_keypoints(load(ref), clips.layout, ref.id)
                    measured |= bool(found.valid.any())
            except DataError as error:
                wrong.append(str(error))
    if wrong:
        shown = "\n".join(wrong[:5])
        raise DataError(f"{len(wrong)} items cannot be used:\n{shown}")
    if not measured:
        raise DataError("not one joint was measured in any item; there is nothing to learn from")


def rehearse(model: nn.Module, data: Data) -> None:
    """Run a model on one batch, so that a part that cannot work stops nothing but itself.

    Raises:
        ComponentError: The model fails.
    """
    batch = collate([data.train[n] for n in range(min(2, len(data.train)))])
    try:
        model(**batch, mode="loss")
    except EmoframeError:
        raise
    except Exception as error:  # whatever a plugin's code does
        raise ComponentError(
            f"the model fails on its first batch: {type(error).__name__}: {error}; hold each part "
            "of your own to its contract with emoframe.testing.check_component(kind, name)"
        ) from error


def joint_layout(
    experiment: Experiment, dataset: Dataset, load: Mapping[str, Loader], first: SampleRef
) -> SkeletonLayout:
    """Return the layout of the model's keypoints: the data set's, or that of what is stored.

    Args:
        experiment: The experiment.
        dataset: Its data set.
        load: The loader of each input.
        first: An item to look at.

    Raises:
        DataError: The data set brings keypoints along and names no layout, or nothing is stored.
    """
    if "dataset" not in experiment.features.values():
        return layout(next(iter(load.values()))(first).layout)
    if dataset.layout is None:
        raise DataError(
            f"data set {experiment.dataset['type']!r} brings no keypoints along; set "
            "`features.keypoints` to a pose estimator and add a `perception` section"
        )
    return dataset.layout


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


def _hash(dataset: Dataset, train: Sequence[SampleRef], test: Sequence[SampleRef]) -> str:
    fingerprint: Any = getattr(dataset, "fingerprint", dict)()
    rows = [[(r.id, r.label, r.subject, str(r.video)) for r in refs] for refs in (train, test)]
    text = json.dumps([list(dataset.classes), rows, fingerprint], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()

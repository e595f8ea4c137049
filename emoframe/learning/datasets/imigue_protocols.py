"""The evaluation protocols of iMiGUE: data files, and the one rule that turns them into a split.

Decided here: the ids are not in code but in `protocols/imigue/*.yaml`, each with its source, with
what it counts, and with whether it promises that no subject is on both sides.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import yaml
from sklearn.model_selection import StratifiedGroupKFold

from emoframe.core.errors import DataError
from emoframe.learning.datasets.imigue_labels import Labels

FOLDER = Path(__file__).parent / "protocols" / "imigue"
ProtocolName = Literal["cvpr2021_emotion", "miga_emotion", "subject_fold", "micro_gesture"]


@dataclass(frozen=True)
class Protocol:
    """One way to divide the data set.

    Attributes:
        name: Its name, and its file's.
        source: Where the ids come from.
        divides: What `train` and `test` list.
        subject_disjoint: Whether it promises that no subject is in train and in test.
        counts: How many videos (of `divides: subjects`, subjects) a whole release gives `train` and
            `test`, and how many videos both together.
        classes: Names of the classes by what the label file calls them, in the order of the index.
        train: Ids; None for all others.
        test: Ids; None for all others.
        hash: Of the data file.
    """

    name: str
    source: str
    divides: Literal["videos", "subjects", "folds"]
    subject_disjoint: bool
    counts: Mapping[str, int]
    classes: Mapping[str, str]
    train: frozenset[int] | None
    test: frozenset[int] | None
    hash: str


@functools.cache
def read_terms() -> Mapping[str, str]:
    """Read what may be done with the data."""
    return yaml.safe_load((FOLDER / "terms.yaml").read_bytes())


@dataclass(frozen=True)
class Folds:
    """Which fold of how many is the test split; `seed` deals the subjects out."""

    count: int = 5
    test: int = 0
    seed: int = 0


@functools.cache
def read_protocol(name: ProtocolName) -> Protocol:
    """Read a shipped protocol."""
    text = (FOLDER / f"{name}.yaml").read_bytes()
    data = yaml.safe_load(text)
    ids = {
        split: None if data[split] == "rest" else frozenset(data[split])
        for split in ("train", "test")
    }
    return Protocol(
        name,
        data["source"],
        data["divides"],
        data["subject_disjoint"],
        data["counts"],
        data["classes"],
        ids["train"],
        ids["test"],
        hashlib.sha256(text).hexdigest(),
    )


def divide(
    protocol: Protocol, labels: Labels, folds: Folds | None = None
) -> tuple[list[int], list[int]]:
    """Return the video ids of train and of test, ascending, whether or not their files are there.

    Raises:
        DataError: The protocol goes by subject and the label file names none, or there are too few.
    """
    known = set(labels.outcome)
    if protocol.divides == "videos":
        test = set(protocol.test or ())
        train = known - test if protocol.train is None else set(protocol.train)
        return sorted(train), sorted(test)
    known &= set(labels.subject)
    if not known:
        raise DataError(
            f"protocol {protocol.name!r} goes by subject, and no label file names the subjects; "
            "it needs the original release's labels_20200831.csv"
        )
    if protocol.divides == "folds":
        return _deal(sorted(known), labels, folds or Folds())
    learnt = {video for video in labels.subject if labels.subject[video] in (protocol.train or ())}
    return sorted(learnt), sorted(set(labels.subject) - learnt)


def shortfalls(
    protocol: Protocol, labels: Labels, splits: tuple[list[int], list[int]]
) -> Iterator[str]:
    """Say of each size of a split that it is not the protocol's.

    Args:
        protocol: The protocol.
        labels: What is known of the videos; where they do not tell test, only train is counted.
        splits: Its videos of train and of test.
    """
    for split, wanted in protocol.counts.items():
        both = {"train": splits[0], "test": splits[1], "videos": [*splits[0], *splits[1]]}
        videos, where, what = both[split], f"{split} has", "labelled videos"
        if split == "videos":
            where, what, found = "train and test have", "videos", len(videos)
        elif protocol.divides == "subjects":
            what, found = "subjects", len({labels.subject[video] for video in videos})
        else:
            found = sum(video in labels.outcome for video in videos)
        if found != wanted and (split == "train" or labels.tells_test):
            yield f"{where} {found} {what}, not {wanted}"


def _deal(videos: list[int], labels: Labels, folds: Folds) -> tuple[list[int], list[int]]:
    """Deal the subjects out over the folds; the deal hangs on labels and seed alone."""
    subjects = [labels.subject[video] for video in videos]
    outcomes = [labels.outcome[video] for video in videos]
    rarest = min(outcomes.count(outcome) for outcome in set(outcomes))
    if min(len(set(subjects)), rarest) < folds.count:
        raise DataError(
            f"{len(set(subjects))} subjects, or the videos of the rarer outcome, are too few for "
            f"{folds.count} folds; lower `folds`"
        )
    splitter = StratifiedGroupKFold(folds.count, shuffle=True, random_state=folds.seed)
    cuts = list(splitter.split(np.zeros(len(videos)), outcomes, subjects))
    train, test = cuts[folds.test]
    return [videos[n] for n in train], [videos[n] for n in test]

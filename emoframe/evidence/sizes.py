"""How many videos of how many people a result is measured on, which decides what it can tell.

Decided here: where a data set or a run names its subjects they are counted. The shipped protocols
of iMiGUE list videos and not whom they show; there the published numbers of videos and subjects are
kept and the sizes between are assumed: one video each, the rest broken like a stick at random
points (MacArthur 1957), so that a few people give many videos. Every table says which it is.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emoframe.core.errors import DataError
from emoframe.core.registry import create
from emoframe.interfaces import Dataset
from emoframe.learning.datasets.imigue_protocols import FOLDER, read_protocol
from emoframe.learning.run import load_run
from emoframe.records import Prediction, SampleRef

RELEASE = {"train": (255, 37), "test": (104, 35)}
"""Videos and subjects of the 359 videos of iMiGUE on either side of the MiGA split (specs 1)."""
CLIPS = {"train": (13936, 37), "test": (4563, 35)}
"""The same of its annotated clips, cross-subject (protocol `micro_gesture`)."""
FOLDS, LEARNT = 5, "train, out of fold"


@dataclass(frozen=True)
class Cohort:
    """Items that a result is measured on.

    Attributes:
        name: Which, as in `test`.
        sizes: Items of each subject.
        source: Whether the sizes were counted or assumed, in words.
    """

    name: str
    sizes: tuple[int, ...]
    source: str

    @property
    def items(self) -> int:
        """Number of items."""
        return sum(self.sizes)

    @property
    def subjects(self) -> list[str]:
        """Name a subject for each item."""
        return [f"s{n}" for n, size in enumerate(self.sizes) for _ in range(size)]


def broken_stick(items: int, subjects: int) -> tuple[int, ...]:
    """Return items by subject, largest first: one each, the rest as a random stick breaks.

    Args:
        items: How many there are in all.
        subjects: Of how many people.

    Raises:
        DataError: There are fewer items than subjects, or no subject.
    """
    if not 0 < subjects <= items:
        raise DataError(f"{items} items cannot be of {subjects} subjects: each has at least one")
    part = np.cumsum(1 / np.arange(subjects, 0, -1))[::-1] / subjects * (items - subjects)
    whole = np.floor(part).astype(int)
    for n in np.argsort(whole - part, kind="stable")[: items - subjects - whole.sum()]:
        whole[n] += 1
    return tuple((1 + np.sort(whole)[::-1]).tolist())


def of_protocol(name: str) -> list[Cohort]:
    """Return what a shipped protocol of iMiGUE judges on.

    Args:
        name: As in `miga_emotion`, with or without `imigue:` before it.

    Raises:
        DataError: There is none of that name.
    """
    short = name.removeprefix("imigue:")
    if short not in names():
        raise DataError(f"{name!r} is no shipped protocol; there are {', '.join(names())}")
    kept = "published numbers; videos by subject assumed as a broken stick"
    if short in ("miga_emotion", "micro_gesture"):
        published = RELEASE if short == "miga_emotion" else CLIPS
        return [
            Cohort(LEARNT, broken_stick(*published["train"]), kept),
            Cohort("test", broken_stick(*published["test"]), kept),
        ]
    whole = [size for split in RELEASE.values() for size in broken_stick(*split)]
    if short == "subject_fold":
        fold = sorted(whole, reverse=True)[FOLDS // 2 :: FOLDS]
        return [
            Cohort("all folds, out of fold", tuple(whole), kept),
            Cohort(f"one of {FOLDS} folds", tuple(fold), kept),
        ]
    drawn = f"subjects not published; assumed as drawn at random from the {len(whole)} of all"
    counts = read_protocol("cvpr2021_emotion").counts
    return [
        Cohort(LEARNT, _drawn(whole, counts["train"]), drawn),
        Cohort("test", _drawn(whole, counts["test"]), drawn),
    ]


def names() -> list[str]:
    """Return the names of the shipped protocols."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml") if path.stem != "terms")


def of_dataset(dataset: Dataset) -> list[Cohort]:
    """Return what a data set judges on: its labelled training items out of fold, and test.

    Raises:
        DataError: It has neither.
    """
    train = [ref for ref in dataset.samples("train") if ref.label is not None]
    both = {LEARNT: train, "test": dataset.samples("test")}
    found = [counted(name, refs) for name, refs in both.items() if refs]
    if not found:
        raise DataError(f"{dataset.protocol}: there is no labelled item to judge on")
    return found


def of_run(folder: Path) -> list[Cohort]:
    """Return what a run was judged on, by its predictions; what it will be, if there are none.

    Raises:
        DataError: It has neither predictions nor a data set with labelled items.
        RunError: It is no run folder.
    """
    found = [
        Cohort(path.stem.removeprefix("predictions-"), *_by_subject(_subjects_in(path)))
        for path in sorted(folder.glob("predictions-*.csv"))
    ]
    return found or of_dataset(create("dataset", load_run(folder).experiment.dataset))


def counted(name: str, items: Iterable[SampleRef | Prediction]) -> Cohort:
    """Count items by subject; each item counts as one where not every subject is known."""
    return Cohort(name, *_by_subject([item.subject for item in items]))


def _by_subject(subjects: Sequence[str | None]) -> tuple[tuple[int, ...], str]:
    """Return items by subject, and whether they were counted."""
    if None in subjects:
        return (1,) * len(subjects), "subjects unknown: each item counts as one"
    return tuple(sorted(Counter(subjects).values(), reverse=True)), "counted"


def _subjects_in(path: Path) -> list[str | None]:
    """Read whom the labelled items of a table of predictions show."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("label")]
    return [row.get("subject") or None for row in rows]


def _drawn(sizes: Sequence[int], items: int) -> tuple[int, ...]:
    """Draw videos at random without replacement, and count them by subject; the same each time."""
    drawn = np.random.default_rng(0).multivariate_hypergeometric(sizes, items)
    return tuple(np.sort(drawn[drawn > 0])[::-1].tolist())

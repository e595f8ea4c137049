"""How planted videos come by their labels: by subject in train, evenly and at random in test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from emoframe.core.errors import DataError

STRAYING = 0.4
"""Share of the training videos whose label is dealt out anew; the others follow the subject."""
MORE = "more"
"""What ids of unlabelled training videos begin with."""


def dealt(
    generators: Mapping[str, np.random.Generator], sizes: Mapping[str, int], shares: Sequence[float]
) -> dict[str, dict[str, int]]:
    """Deal all labels out: by subject and by shares in train, evenly and at random in test.

    Args:
        generators: Of each part: `train`, `test` and `MORE`.
        sizes: Videos of each part.
        shares: Of each class, up to a factor.

    Returns:
        The class of each item by its id, part by part.
    """
    labels = {part: _by_subject(generators[part], sizes[part], shares) for part in ("train", MORE)}
    even = np.arange(sizes["test"]) % len(shares)
    labels["test"] = generators["test"].permutation(even)
    return {
        part: {f"{part}-{n:05d}": int(label) for n, label in enumerate(classes)}
        for part, classes in labels.items()
    }


def lean(
    labels: Mapping[str, int], subject: Callable[[str], str], classes: int
) -> dict[str, float]:
    """Return the mean label of each subject, from -1 (the first class) to 1 (the last).

    Args:
        labels: Class of each item.
        subject: Who an item shows.
        classes: Number of classes.
    """
    own: dict[str, list[int]] = {}
    for item, label in labels.items():
        own.setdefault(subject(item), []).append(label)
    return {who: 2 * float(np.mean(found)) / (classes - 1) - 1 for who, found in own.items()}


def _by_subject(
    generator: np.random.Generator, count: int, shares: Sequence[float]
) -> NDArray[np.int64]:
    """Deal labels out so that neighbours, and so the videos of a subject, are mostly alike."""
    borders = np.cumsum(shares)[:-1] / np.sum(shares)
    labels = np.searchsorted(borders, (np.arange(count) + 0.5) / max(count, 1))
    strayed = np.flatnonzero(generator.random(count) < STRAYING)
    labels[strayed] = labels[generator.permutation(strayed)]
    return labels


def check_classes(events: Sequence[float], shares: Sequence[float]) -> None:
    """See that there are two classes or more, and a share of each.

    Raises:
        DataError: There are not.
    """
    if len(events) < 2 or not all(0 <= rate < np.inf for rate in events):
        raise DataError(
            f"planted: events is {list(events)}; give the mean number of events of each of two or "
            "more classes, none below 0"
        )
    if len(shares) != len(events) or not all(0 < share < np.inf for share in shares):
        raise DataError(
            f"planted: shares is {list(shares)} and events names {len(events)} classes; give one "
            "share above 0 for each"
        )

"""Reading a label store for training: weak labels and rationales under the names of the items.

Decided here: one prompt and one labeler at a time, since what two of them say is no larger sample
of the same thing. What an item lacks is told with the reason why, and never filled in. A label says
its class by number: whoever learns from it gives the order of the data set's `classes`, since
another tool, or an older table, may have had another one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Literal

from emoframe.core.errors import DataError, suggest
from emoframe.labelling import WeakLabel
from emoframe.weak_labels.exchange.names import find_labeler, find_prompt
from emoframe.weak_labels.store import LabelStore

RationaleView = Literal["full", "no_verdict"]
MOST_TOLD = 5
"""Most items that an error names."""


def weak_labels(
    store: LabelStore,
    dataset: str,
    prompt: str,
    labeler: str,
    items: Collection[str] | None = None,
    classes: Sequence[str] | None = None,
) -> dict[str, list[WeakLabel]]:
    """Return the weak labels of each item in the order of their samples, abstentions included.

    Args:
        store: The label store.
        dataset: Name of the data set.
        prompt: Name of the prompt, `name@hash`, its hash, or the beginning of that.
        labeler: Type of the labeler, `type@key`, its source, its key, or the beginning of that.
        items: Those that must be there, and no others; None: all that are there.
        classes: Put every label into this order of the classes; None leaves each in its own.

    Raises:
        DataError: An item has none, there is no such data set, prompt or labeler, or a label is of
            another class.
    """
    found, reasons = _answers(store, dataset, prompt, labeler)
    if classes is not None:
        found = {item: [in_order(one, classes) for one in told] for item, told in found.items()}
    if items is None:
        return found
    lacking = [item for item in items if item not in found]
    if lacking:
        told = "; ".join(
            f"{item}: {reasons.get(item, 'is no item that was asked about')}"
            for item in lacking[:MOST_TOLD]
        )
        more = f"; and {len(lacking) - MOST_TOLD} more" * (len(lacking) > MOST_TOLD)
        raise DataError(
            f"{store.path}: {len(lacking)} of {len(items)} items of {dataset} have no weak label "
            f"({told}{more}); run emoframe label, or leave them out"
        )
    return {item: found[item] for item in items}


def rationales(
    store: LabelStore,
    dataset: str,
    prompt: str,
    labeler: str,
    view: RationaleView = "full",
    items: Collection[str] | None = None,
) -> dict[str, list[str]]:
    """Return the rationales of each item in the order of their samples.

    Args:
        store: The label store.
        dataset: Name of the data set.
        prompt: As in `weak_labels`.
        labeler: As in `weak_labels`.
        view: `no_verdict` leaves out confidences, arguments for a class, and its names.
        items: As in `weak_labels`.

    Raises:
        DataError: As in `weak_labels`.
    """
    found = weak_labels(store, dataset, prompt, labeler, items)
    return {
        item: [one.rationale if view == "full" else one.rationale_no_verdict for one in labels]
        for item, labels in found.items()
    }


def in_order(label: WeakLabel, classes: Sequence[str]) -> WeakLabel:
    """Return a label whose classes are these, in this order.

    Confidences that do not name all of them are left out.

    Raises:
        DataError: It knows a class that is none of these.
    """
    if label.classes == tuple(classes):
        return label
    if strange := [name for name in label.classes if name not in classes]:
        raise DataError(
            f"a weak label knows the class {strange[0]!r}, which is none of "
            f"{', '.join(classes)}; its prompt was made for other classes"
        )
    stated = dict(zip(label.classes, label.confidence or (), strict=False))
    told = tuple(stated[name] for name in classes if name in stated)
    named = None if label.label is None else [*classes].index(label.classes[label.label])
    confidence = told if len(told) == len(classes) else None
    return replace(label, classes=tuple(classes), confidence=confidence, label=named)


def missing(store: LabelStore, dataset: str, prompt: str, labeler: str) -> dict[str, str]:
    """Return why items have no weak label, a sentence each; those that have one are left out.

    Arguments and errors are those of `weak_labels`.
    """
    return _answers(store, dataset, prompt, labeler)[1]


def _answers(
    store: LabelStore, dataset: str, prompt: str, labeler: str
) -> tuple[dict[str, list[WeakLabel]], dict[str, str]]:
    """Return the labels of each item that has some, and the reason of each that has none."""
    clips = {item: clip for (_, item), clip in store.items(dataset).items()}
    if not clips:
        known = sorted({name for name, _ in store.items()})
        raise DataError(
            f"{store.path}: knows no item of the data set {dataset!r}{suggest(dataset, known)} "
            f"(it knows {', '.join(known) or 'none'}); run emoframe label for it first"
        )
    prompt, labeler = find_prompt(store, prompt).hash, find_labeler(store, labeler).key
    labels: dict[str, list[WeakLabel]] = {}
    reasons: dict[str, str] = {}
    for answer in store.answers(dataset, prompt, labeler):
        if answer.status == "ok" and answer.label is not None:
            labels.setdefault(answer.key.clip, []).append(answer.label)
        else:
            reasons[answer.key.clip] = f"ended in {answer.status}: {answer.reason}"
    return (
        {item: labels[clip] for item, clip in clips.items() if clip in labels},
        {
            item: reasons.get(clip, "was never asked about")
            for item, clip in clips.items()
            if clip not in labels
        },
    )

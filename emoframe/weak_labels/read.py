"""Reading a label store for training: weak labels and rationales under the names of the items.

Decided here: one prompt and one labeler at a time, since what two of them say is no larger sample
of the same thing. What an item lacks is told with the reason why, and never filled in.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from emoframe.core.errors import DataError, suggest
from emoframe.labelling import WeakLabel
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
) -> dict[str, list[WeakLabel]]:
    """Return the weak labels of each item in the order of their samples, abstentions included.

    Args:
        store: The label store.
        dataset: Name of the data set.
        prompt: Hash of the prompt, or the beginning of it.
        labeler: Key of the labeler, or the beginning of it.
        items: Those that must be there, and no others; None: all that are there.

    Raises:
        DataError: An item has none, or there is no such data set, prompt or labeler.
    """
    found, reasons = _answers(store, dataset, prompt, labeler)
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
        prompt: Hash of the prompt, or the beginning of it.
        labeler: Key of the labeler, or the beginning of it.
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
    prompt, labeler = store.prompt(prompt).hash, store.labeler(labeler).key
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

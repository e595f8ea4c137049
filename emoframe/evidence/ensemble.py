"""Several networks as one: the mean of what they say of the same items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from emoframe.core.errors import DataError
from emoframe.evidence.tables.judged import Judged
from emoframe.records import Prediction


def ensemble(judgeds: Sequence[Judged], name: str, over: Literal["all", "runs"] = "all") -> Judged:
    """Average probabilities item by item.

    Out of fold stays out of fold: of each seed, the network that judges an item did not learn from
    it, and so did their mean.

    Args:
        judgeds: Rows that judged the same items.
        name: What the ensemble is called.
        over: `all` averages rows and seeds to one prediction for each item; `runs` averages the
            rows of each seed, so that the ensemble has seeds to be compared by.

    Raises:
        DataError: There is nothing to average, or items, labels, protocols or seeds differ.
    """
    if not judgeds or not all(one.predictions for one in judgeds):
        raise DataError("an ensemble needs predictions, and a row without any was given")
    protocols = {one.protocol for one in judgeds if one.protocol}
    if len(protocols) > 1:
        raise DataError(
            f"an ensemble of the protocols {' and '.join(sorted(protocols))} judges nothing; its "
            "rows must be of one"
        )
    if over == "runs" and len({one.seeds for one in judgeds}) > 1:
        raise DataError(
            f"rows of the seeds {' and '.join(str(list(one.seeds)) for one in judgeds)} cannot be "
            "averaged seed by seed; train them alike, or average over all"
        )
    modes = {one.mode for one in judgeds}
    mode = next((m for m in ("transductive", "inductive") if m in modes), "")
    every = [list(seed) for one in judgeds for seed in one.predictions]
    seeds, told = (0,), [_mean(every)]
    if over == "runs":
        seeds = judgeds[0].seeds
        told = [_mean([list(one.predictions[n]) for one in judgeds]) for n in range(len(seeds))]
    return replace(
        judgeds[0], name=name, predictions=told, seeds=seeds, mode=mode,
        protocol=next(iter(protocols), ""), synthetic=any(one.synthetic for one in judgeds),
    )  # fmt: skip


def _mean(told: Sequence[Sequence[Prediction]]) -> list[Prediction]:
    """Average several judgements of the same items."""
    by_id = [{one.id: one for one in seed} for seed in told]
    first = by_id[0]
    for other in by_id[1:]:
        if strange := sorted(first.keys() ^ other.keys()):
            raise DataError(
                f"{strange[0]} and {len(strange) - 1} other items were judged by some only; an "
                "ensemble needs the same items: folds instead of validation, which is cut anew by "
                "each seed"
            )
        for item, one in other.items():
            if one.label != first[item].label:
                raise DataError(
                    f"{item}: its label is {first[item].label} in one and {one.label} in another "
                    "row; they are of different data"
                )
    return [
        replace(
            one,
            probability=np.mean([seed[item].probability for seed in by_id], axis=0),
            votes=tuple(int(seed[item].predicted) for seed in by_id),
        )
        for item, one in first.items()
    ]

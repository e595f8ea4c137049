"""What an ensemble promises: the mean of the same items, and nothing mixed that must not be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from emoframe.core.errors import DataError
from emoframe.evidence.ensemble import ensemble
from emoframe.evidence.tables.judged import Judged
from emoframe.records import Prediction


def row(name: str, seed: int, seeds: tuple[int, ...] = (0, 1), **more: str) -> Judged:
    """Make a weak judge of 200 items whose errors are its own."""
    labels = np.random.default_rng(99).integers(0, 2, 200)
    generator = np.random.default_rng(seed)
    told = []
    for _ in seeds:
        second = 1 / (1 + np.exp(-generator.normal(labels - 0.5)))
        told.append(
            [
                Prediction(f"item-{n:03d}", np.array([1 - p, p]), int(label), f"s{n // 5}")
                for n, (p, label) in enumerate(zip(second, labels, strict=True))
            ]
        )
    return Judged(name, told, seeds, more.get("protocol", "made"), more.get("mode", ""))


def test_an_ensemble_of_weak_judges_is_better_than_each() -> None:
    rows = [row(f"net {n}", n) for n in range(8)]
    whole = ensemble(rows, "all of them")
    assert whole.right.mean() > max(one.right.mean() for one in rows) + 0.1
    assert (whole.name, whole.seeds, whole.right.shape) == ("all of them", (0,), (1, 200))


def test_its_probability_is_the_mean_whatever_the_order_of_the_items() -> None:
    one, other = row("a", 0, (0,)), row("b", 1, (0,))
    turned = replace(other, predictions=[list(reversed(other.predictions[0]))])
    found = ensemble([one, turned], "both").predictions[0]
    expected = [
        (a.probability + b.probability) / 2
        for a, b in zip(one.predictions[0], other.predictions[0], strict=True)
    ]
    assert np.allclose([p.probability for p in found], expected)
    assert found[0].votes == (one.predictions[0][0].predicted, other.predictions[0][0].predicted)


def test_rows_of_the_same_seeds_are_averaged_seed_by_seed() -> None:
    rows = [row("a", 0), row("b", 1)]
    found = ensemble(rows, "both", over="runs")
    assert (found.seeds, found.right.shape) == ((0, 1), (2, 200))
    mean = (rows[0].predictions[1][3].probability + rows[1].predictions[1][3].probability) / 2
    assert np.allclose(found.predictions[1][3].probability, mean)


def test_an_ensemble_with_a_transductive_row_is_transductive() -> None:
    rows = [row("a", 0, mode="inductive"), row("b", 1, mode="transductive")]
    assert ensemble(rows, "both").mode == "transductive"


def test_what_must_not_be_mixed_is_refused() -> None:
    one = row("a", 0)
    fewer = replace(one, predictions=[list(one.predictions[0])[:-1], one.predictions[1]])
    with pytest.raises(DataError, match="item-199 and 0 other items"):
        ensemble([one, fewer], "both")
    with pytest.raises(DataError, match="protocols made and other"):
        ensemble([one, row("b", 1, protocol="other")], "both")
    with pytest.raises(DataError, match="seed by seed"):
        ensemble([one, row("b", 1, (0, 2))], "both", over="runs")
    first = one.predictions[0]
    wrong = [replace(first[0], label=1 - (first[0].label or 0)), *first[1:]]
    with pytest.raises(DataError, match="different data"):
        ensemble([one, replace(one, predictions=[wrong, wrong])], "both")
    with pytest.raises(DataError, match="without any"):
        ensemble([], "none")

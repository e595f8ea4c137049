"""What the noise matrix promises: counts that hold for any prior, kept where training reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from emoframe.core.errors import DataError
from emoframe.evidence.labels.labelled import Material
from emoframe.evidence.labels.noise import accuracy_at, measured, posterior_at, shares_table
from emoframe.evidence.stats import Interval
from emoframe.weak_labels.exchange.intake import import_file
from emoframe.weak_labels.noise import keep_noise, noise_matrix, prior_of
from emoframe.weak_labels.store import LabelStore

Made = Callable[..., Material]
GOLD = [0] * 10 + [1] * 20
WEAK = [0] * 8 + [1] * 2 + [1] * 12 + [0] * 4 + [None] * 4


def test_it_counts_what_is_said_of_what_is_true_with_abstentions_apart(made: Made) -> None:
    found = measured(made(GOLD, WEAK))
    assert found.counts == ((8, 2, 0), (4, 12, 4))
    assert found.n == {"lose": 10, "win": 20}
    assert found.shares()[1] == pytest.approx([0.2, 0.6, 0.2])
    assert found.transition() == pytest.approx(np.array([[9 / 12, 3 / 12], [5 / 18, 13 / 18]]))
    row = shares_table(found)[1]
    assert row["n"] == 20
    assert isinstance(row["says win"], Interval)
    assert row["says win"].low < 0.6 < row["says win"].high
    assert "subjects" in found.method


def test_accuracy_and_posterior_are_recomputed_for_another_prior(made: Made) -> None:
    labels = made(GOLD, WEAK)
    matrix = measured(labels)
    prior = np.array([0.5, 0.5])
    accuracy = accuracy_at(labels, matrix, prior)
    assert isinstance(accuracy, Interval)
    assert accuracy.value == pytest.approx((0.8 + 0.6) / (1 + 0.8))
    assert accuracy.low < accuracy.value < accuracy.high
    says_win = posterior_at(labels, matrix, prior)[1][1]
    assert isinstance(says_win, Interval)
    assert says_win.value == pytest.approx(0.6 / (0.6 + 0.2))
    own = np.array([1 / 3, 2 / 3])
    assert matrix.accuracy(own) == pytest.approx(20 / 26), "the prior that it was measured under"
    assert matrix.posterior(prior, smooth=1.0).sum(1) == pytest.approx([1, 1, 1])


def test_it_is_kept_in_the_label_store_and_travels_with_it(made: Made, tmp_path: Path) -> None:
    labels = made(GOLD, WEAK)
    first, last = measured(labels.where(lambda row: row.gold == 1)), measured(labels)
    with LabelStore(tmp_path / "labels.sqlite") as store:
        store.add_prompt(labels.prompt)
        store.add_labeler(labels.labeler)
        for one in (first, last):
            keep_noise(store, one)
        assert noise_matrix(store, labels.prompt.hash, labels.labeler.key) == last
        assert noise_matrix(store, labels.prompt.hash[:8], "abab", "films") == last
        with pytest.raises(DataError, match="never measured .* on other; run emoframe labels"):
            noise_matrix(store, labels.prompt.hash, labels.labeler.key, "other")
    with LabelStore(tmp_path / "copy.sqlite") as copy:
        import_file(copy, tmp_path / "labels.sqlite")
        assert noise_matrix(copy, labels.prompt.hash, labels.labeler.key) == last


def test_few_items_are_told_as_counts_and_never_as_nan(made: Made) -> None:
    labels = made([0, 0, 0, 1], [0, 1, 0, 1])
    matrix = measured(labels)
    assert matrix.low[1] == (None, None, None)
    assert shares_table(matrix)[1]["says win"] == "1 of 1"
    assert accuracy_at(labels, matrix, np.array([0.5, 0.5])) == (
        "not measurable: fewer than 2 items are win"
    )
    assert "NaN" not in json.dumps([str(row) for row in shares_table(matrix)])
    with pytest.raises(DataError, match="no training item is win"):
        measured(made([0, 0], [0, 1])).shares()
    silent = made(GOLD, [None] * 30)
    cells = posterior_at(silent, measured(silent), np.array([0.5, 0.5]))
    assert cells[0] == ["never said", "never said"]


def test_a_prior_may_leave_one_class_out_and_must_be_one() -> None:
    assert prior_of({"win": 0.54}, ("lose", "win")) == pytest.approx([0.46, 0.54])
    assert prior_of({"a": 0.2, "b": 0.3, "c": 0.5}, ("a", "b", "c")) == pytest.approx(
        [0.2, 0.3, 0.5]
    )
    for wrong, why in (
        ({"wim": 0.5}, "did you mean 'win'"),
        ({"win": 1.5}, "is none over lose, win"),
        ({"win": 0.5, "lose": 0.6}, "together they make 1"),
        ({}, "that of one may be left out"),
    ):
        with pytest.raises(DataError, match=why):
            prior_of(wrong, ("lose", "win"))

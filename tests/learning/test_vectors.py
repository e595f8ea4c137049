"""Vectors of another tool become frame features, masked where nothing was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emoframe import api
from emoframe.core.errors import DataError
from emoframe.learning.data import prepare
from emoframe.learning.datasets.vectors import Vectors


def written(folder: Path, **more: Any) -> Path:
    """Write 24 items of 6 people, the last frames of each padded."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(24, 9, 4)).astype(np.float32)
    x[:, 7:] = np.nan
    x[0, 3] = np.nan
    arrays = {
        "x": x,
        "y": np.arange(24) % 2,
        "length": np.full(24, 7),
        "subject": np.arange(24) // 4,
    }
    file = folder / "vectors.npz"
    np.savez(file, **arrays | more)
    return file


def test_an_item_is_its_measured_frames(tmp_path: Path) -> None:
    dataset = Vectors(path=written(tmp_path), fps=10.0)
    assert dataset.classes == ("0", "1") and dataset.test_labels() == {}
    first, *rest = dataset.samples("train")
    assert len(rest) == 23 and first.subject == "0" and first.label == 0
    found = dataset.load(first)["frames"]
    assert found.x.shape == (7, 4) and found.time_s[-1] == pytest.approx(0.6)
    assert found.valid.tolist() == [True] * 3 + [False] + [True] * 3


def test_a_split_of_its_own_seals_test(tmp_path: Path) -> None:
    split = np.array(["train", "test"])[np.arange(24) % 4 // 3]
    dataset = Vectors(path=written(tmp_path, split=split))
    assert len(dataset.samples("train")) == 18
    assert all(ref.label is None for ref in dataset.samples("test"))
    assert len(dataset.test_labels()) == 6


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"y": np.zeros(3)}, "'y' has 3 rows and x has 24"),
        ({"x": np.zeros((24, 9))}, "not \\(items, frames, numbers\\)"),
        ({"split": np.array(["dev"] * 24)}, "split 'dev' is neither 'train' nor 'test'"),
        ({"y": np.full(24, 7), "class_names": np.array(["a", "b"])}, "label 7 is outside"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    tmp_path: Path, more: dict[str, Any], told: str
) -> None:
    with pytest.raises(DataError, match=told):
        Vectors(path=written(tmp_path, **more)).samples("train")


def test_no_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such file of vectors"):
        Vectors(path=tmp_path / "none.npz").samples("train")


def test_poker_leaves_each_player_out_once(shared: Path) -> None:
    path = f"dataset.path={shared}/data/poker_bluff.npz"
    folds = [prepare(api.load("poker", [path, f"fold={fold}"])) for fold in range(6)]
    held = [{ref.subject for ref in data.held.refs} for data in folds]
    assert sorted(map(len, held)) == [1] * 6 and len(set.union(*held)) == 6
    assert sum(len(data.held) for data in folds) == 200

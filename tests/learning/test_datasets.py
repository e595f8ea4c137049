"""Data sets seal their test labels, mask what is missing, and refuse what contradicts itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from emoframe.core.errors import DataError
from emoframe.learning.datasets.manifest import Manifest
from emoframe.learning.datasets.sequences import Sequences
from emoframe.testing import check_dataset


def arrays(**changes: Any) -> dict[str, Any]:
    """A small npz: 8 items of 6 frames, 4 joints, two classes."""
    generator = np.random.default_rng(0)
    return {
        "x": generator.normal(size=(8, 6, 4, 2)).astype(np.float32),
        "y": np.arange(8) % 2,
        "split": np.array(["train"] * 6 + ["test"] * 2),
        "length": np.full(8, 5),
        "class_names": np.array(["calm", "tense"]),
    } | changes


def npz(folder: Path, **changes: Any) -> Sequences:
    path = folder / "data.npz"
    np.savez(path, **{k: v for k, v in arrays(**changes).items() if v is not None})
    return Sequences(path=path)


def folder_of(folder: Path, **columns: list[str]) -> Sequences:
    root = folder / "sequences"
    root.mkdir()
    data = arrays()
    names = [f"clip{n}.npy" for n in range(8)]
    for name, x in zip(names, data["x"], strict=True):
        np.save(root / name, x)
    rows = {"file": names, "label": [str(y) for y in data["y"]], "split": data["split"].tolist()}
    pd.DataFrame(rows | columns).to_csv(root / "index.csv", index=False)
    (root / "layout.json").write_text(
        json.dumps({"edges": [[0, 1]], "groups": {"a": [0, 1], "b": [2, 3]}})
    )
    return Sequences(path=root)


@pytest.mark.parametrize("make", [npz, folder_of])
def test_sequences_keep_the_contract(make: Callable[..., Sequences], tmp_path: Path) -> None:
    dataset = make(tmp_path)
    check_dataset(dataset)
    assert [ref.label for ref in dataset.samples("test")] == [None, None]
    assert list(dataset.test_labels().values()) == [0, 1]


def test_a_layout_of_ones_own_needs_no_code(tmp_path: Path) -> None:
    dataset = folder_of(tmp_path)
    assert dict(dataset.layout.groups) == {"a": (0, 1), "b": (2, 3)}
    assert dataset.layout.edges == ((0, 1),)


def test_nan_is_masked_and_padding_is_cut(tmp_path: Path) -> None:
    x = arrays()["x"]
    x[0, 2, 1] = np.nan
    keypoints = npz(tmp_path, x=x).load(npz(tmp_path, x=x).samples("train")[0])["keypoints"]
    assert len(keypoints) == 5
    assert not keypoints.valid[2, 1]
    assert keypoints.valid.sum() == 19


def test_a_confidence_of_zero_is_a_missing_joint(tmp_path: Path) -> None:
    x = np.ones((8, 6, 4, 3), np.float32)
    x[0, 0, 0] = 0
    np.savez(tmp_path / "d.npz", **arrays(x=x))
    dataset = Sequences(path=tmp_path / "d.npz", axes="xyc")
    keypoints = dataset.load(dataset.samples("train")[0])["keypoints"]
    assert keypoints.xy.shape[-1] == 2
    assert not keypoints.valid[0, 0]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"y": None}, "lacks y"),
        ({"y": np.arange(7)}, "'y' has 7 rows and x has 8"),
        ({"y": np.arange(8)}, "label 2 is outside the classes 0 to 1"),
        ({"split": np.array(["train"] * 7 + ["val"])}, "split 'val' is neither"),
        ({"x": np.zeros((8, 6, 4))}, "shape"),
        ({"length": np.full(8, 7)}, "between 1 and the 6 frames"),
        ({"length": np.full(8, 0)}, "between 1 and the 6 frames"),
        ({"y": np.full(8, 0.7)}, "whole numbers"),
        ({"y": np.array([0, 1, np.nan] * 2 + [0, 1])}, "item 2 has no label"),
        ({"y": np.eye(8)}, "one label per item"),
        ({"x": np.zeros((8, 6, 4, 5))}, "2 or 3"),
        ({"x": np.array([object()] * 8)}, "without pickles"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(
    changes: dict[str, Any], says: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=says):
        dataset = npz(tmp_path, **changes)
        dataset.load(dataset.samples("train")[0])


@pytest.mark.parametrize("make", [Sequences, Manifest])
def test_a_missing_file_is_refused(make: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such"):
        make(path=tmp_path / "absent").samples("train")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    npz(tmp_path)
    whole = (tmp_path / "data.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be read"):
        Sequences(path=tmp_path / "cut.npz").samples("train")


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("layout.json", "{", "is no JSON"),
        ("layout.json", '{"edgs": []}', "did you mean 'edges'"),
        ("layout.json", '{"edges": [[0, 9]]}', "does not join"),
        ("clip0.npy", "junk", "cannot be read as .npy"),
        ("index.csv", "file,label,split\nclip0.npy,,train\n", "has no label"),
        ("index.csv", "file,label\n", "lacks"),
    ],
)
def test_a_folder_that_contradicts_itself_is_refused(
    file: str, text: str, says: str, tmp_path: Path
) -> None:
    dataset = folder_of(tmp_path)
    (dataset.path / file).write_text(text)
    with pytest.raises(DataError, match=says):
        dataset.samples("train")


def test_a_file_that_was_written_anew_is_read_anew(tmp_path: Path) -> None:
    first = npz(tmp_path)
    before, hash_before = first.load(first.samples("train")[0])["keypoints"].xy, first.fingerprint()
    second = npz(tmp_path, x=arrays()["x"] + 1)
    assert not np.array_equal(second.load(second.samples("train")[0])["keypoints"].xy, before)
    assert second.fingerprint() != hash_before


def manifest(folder: Path, rows: list[dict[str, Any]], name: str = "videos.csv") -> Manifest:
    for row in rows:
        (folder / row["video"]).write_bytes(b"frames")
    path = folder / name
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pd.DataFrame(rows).to_csv(path, index=False)
    return Manifest(path=path)


ROWS = [
    {"video": "a.mp4", "label": "win", "split": "train", "subject": "1"},
    {"video": "b.mp4", "label": "lose", "split": "train", "subject": "2"},
    {"video": "c.mp4", "label": "win", "split": "test", "subject": "3"},
]


@pytest.mark.parametrize("name", ["videos.csv", "videos.jsonl"])
def test_a_manifest_keeps_the_contract(name: str, tmp_path: Path) -> None:
    dataset = manifest(tmp_path, ROWS, name)
    check_dataset(dataset)
    assert dataset.classes == ("lose", "win")
    assert dataset.samples("train")[0].video == tmp_path / "a.mp4"
    assert dataset.samples("test")[0].label is None
    assert dataset.test_labels() == {"c.mp4": 1}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"split": "val"}, "split 'val' is neither"),
        ({"label": "draw", "split": "test"}, "label 'draw' is not among"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(
    change: dict[str, str], says: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=says):
        manifest(tmp_path, [*ROWS[:2], ROWS[2] | change]).samples("test")
        _ = manifest(tmp_path, [*ROWS[:2], ROWS[2] | change]).classes


def test_the_word_none_is_a_label_and_a_video_that_changed_changes_the_hash(tmp_path: Path) -> None:
    dataset = manifest(tmp_path, [*ROWS, ROWS[0] | {"video": "d.mp4", "label": "None"}])
    assert dataset.classes == ("None", "lose", "win")
    before = dataset.fingerprint()
    (tmp_path / "a.mp4").write_bytes(b"other")
    assert dataset.fingerprint() != before


def test_a_manifest_may_name_videos_that_are_not_here_since_features_travel_alone(
    tmp_path: Path,
) -> None:
    dataset = manifest(tmp_path, ROWS)
    before = dataset.samples("train")
    (tmp_path / "b.mp4").unlink()
    assert dataset.samples("train") == before
    assert len(dataset.fingerprint()) == len(ROWS)

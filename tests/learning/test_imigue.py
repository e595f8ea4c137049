"""iMiGUE's formats are read as they are, its protocols count right, and its test labels stay shut.

No file of the data set is here: small trees are built in exactly its formats, with labels dealt out
so that the published counts come out.
"""

from __future__ import annotations

import csv
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest
import yaml

from emoframe.core.errors import ComponentError, DataError
from emoframe.learning.datasets import imigue_skeletons
from emoframe.learning.datasets.imigue import Imigue
from emoframe.learning.datasets.imigue_check import check
from emoframe.learning.datasets.imigue_labels import COLUMNS
from emoframe.learning.datasets.imigue_protocols import FOLDER, read_protocol
from emoframe.learning.datasets.imigue_skeletons import Conversion, convert
from emoframe.testing import check_dataset

CVPR, MIGA = read_protocol("cvpr2021_emotion"), read_protocol("miga_emotion")
LEARNT = sorted(read_protocol("micro_gesture").train or ())
JUDGED = sorted({*range(1, 73)} - {*LEARNT})


def metadata() -> dict[int, tuple[int, str]]:
    """Subject and outcome of 359 videos, with the counts that are published for every protocol."""
    train, test, miga = CVPR.train or set(), CVPR.test or set(), MIGA.test or set()
    rest = [n for n in range(1, 454) if n not in train | test | miga]
    videos = sorted({*train, *test, *miga, *rest[:124]})
    lose = {
        *sorted(train & miga)[:25], *sorted(train - miga)[:26],
        *sorted(test & miga)[:23], *sorted(test - miga)[:27],
    }  # fmt: skip
    turn = Counter[bool]()
    dealt: dict[int, tuple[int, str]] = {}
    for video in videos:
        people = JUDGED if video in miga else LEARNT
        subject = people[turn[video in miga] % len(people)]
        turn[video in miga] += 1
        dealt[video] = subject, "Lose" if video in lose else "Win"
    return dealt


def row(
    video: int, subject: int, outcome: str, code: int = 8, span: tuple[int, int] = (0, 3)
) -> Any:
    start, end = span
    return (video, 1, start / 25, start, end / 25, end, code, subject, "F", "NN", outcome)


def write_labels(root: Path, rows: list[Any], columns: tuple[str, ...] = COLUMNS) -> Path:
    path = root / "Label" / "labels_20200831.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def frames(total: int = 6, points: int = 137, seed: int = 0) -> np.ndarray:
    """T rows of x, y, c per point; frame 0 is all zero, and so is point 4 of frame 2."""
    table = np.random.default_rng(seed).uniform(0.1, 1, (total, points, 3)).astype(np.float32)
    table[..., :2] *= 700
    table[0], table[2, 4] = 0, 0
    return table.reshape(total, -1)


def write_xlsx(root: Path, video: int, table: Any) -> Path:
    path = root / "mg_skeleton_only" / f"{video:04d}" / f"{video:04d}_2.xlsx"
    path.parent.mkdir(parents=True, exist_ok=True)
    book = openpyxl.Workbook()
    for line in table:
        book.active.append([None if v != v else v for v in np.asarray(line).tolist()])
    book.save(path)
    return path


def write_mp4(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The original release with 359 videos' metadata; the mp4 files are names only."""
    root = tmp_path_factory.mktemp("imigue")
    dealt = metadata()
    assert len(dealt) == 359
    assert len({subject for subject, _ in dealt.values()}) == 72
    write_labels(root, [row(video, *of) for video, of in dealt.items()])
    for n, video in enumerate(dealt):
        part = ("iMiGUE_RGB_Phase1/imigue_rgb_train", "iMiGUE_RGB_Phase2/imigue_rgb_test")[n % 2]
        write_mp4(root / part / f"{video:04d}" / f"{video:04d}.mp4")
    return root


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Three labelled videos of MiGA's train and two of its test, with xlsx skeletons."""
    rows = [
        row(2, 2, "Win"), row(2, 2, "Win", 99, (4, 9)), row(3, 4, "Lose"), row(347, 5, "Win"),
        row(54, 1, "Lose"), row(67, 3, "Win", 1, (1, 2)), row(67, 3, "Win", 2, (1, 2)),
        row(67, 3, "Win", 2, (6, 9)),
    ]  # fmt: skip
    write_labels(tmp_path, rows)
    for video in (2, 3, 54, 67):
        write_xlsx(tmp_path, video, frames(seed=video))
    write_xlsx(tmp_path, 347, [])
    return tmp_path


def miga(root: Path, **settings: Any) -> Imigue:
    return Imigue(**{"root": root, "protocol": "miga_emotion", "allow_missing": True} | settings)


def test_the_shipped_protocols_say_where_they_are_from_and_what_they_promise() -> None:
    assert (len(CVPR.train or ()), len(CVPR.test or ()), len(MIGA.test or ())) == (102, 100, 104)
    assert (len(LEARNT), len(JUDGED)) == (37, 35)
    assert not (CVPR.train or set()) & (CVPR.test or set())
    assert len((MIGA.test or set()) & (CVPR.train or set())) == 38
    assert len((MIGA.test or set()) & (CVPR.test or set())) == 33
    assert all(read_protocol(name).source for name in ("subject_fold", "micro_gesture"))
    assert not CVPR.subject_disjoint
    assert MIGA.subject_disjoint


def test_the_terms_are_told() -> None:
    terms = yaml.safe_load((FOLDER / "terms.yaml").read_text())
    assert terms["redistribute"] == "no"
    assert terms["upload"] in ("yes", "no", "ask")
    assert terms["source"].startswith("https://")


@pytest.mark.parametrize(
    ("protocol", "train", "test"),
    [
        ("cvpr2021_emotion", {0: 51, 1: 51}, {0: 50, 1: 50}),
        ("miga_emotion", {0: 53, 1: 202}, {0: 48, 1: 56}),
    ],
)
def test_a_protocol_counts_as_published(whole: Path, protocol: Any, train: Any, test: Any) -> None:
    dataset = Imigue(root=whole, protocol=protocol, keypoints="none")
    assert Counter(ref.label for ref in dataset.samples("train")) == train
    assert Counter(dataset.test_labels().values()) == test
    assert dataset.protocol == f"imigue:{protocol}"
    assert dataset.classes == ("lose", "win")
    assert {ref.label for ref in dataset.samples("test")} == {None}
    assert all(ref.video and ref.video.is_file() for ref in dataset.samples("test"))
    assert dataset.layout is None
    assert dataset.load(dataset.samples("test")[0]) == {}


@pytest.mark.parametrize("protocol", ["miga_emotion", "subject_fold"])
def test_a_protocol_that_promises_it_keeps_every_subject_on_one_side(
    whole: Path, protocol: Any
) -> None:
    dataset = Imigue(root=whole, protocol=protocol, keypoints="none")
    assert dataset.subject_disjoint
    check_dataset(dataset)


def test_the_cvpr_protocol_tells_that_subjects_may_be_on_both_sides(whole: Path) -> None:
    dataset = Imigue(root=whole, protocol="cvpr2021_emotion", keypoints="none")
    sides = [{ref.subject for ref in dataset.samples(split)} for split in ("train", "test")]
    assert sides[0] & sides[1]
    assert not dataset.subject_disjoint


def test_folds_cover_every_video_once_and_hang_on_their_seed(whole: Path) -> None:
    def fold(n: int, seed: int = 0) -> Imigue:
        return Imigue(
            root=whole, protocol="subject_fold", keypoints="none", fold=n, folds=5, fold_seed=seed
        )

    seen = Counter(ref.id for n in range(5) for ref in fold(n).samples("test"))
    assert len(seen) == 359
    assert set(seen.values()) == {1}
    assert fold(0).samples("test") == fold(0).samples("test")
    assert fold(0).samples("test") != fold(0, seed=1).samples("test")
    assert fold(0).protocol != fold(0, seed=1).protocol
    with pytest.raises(DataError, match="fold 5 is none of the 5"):
        fold(5)


def test_no_sealed_label_is_in_the_items_or_in_what_is_told_of_them(whole: Path) -> None:
    one = Imigue(root=whole, protocol="miga_emotion", keypoints="none")
    rows = [
        row(video, subject, {"Win": "Lose", "Lose": "Win"}[out] if video in MIGA.test else out)
        for video, (subject, out) in metadata().items()
    ]
    kept = (whole / "Label/labels_20200831.csv").read_bytes()
    before = [one.samples("train"), one.samples("test"), one.left_out, one.test_labels()]
    try:
        write_labels(whole, rows)
        other = Imigue(root=whole, protocol="miga_emotion", keypoints="none")
        after = [other.samples("train"), other.samples("test"), other.left_out, other.test_labels()]
    finally:
        (whole / "Label/labels_20200831.csv").write_bytes(kept)
    assert after[:3] == before[:3]
    assert after[3] == {item: 1 - label for item, label in before[3].items()}


def test_the_release_is_checked_and_nothing_is_wrong_with_its_labels(whole: Path) -> None:
    problems = check(whole)
    assert len(problems) == 359  # each mp4 is a name without content, and nothing else is wrong
    assert all("the file is empty" in problem for problem in problems)


def test_skeletons_alone_will_do(small: Path) -> None:
    dataset = miga(small)
    check_dataset(dataset)
    assert [ref.id for ref in dataset.samples("train")] == ["0002", "0003"]
    assert [ref.id for ref in dataset.samples("test")] == ["0054", "0067"]
    assert dataset.test_labels() == {"0054": 0, "0067": 1}
    assert dataset.samples("train")[0].video is None


def test_the_first_row_is_a_frame_and_what_is_zero_is_masked(small: Path) -> None:
    dataset = miga(small)
    keypoints = dataset.load(dataset.samples("train")[0])["keypoints"]
    assert len(keypoints) == 6
    assert keypoints.layout == "openpose_137"
    assert not keypoints.valid[0].any()
    assert not keypoints.valid[2, 4]
    assert keypoints.valid.sum() == 5 * 137 - 1
    assert np.isnan(keypoints.xy[~keypoints.valid]).all()
    assert keypoints.time_s[1] == pytest.approx(0.04)
    np.testing.assert_allclose(keypoints.xy[1, 3], frames(seed=2)[1, 9:11])
    assert keypoints.confidence.max() <= 1


def test_either_zero_hides_a_point(small: Path) -> None:
    table = frames(seed=2).reshape(6, 137, 3)
    table[1, 7, 2] = 0  # a place, and no confidence in it
    table[1, 8, :2] = 0  # confidence in no place
    write_xlsx(small, 2, table.reshape(6, -1))
    valid = miga(small).load(miga(small).samples("train")[0])["keypoints"].valid[1]
    assert np.flatnonzero(~valid).tolist() == [7, 8]


def test_an_empty_cell_is_missing_and_no_number(small: Path) -> None:
    table = frames(seed=2)
    table[1, 0] = table[3, -1] = np.nan
    table[0], table[4] = np.nan, np.nan
    write_xlsx(small, 2, table)
    assert not [problem for problem in check(small) if "0002_2.xlsx" in problem]
    keypoints = miga(small).load(miga(small).samples("train")[0])["keypoints"]
    assert len(keypoints) == 6
    assert not keypoints.valid[1, 0]
    assert not keypoints.valid[3, 136]
    assert not keypoints.valid[4].any()


def test_an_empty_skeleton_is_left_out_with_a_reason_and_refused_when_loaded(small: Path) -> None:
    dataset = miga(small)
    assert dataset.left_out["0347"] == "its skeleton file holds no frame"
    with pytest.raises(DataError, match="video 0347"):
        dataset.load(type(dataset.samples("train")[0])("0347"))
    (small / "mg_skeleton_only/0347/0347_2.xlsx").write_bytes(b"")
    assert "0347" in miga(small).left_out


def test_a_video_without_a_label_row_is_no_item(small: Path) -> None:
    write_xlsx(small, 7, frames())
    assert miga(small).left_out["0007"] == "no row of the label file is about it"


def test_an_incomplete_copy_is_refused_or_marked(small: Path) -> None:
    with pytest.raises(DataError, match=r"needs 102 videos .* \(0069, 0070.*97 more\)"):
        miga(small, allow_missing=False).samples("train")
    assert miga(small).protocol == "imigue:miga_emotion/incomplete"
    assert miga(small).left_out["0069"] == "there is no openpose_137 skeleton of it"
    with pytest.raises(DataError, match="there is no mp4"):
        miga(small, keypoints="none", allow_missing=False).samples("train")


def test_a_conversion_changes_nothing_but_the_time_it_takes(small: Path) -> None:
    before = miga(small)
    refs = before.samples("train") + before.samples("test")
    loaded = [before.load(ref)["keypoints"] for ref in refs]
    heard: list[Conversion] = []
    assert [found.state for found in convert(small, each=heard.append)] == ["done"] * 5
    assert [found.detail for found in heard][-1] == "0 frames"
    after = miga(small)
    assert after.samples("train") + after.samples("test") == refs
    assert after.left_out == before.left_out
    assert after.fingerprint() == before.fingerprint()
    for ref, was in zip(refs, loaded, strict=True):
        now = after.load(ref)["keypoints"]
        np.testing.assert_array_equal(now.xy, was.xy)
        np.testing.assert_array_equal(now.valid, was.valid)
    npy = np.load(small / "emoframe_npy/openpose_137/0002.npy")
    assert (npy.dtype, npy.shape) == (np.float32, (6, 411))


def test_a_conversion_resumes_and_takes_up_what_changed(small: Path, tmp_path: Path) -> None:
    target = tmp_path / "fast"
    convert(small, target)
    (target / "openpose_137" / "0003.npy").unlink()
    (target / "openpose_137" / "0003.npy.partial").write_bytes(b"half of one")
    newer = write_xlsx(small, 54, frames(9))
    os.utime(newer, (2e9, 2e9))
    states = {found.video: found.state for found in convert(small, target)}
    assert states == {2: "kept", 3: "done", 54: "done", 67: "kept", 347: "kept"}
    dataset = miga(small, converted=target)
    assert len(dataset.load(dataset.samples("test")[0])["keypoints"]) == 9
    assert dataset.fingerprint() != miga(small, protocol="cvpr2021_emotion").fingerprint()


def test_two_processes_convert_to_the_same_bytes(small: Path, tmp_path: Path) -> None:
    found = convert(small, tmp_path / "one"), convert(small, tmp_path / "two", workers=2)
    assert found[0] == found[1]
    files = sorted((tmp_path / "one" / "openpose_137").iterdir())
    assert len(files) == 5
    for file in files:
        other = tmp_path / "two" / "openpose_137" / file.name
        assert file.read_bytes() == other.read_bytes()


def test_a_target_that_cannot_be_written_is_a_sentence(small: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot be written"):
        convert(small, tmp_path / "file")


def test_one_damaged_file_does_not_stop_a_conversion(small: Path) -> None:
    path = small / "mg_skeleton_only/0003/0003_2.xlsx"
    path.write_bytes(path.read_bytes()[:3000])
    found = {one.video: one for one in convert(small)}
    assert found[3].state == "failed"
    assert "damaged, copy it again" in found[3].detail
    assert found[67].state == "done"
    with pytest.raises(DataError, match=r"0003_2.xlsx: cannot be read"):
        miga(small).samples("train")


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ([["x", *[0.0] * 410]], "row 1: holds something that is no number"),
        ([[0.0] * 410], "has 410 columns"),
        ([[1.0] * 411, [1.0] * 412], "the longest 412"),
    ],
)
def test_a_skeleton_of_another_shape_is_refused(small: Path, table: Any, told: str) -> None:
    write_xlsx(small, 2, table)
    assert told in convert(small)[0].detail


def test_a_broken_converted_file_says_what_to_do(small: Path) -> None:
    convert(small)
    npy = small / "emoframe_npy/openpose_137/0002.npy"
    for content in (np.zeros((3, 4), np.float32), None):
        np.save(npy, content) if content is not None else npy.write_bytes(b"no array")
        with pytest.raises(DataError, match="convert again"):
            miga(small).samples("train")


def test_without_openpyxl_one_sentence_says_what_to_install(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(ComponentError, match="pip install openpyxl"):
        miga(small).samples("train")


def test_micro_gestures_are_clips_of_subjects_on_one_side(small: Path) -> None:
    with pytest.raises(DataError, match="converted first"):
        miga(small, protocol="micro_gesture", allow_missing=False).samples("train")
    convert(small)
    dataset = miga(small, protocol="micro_gesture")
    check_dataset(dataset)
    assert [(r.id, r.label) for r in dataset.samples("train")] == [
        ("0002/0/3", 7), ("0002/4/9", 31), ("0003/0/3", 7),
    ]  # fmt: skip
    assert len(dataset.classes) == 32
    assert dataset.classes[31] == "illustrative body language"
    assert dataset.test_labels() == {"0054/0/3": 7, "0067/1/2": 0, "0067/1/2/2": 1}
    assert dataset.left_out["0067/6/9"] == "the skeleton file ends before it, after 6 frames"
    clip = dataset.load(dataset.samples("test")[2])["keypoints"]
    assert len(clip) == 2
    np.testing.assert_allclose(clip.xy[0, 3], frames(seed=67)[1, 9:11])
    assert len(dataset.load(dataset.samples("train")[1])["keypoints"]) == 2
    with pytest.raises(DataError, match="137 points"):
        miga(small, protocol="micro_gesture", keypoints="none")


def test_micro_gestures_divide_37_subjects_from_35(whole: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    write_labels(tree, [row(video, *of) for video, of in metadata().items()])
    folder = tree / "emoframe_npy" / "openpose_137"
    folder.mkdir(parents=True)
    for video in metadata():
        np.save(folder / f"{video:04d}.npy", frames(4))
    dataset = Imigue(root=tree, protocol="micro_gesture")
    check_dataset(dataset)
    assert len({ref.subject for ref in dataset.samples("train")}) == 37
    assert len({ref.subject for ref in dataset.samples("test")}) == 35
    assert len(dataset.samples("train") + dataset.samples("test")) == 359


def miga_tree(root: Path, skeleton: str, rgb: str) -> Path:
    """MiGA's packaging: light skeletons, label files without subjects, folder names as given."""
    for name, rows in {"train": [(2, "Win"), (3, "Lose")], "validation": [(5, "Win")]}.items():
        with (root / f"{name}_label.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("video_id", "label"), *rows])
    for video in (2, 3, 5, 54):
        part = skeleton.format("test" if video == 54 else "train")
        folder = root / part / f"{video:04d}"
        folder.mkdir(parents=True)
        table = np.column_stack([np.arange(6), frames(points=35, seed=video)])
        np.savetxt(folder / f"{video:04d}_light_hand.csv", table, "%.4f", ",")
        (folder / f"{video:04d}_label.csv").write_text("gestureID,start,end\n8,0,3\n")
        write_mp4(root / rgb / f"{video:04d}" / f"{video:04d}.mp4")
    return root


@pytest.mark.parametrize(
    ("skeleton", "rgb"),
    [
        ("imigue_data_phase1/datasets/imigue_skeleton_{}", "imigue_rgb_phase1/train_data"),
        ("Skeleton_{}", "RGB_Phase1/train"),
        ("2025/imigue_data/imigue_Skeleton_{}", "imigue_rgb_phase2/some/where"),
    ],
)
def test_the_packaging_of_miga_is_found_whatever_its_folders_are_called(
    tmp_path: Path, skeleton: str, rgb: str
) -> None:
    dataset = miga(miga_tree(tmp_path, skeleton, rgb), keypoints="light_35")
    check_dataset(dataset)
    assert [(r.id, r.label, r.subject) for r in dataset.samples("train")] == [
        ("0002", 1, None), ("0003", 0, None), ("0005", 1, None),
    ]  # fmt: skip
    assert [ref.id for ref in dataset.samples("test")] == ["0054"]
    assert dataset.test_labels() == {}
    keypoints = dataset.load(dataset.samples("train")[0])["keypoints"]
    assert keypoints.xy.shape == (6, 35, 2)
    np.testing.assert_allclose(keypoints.xy[1, 3], frames(points=35, seed=2)[1, 9:11], atol=1e-3)
    assert dataset.samples("train")[0].video is not None
    assert convert(tmp_path, form="light_35")[0].detail == "6 frames"
    check_dataset(miga(tmp_path, keypoints="light_35"))


def test_what_miga_does_not_tell_is_asked_for(tmp_path: Path) -> None:
    root = miga_tree(tmp_path, "skeleton_{}", "rgb")
    with pytest.raises(DataError, match="labels_20200831.csv"):
        miga(root, protocol="subject_fold", keypoints="light_35").samples("train")
    (root / "train_label.csv").write_text("video_id,label\n2,0\n")
    with pytest.raises(DataError, match="neither 'Win' nor 'Lose'"):
        miga(root, keypoints="light_35").samples("train")


def test_a_light_skeleton_with_a_cut_line_or_a_jump_back_is_refused(tmp_path: Path) -> None:
    root = miga_tree(tmp_path, "skeleton_{}", "rgb")
    path = root / "skeleton_train/0002/0002_light_hand.csv"
    path.write_text(path.read_text()[:-40])
    ref = miga(root, keypoints="light_35").samples("train")[0]
    with pytest.raises(DataError, match="106"):
        miga(root, keypoints="light_35").load(ref)
    line = ",".join(["1"] * 106)
    path.write_text(f"{line}\n{line}\n")
    with pytest.raises(DataError, match="do not rise"):
        miga(root, keypoints="light_35").load(ref)


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (row(2, 2, "Draw"), "line 3: the match outcome is neither"),
        (row(2, 2, "Lose"), "line 3: gives video 0002 a second match outcome"),
        (row(2, 9, "Win"), "line 3: gives video 0002 a second subject"),
        (row(2, 2, "Win", 32), "line 3: class 32 is none of 1 to 31 and 99"),
        (row(2, 2, "Win", 8, (9, 3)), "line 3: the clip of frames 9 to 3"),
        (("two", *row(2, 2, "Win")[1:]), "line 3: video_id"),
        ((2,), "line 3: does not have the 11 columns"),
    ],
)
def test_a_wrong_row_is_refused_by_its_line_and_shows_no_label(
    small: Path, bad: Any, told: str
) -> None:
    write_labels(small, [row(2, 2, "Win"), bad, row(54, 1, "Lose")])
    with pytest.raises(DataError, match=told):
        miga(small).samples("train")
    assert any(told in problem for problem in check(small))


def test_a_check_says_exactly_what_is_missing(small: Path, tmp_path: Path) -> None:
    write_labels(small, [row(2, 2, "Win"), row(9, 4, "Lose")], (*COLUMNS[:-1], "win_or_lose"))
    write_xlsx(small, 3, [])
    write_xlsx(small, 67, [[0.0] * 12])
    (small / "imigue_rgb/0002").mkdir(parents=True)
    (small / "imigue_rgb/0002/0002.mp4").write_bytes(b"no video at all")
    told = "\n".join(check(small))
    for sentence in (
        "0003_2.xlsx: holds no frame; in the release only videos 0347, 0348 are empty",
        "0067_2.xlsx: has 12 columns, not 411",
        "0002.mp4: cannot be read as a video",
        "xlsx skeleton missing of 1 of 2 videos: 0009",
        "no row in the label file for 4 videos with files: 0003, 0054, 0067, 0347",
        "names 2 videos and 2 subjects; the release has 359 and 72",
        "protocol cvpr2021_emotion: train has 0 labelled videos, not 102",
        "protocol micro_gesture: train has 2 subjects, not 37",
    ):
        assert sentence in told
    assert "0347_2.xlsx" not in told


def test_a_check_sees_a_subject_on_both_sides_and_a_lost_column(whole: Path, small: Path) -> None:
    rows = [row(v, 1, out) if v == 2 else row(v, s, out) for v, (s, out) in metadata().items()]
    write_labels(small, [(*r, "") for r in rows], (*COLUMNS[:8], "sex", *COLUMNS[9:], ""))
    told = "\n".join(check(small))
    assert "lacks the columns subject_gender of the release" in told
    assert "protocol miga_emotion promises" in told
    assert "subject 1 is (1 such subjects)" in told


def test_an_empty_or_absent_folder_is_a_sentence(tmp_path: Path) -> None:
    assert "there is no such folder" in check(tmp_path / "nowhere")[0]
    told = "\n".join(check(tmp_path))
    assert "holds neither skeletons nor videos" in told
    assert "holds no label file" in told
    with pytest.raises(DataError, match="no label file"):
        miga(tmp_path).samples("train")
    with pytest.raises(DataError, match="no openpose_137 skeletons"):
        convert(tmp_path)


def test_what_lies_there_twice_is_refused(small: Path) -> None:
    other = small / "copy" / "old_skeleton" / "0002" / "0002_2.xlsx"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"")
    with pytest.raises(DataError, match="video 0002 is there twice"):
        miga(small).samples("train")
    assert any("video 0002 is there twice" in problem for problem in check(small))
    other.unlink()
    (small / "labels_2021.csv").write_text("video_id\n2\n")
    with pytest.raises(DataError, match="2 label files"):
        miga(small).samples("train")


def test_a_layout_of_35_points_mirrors_left_and_right() -> None:
    layout = imigue_skeletons.LIGHT_35
    assert layout.joints[layout.mirror[25]] == "left_finger_1"
    assert sorted(layout.groups) == ["body", "hands"]
    assert (4, 25) in layout.edges

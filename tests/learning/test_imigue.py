"""iMiGUE's formats are read as they are, its protocols count right, and its test labels stay shut.

No file of the data set is here: small trees are built in exactly its formats, with labels dealt out
so that the published counts come out.
"""

from __future__ import annotations

import csv
import os
import pickle
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest

from emoframe.core.errors import ComponentError, DataError
from emoframe.learning.datasets import imigue_skeletons
from emoframe.learning.datasets.imigue import Imigue
from emoframe.learning.datasets.imigue_check import check
from emoframe.learning.datasets.imigue_convert import Conversion, convert
from emoframe.learning.datasets.imigue_labels import COLUMNS
from emoframe.learning.datasets.imigue_protocols import read_protocol
from emoframe.learning.datasets.pyskl import HARMLESS, convert_pickle
from emoframe.learning.datasets.sequences import Sequences
from emoframe.testing import check_dataset

CVPR, MIGA = read_protocol("cvpr2021_emotion"), read_protocol("miga_emotion")
LEARNT = sorted(read_protocol("micro_gesture").train or ())
JUDGED = sorted({*range(1, 73)} - {*LEARNT})


def metadata() -> dict[int, tuple[int, str]]:
    """Subject and outcome of 359 videos, with the counts that are published for every protocol."""
    train, test, miga = CVPR.train or set(), CVPR.test or set(), MIGA.test or set()
    rest = [347, 348, *(n for n in range(1, 347) if n not in train | test | miga)]
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
    terms = Imigue.terms
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
    assert miga(small).protocol.startswith("imigue:miga_emotion/incomplete,lacks=102,")
    assert miga(small).left_out["0069"] == "no label file names its match outcome"
    write_mp4(small / "imigue_rgb/0002/0002.mp4")
    with pytest.raises(DataError, match="there is no mp4"):
        miga(small, keypoints="none", allow_missing=False).samples("train")


def release(root: Path, lose: Any = (), without: Any = ()) -> Path:
    """A whole release as converted skeletons, and xlsx of the two videos that have none."""
    told = {v: of for v, of in metadata().items() if v not in without}
    write_labels(root, [row(video, *of) for video, of in told.items()])
    folder = root / "emoframe_npy" / "openpose_137"
    folder.mkdir(parents=True)
    for video in metadata():
        if video in (347, 348):
            write_xlsx(root, video, [])
        else:
            np.save(folder / f"{video:04d}.npy", frames(4)[: 0 if video in lose else 4])
    return root


def test_what_the_release_lacks_does_not_make_a_copy_incomplete(
    whole: Path, tmp_path: Path
) -> None:
    dataset = Imigue(root=release(tmp_path), protocol="miga_emotion")
    assert len(dataset.samples("train")) == 253
    assert len(dataset.samples("test")) == 104
    assert sorted(dataset.left_out) == ["0347", "0348"]
    assert dataset.protocol == "imigue:miga_emotion"
    bare = tmp_path / "bare"
    shutil.copytree(whole, bare)
    for video in (347, 348):
        write_xlsx(bare, video, [])
    dataset = Imigue(root=bare, protocol="miga_emotion", keypoints="none")
    assert len(dataset.samples("train") + dataset.samples("test")) == 359
    assert dataset.left_out == {}
    assert dataset.protocol == "imigue:miga_emotion"


def test_a_skeleton_that_only_this_copy_has_empty_is_lacking(tmp_path: Path) -> None:
    release(tmp_path, lose={54})
    with pytest.raises(DataError, match=r"needs 1 videos .*0054: its skeleton file holds no frame"):
        Imigue(root=tmp_path, protocol="miga_emotion").samples("test")
    dataset = miga(tmp_path)
    assert dataset.protocol.startswith("imigue:miga_emotion/incomplete,lacks=1,")
    assert len(dataset.samples("test")) == 103
    assert "0054" in dataset.fingerprint()["left_out"]


def test_copies_that_lack_different_videos_are_different_protocols(tmp_path: Path) -> None:
    one = miga(release(tmp_path / "one", lose={54}))
    other = miga(release(tmp_path / "other", lose={67}))
    assert one.protocol != other.protocol
    assert one.fingerprint()["stamp"] != other.fingerprint()["stamp"]


@pytest.mark.parametrize(
    ("protocol", "gone", "says"),
    [
        ("miga_emotion", 54, "0054: no label file names its match outcome"),
        ("cvpr2021_emotion", 9, "0009: no label file names its match outcome"),
        ("miga_emotion", 2, "train has 254 labelled videos, not 255"),
        ("subject_fold", 2, "train and test have 358 videos, not 359"),
        ("micro_gesture", 2, "train and test have 358 videos, not 359"),
    ],
)
def test_a_label_file_that_lost_rows_is_refused_or_marked(
    tmp_path: Path, protocol: Any, gone: int, says: str
) -> None:
    release(tmp_path, without={gone})
    convert(tmp_path)
    with pytest.raises(DataError, match=says):
        Imigue(root=tmp_path, protocol=protocol).samples("test")
    marked = Imigue(root=tmp_path, protocol=protocol, allow_missing=True)
    assert "/incomplete" in marked.protocol
    assert marked.fingerprint()["stamp"] in marked.protocol


def test_a_clip_beyond_its_skeleton_is_lacking(tmp_path: Path) -> None:
    convert(release(tmp_path))
    assert Imigue(root=tmp_path, protocol="micro_gesture").protocol == "imigue:micro_gesture"
    rows = [row(video, *of) for video, of in metadata().items()]
    write_labels(tmp_path, [*rows, row(54, *metadata()[54], 3, (4, 6))])
    with pytest.raises(DataError, match="0054/4/6: the skeleton file ends before it, after 4"):
        Imigue(root=tmp_path, protocol="micro_gesture").samples("test")


def test_features_that_came_without_videos_are_known_by_the_names_of_items(
    whole: Path, tmp_path: Path
) -> None:
    shutil.copytree(whole / "Label", tmp_path / "Label")
    dataset = Imigue(root=tmp_path, protocol="miga_emotion", keypoints="none")
    assert dataset.protocol == "imigue:miga_emotion"
    refs = dataset.samples("train") + dataset.samples("test")
    assert len(refs) == 359
    assert all(ref.video == tmp_path / f"{ref.id}.mp4" for ref in refs)
    assert dataset.fingerprint() == dataset.fingerprint()
    check_dataset(dataset)


def test_raw_xlsx_are_read_and_the_conversion_is_advised(
    small: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert miga(small).samples("train")
    assert "5 skeletons are read from xlsx" in caplog.text
    assert f"emoframe data convert {small}" in caplog.text
    caplog.clear()
    convert(small)
    miga(small).samples("train")
    assert not caplog.text


def test_folds_are_of_the_protocol_with_folds(whole: Path) -> None:
    for given in ({"fold": 1}, {"folds": 7}, {"fold_seed": 2}):
        with pytest.raises(DataError, match="'miga_emotion' has no folds"):
            Imigue(root=whole, protocol="miga_emotion", keypoints="none", **given)


def test_too_many_folds_are_refused_without_a_count_of_outcomes(whole: Path) -> None:
    dataset = Imigue(root=whole, protocol="subject_fold", keypoints="none", folds=110)
    with pytest.raises(DataError, match="72 subjects, or the videos of the rarer outcome, are"):
        dataset.samples("train")


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
    (target / "openpose_137" / "0067.origin").unlink()  # killed before it was noted
    states = {found.video: found.state for found in convert(small, target)}
    assert states == {2: "kept", 3: "done", 54: "done", 67: "done", 347: "kept"}
    dataset = miga(small, converted=target)
    assert len(dataset.load(dataset.samples("test")[0])["keypoints"]) == 9
    assert dataset.fingerprint() != miga(small, protocol="cvpr2021_emotion").fingerprint()


def test_two_processes_convert_to_the_same_bytes(small: Path, tmp_path: Path) -> None:
    found = convert(small, tmp_path / "one"), convert(small, tmp_path / "two", workers=2)
    assert found[0] == found[1]
    files = sorted((tmp_path / "one" / "openpose_137").iterdir())
    assert len(files) == 10
    for file in files:
        other = tmp_path / "two" / "openpose_137" / file.name
        assert file.read_bytes() == other.read_bytes()


def test_deleting_the_sources_changes_nothing(small: Path, tmp_path: Path) -> None:
    before = miga(small).fingerprint()
    convert(small)
    shutil.rmtree(small / "mg_skeleton_only")
    assert miga(small).fingerprint() == before
    assert {found.state for found in convert(small)} == {"kept"}
    told = check(small)
    assert not [problem for problem in told if "neither skeletons" in problem or ".npy" in problem]
    (small / "emoframe_npy/openpose_137/0003.npy").unlink()
    assert "openpose_137 skeleton missing of 1 of 5 videos: 0003" in check(small)


@pytest.mark.parametrize("sources", [True, False])
def test_a_converted_skeleton_that_changed_is_other_data_and_is_told(
    small: Path, sources: bool
) -> None:
    before = miga(small).fingerprint()
    convert(small)
    if not sources:
        shutil.rmtree(small / "mg_skeleton_only")
    npy = small / "emoframe_npy/openpose_137/0002.npy"
    np.save(npy, np.load(npy) + 1)
    assert miga(small).fingerprint() != before
    assert any("0002.npy: is not what was converted" in problem for problem in check(small))
    assert convert(small)[0].state == ("done" if sources else "kept")
    assert (miga(small).fingerprint() == before) is sources


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
    assert "/incomplete" in dataset.protocol
    clip = dataset.load(dataset.samples("test")[2])["keypoints"]
    assert len(clip) == 2
    np.testing.assert_allclose(clip.xy[0, 3], frames(seed=67)[1, 9:11])
    assert len(dataset.load(dataset.samples("train")[1])["keypoints"]) == 2
    with pytest.raises(DataError, match="137 points"):
        miga(small, protocol="micro_gesture", keypoints="none")


def test_micro_gestures_divide_37_subjects_from_35(tmp_path: Path) -> None:
    convert(release(tmp_path))
    dataset = Imigue(root=tmp_path, protocol="micro_gesture")
    check_dataset(dataset)
    assert len({ref.subject for ref in dataset.samples("train")}) == 37
    assert len({ref.subject for ref in dataset.samples("test")}) == 35
    assert len(dataset.samples("train") + dataset.samples("test")) == 357


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
    found = convert(tmp_path)
    assert [(one.form, one.detail) for one in found] == [("light_35", "6 frames")] * 4
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


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (row(2, 2, "Win", 32), "line 3: class 32 is none of 1 to 31 and 99"),
        (row(2, 2, "Win", 8, (9, 3)), "line 3: the clip of frames 9 to 3"),
        ((2, 1, 0, 0.5, 0, 3, 8, 2, "F", "NN", "Win"), "line 3: start_frame, end_frame and class"),
        ((2, 1, 0, "", 0, 3, 8, 2, "F", "NN", "Win"), "line 3: start_frame, end_frame and class"),
    ],
)
def test_an_odd_clip_stops_only_who_goes_by_clips(small: Path, bad: Any, told: str) -> None:
    write_labels(small, [row(2, 2, "Win"), bad, row(54, 1, "Lose")])
    convert(small)
    assert [ref.id for ref in miga(small).samples("train")] == ["0002"]
    with pytest.raises(DataError, match=told):
        miga(small, protocol="micro_gesture").samples("train")
    assert any(told in problem for problem in check(small))


def test_whole_numbers_may_be_written_as_a_spreadsheet_writes_them(small: Path) -> None:
    before = miga(small).samples("train")
    path = small / "Label/labels_20200831.csv"
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    floats = [[f"{n}.0" if k in (0, 3, 5, 6, 7) else n for k, n in enumerate(r)] for r in rows]
    write_labels(small, floats, tuple(header))
    assert miga(small).samples("train") == before


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
        "openpose_137 skeleton missing of 1 of 2 videos: 0009",
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
    with pytest.raises(DataError, match="holds no skeletons to convert"):
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


def emoframe(*args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "emoframe", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_converts_what_miga_hands_out(tmp_path: Path) -> None:
    done = emoframe("data", "convert", miga_tree(tmp_path, "skeleton_{}", "rgb"))
    assert done.returncode == 0, done.stderr
    assert "skeleton 4/4 light_35 54 done 6 frames" in done.stderr
    assert len(list((tmp_path / "emoframe_npy/light_35").glob("*.npy"))) == 4


def annotation(name: str, label: int, total: int = 3, people: int = 1) -> dict[str, Any]:
    point = np.random.default_rng(label).uniform(1, 9, (people, total, 5, 2)).astype(np.float16)
    score = np.full((people, total, 5), 0.5, np.float16)
    point[0, 0, 0], score[0, 1, 1], score[1:] = 0, 0, 0.9
    return {
        "frame_dir": name, "label": label, "total_frames": total, "keypoint": point,
        "keypoint_score": score, "img_shape": (720, 1280),
    }  # fmt: skip


def write_pickle(path: Path, whole: Any = None, protocol: int = 4) -> Path:
    items = [annotation(name, n % 2, 3 + n) for n, name in enumerate("abcd")]
    known = {"annotations": items, "split": {"xsub_train": ["a", "b"], "xsub_val": ["c", "d"]}}
    path.write_bytes(pickle.dumps(known if whole is None else whole, protocol))
    return path


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_of_pyskl_becomes_sequences(tmp_path: Path, protocol: int) -> None:
    path, npz = write_pickle(tmp_path / "in.pkl", protocol=protocol), tmp_path / "out.npz"
    assert convert_pickle(path, npz, unsafe=True).test == 2
    dataset = Sequences(path=npz)
    check_dataset(dataset)
    first, second = dataset.samples("train")
    keypoints = dataset.load(first)["keypoints"]
    assert (len(keypoints), len(dataset.load(second)["keypoints"])) == (3, 4)
    assert np.argwhere(~keypoints.valid).tolist() == [[0, 0], [1, 1]]
    np.testing.assert_allclose(keypoints.xy[2], annotation("a", 0)["keypoint"][0, 2])
    assert list(dataset.test_labels().values()) == [0, 1]
    assert np.load(npz)["name"].tolist() == ["a", "b", "c", "d"]


def test_of_several_people_the_one_who_is_seen_best_is_kept(tmp_path: Path) -> None:
    items = [annotation("a", 0, people=2), annotation("b", 1)]
    whole = {"annotations": items, "split": {"train": ["a"], "test": ["b"]}}
    path, npz = write_pickle(tmp_path / "in.pkl", whole), tmp_path / "out.npz"
    assert convert_pickle(path, npz, unsafe=True).crowded == 1
    np.testing.assert_allclose(np.load(npz)["x"][0], items[0]["keypoint"][1])


def test_a_pickle_is_read_only_where_its_origin_is_trusted(tmp_path: Path) -> None:
    path = write_pickle(tmp_path / "in.pkl")
    refused = emoframe("data", "convert", path, tmp_path / "out.npz")
    assert refused.returncode == 2
    assert "may run any code" in refused.stderr
    assert "trust who made it, say so with --unsafe" in refused.stderr
    done = emoframe("data", "convert", path, tmp_path / "out.npz", "--unsafe")
    assert "2 training and 2 test items" in done.stderr
    assert (tmp_path / "out.npz").is_file()


def test_of_more_than_two_splits_two_are_named(tmp_path: Path) -> None:
    items = [annotation(name, n % 2) for n, name in enumerate("abc")]
    whole = {"annotations": items, "split": {"train": ["a"], "val": ["b"], "test": ["c"]}}
    path, npz = write_pickle(tmp_path / "in.pkl", whole), tmp_path / "out.npz"
    done = emoframe("data", "convert", path, npz, "--unsafe", "--splits", "train,val")
    assert "1 training and 1 test items; 1 are in neither split" in done.stderr
    assert np.load(npz)["name"].tolist() == ["a", "b"]
    refused = emoframe("data", "convert", tmp_path, npz, "--unsafe")
    assert "are about a pickle; this is none" in refused.stderr


class Evil:
    def __init__(self, call: Any, *args: Any) -> None:
        self.call, self.args = call, args

    def __reduce__(self) -> Any:
        return self.call, self.args


@pytest.mark.parametrize("protocol", range(6))
def test_a_malicious_pickle_runs_nothing(tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "ran"
    calls = [
        (os.system, f"touch {mark}"),
        (os.mkdir, str(mark)),
        (eval, f"open({str(mark)!r},'w')"),
    ]
    for call, argument in calls:
        evil = {"annotations": [Evil(call, argument)], "split": {}}
        path = write_pickle(tmp_path / "evil.pkl", evil, protocol)
        with pytest.raises(DataError, match=r"it names \S+\.\w+, which no array needs"):
            convert_pickle(path, tmp_path / "out.npz", unsafe=True)
        assert not mark.exists()
        pickle.loads(path.read_bytes())  # it would have run elsewhere
        assert mark.exists()
        mark.rmdir() if mark.is_dir() else mark.unlink()
    assert not (tmp_path / "out.npz").exists()
    assert not {module for module, _ in HARMLESS} & {"os", "posix", "subprocess", "sys"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"split": {"a_train": ["a"], "b_train": ["b"], "test": ["c"]}}, "--splits TRAIN,TEST"),
        ({"split": {"train": ["a"], "test": ["a"]}}, "is in 'train' and 'test'"),
        ({"split": {"train": ["a"], "test": ["z"]}}, "names 'z', which is no annotation"),
        ({"annotations": [annotation("a", 0)] * 1 + [annotation("a", 1)]}, "'a' is there twice"),
        ({"annotations": [{"frame_dir": "a"}]}, "annotation 0 lacks keypoint, label"),
        ({"annotations": [annotation("a", 0) | {"total_frames": 9}]}, "contradict one another"),
        ({"annotations": [annotation("a", 0) | {"keypoint": np.zeros((3, 5, 2))}]}, "is not \\(M"),
    ],
)
def test_a_pickle_of_another_form_is_a_sentence(tmp_path: Path, change: Any, says: str) -> None:
    items = [annotation(name, n % 2) for n, name in enumerate("abc")]
    whole = {"annotations": items, "split": {"train": ["a"], "test": ["b"]}}
    if "annotations" in change:
        whole["split"] = {"train": ["a"], "test": []}
    path = write_pickle(tmp_path / "in.pkl", whole | change)
    with pytest.raises(DataError, match=says):
        convert_pickle(path, tmp_path / "out.npz", unsafe=True)


def test_a_damaged_pickle_is_a_sentence(tmp_path: Path) -> None:
    path = write_pickle(tmp_path / "in.pkl")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="cannot be read as a pickle"):
        convert_pickle(path, tmp_path / "out.npz", unsafe=True)

"""What a look at extracted keypoints promises: every video is told of, and no face is shown."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from emoframe import api
from emoframe.cli.eda import command
from emoframe.core.errors import DataError
from emoframe.evidence.pictures.eda import eda
from emoframe.evidence.pictures.survey import box_drift, video_numbers
from emoframe.learning.experiment import Experiment
from emoframe.perception.faces import PLAIN
from emoframe.perception.pipeline import How
from emoframe.records import Keypoints
from emoframe.skeleton import OPENPOSE_137

FRAMES, SIZE = 12, (96, 64)
JOINTS = {"pose": 25, "face": 70, "hand_left": 21, "hand_right": 21}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make videos `a` and `b`, a `broken` one, one that is `later`, and two sets of results."""
    folder = tmp_path_factory.mktemp("lab")
    for name in ("a", "b", "later"):
        write_video(folder / f"{name}.mp4")
    (folder / "broken.mp4").write_bytes(b"no video")
    rows = [f"{name}.mp4,,{split}" for name, split in (("a", "train"), ("b", "test"))]
    rows += ["broken.mp4,,train", "later.mp4,,test"]
    (folder / "videos.csv").write_text("\n".join(["video,label,split", *rows]))
    for shift, results in enumerate(("first", "second")):
        write_results(folder / results / "a", 10 * shift)
        write_results(folder / results / "b", 10 * shift, nobody=3)
        done = [folder / f"{name}.mp4" for name in ("a", "b", "broken")]
        api.extract(config(folder, results), done, How(workers=0))
    return folder


def write_video(path: Path) -> None:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=25, width=SIZE[0], height=SIZE[1])
        stream.pix_fmt = "yuv420p"
        noise = np.random.default_rng(ord(path.stem[0])).integers(0, 255, (*SIZE[::-1], 3))
        for _ in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(noise.astype(np.uint8), format="rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def write_results(folder: Path, shift: float, nobody: int = 0) -> None:
    """Write what OpenPose would: nobody in the first frames, and never a right hand."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for t in range(FRAMES):
        points = {name: rng.uniform(5, 60, (n, 3)) + [shift, 0, 0] for name, n in JOINTS.items()}
        for some in points.values():
            some[:, 2] = 0.5
        points["hand_right"][:] = 0
        person = {f"{name}_keypoints_2d": some.ravel().tolist() for name, some in points.items()}
        people = {"people": [] if t < nobody else [person]}
        (folder / f"{folder.name}_{t:012d}_keypoints.json").write_text(json.dumps(people))


def config(folder: Path, results: str = "first", *more: str) -> Experiment:
    return api.load("videos", overrides(folder, results, *more))


def overrides(folder: Path, results: str = "first", *more: str) -> list[str]:
    return [
        f"dataset.path={folder / 'videos.csv'}",
        "features.keypoints=openpose_json",
        f"perception.store={folder / 'store'}",
        f"perception.pose_estimator={{type: openpose_json, folder: {folder / results}}}",
        *more,
    ]


@pytest.fixture(scope="module")
def looked(lab: Path) -> tuple[Path, pd.DataFrame]:
    """A finished look at both sources; not to be changed."""
    out = lab / "out"
    return out, eda(config(lab), out, compare=config(lab, "second"))


def test_every_video_is_a_row_with_its_numbers_or_its_reason(
    looked: tuple[Path, pd.DataFrame],
) -> None:
    rows = looked[1].set_index("id")
    assert list(rows.index) == ["a.mp4", "broken.mp4", "b.mp4", "later.mp4"]
    assert list(rows["split"]) == ["train", "train", "test", "test"]
    assert "cannot be read as a video" in rows.loc["broken.mp4", "reason"]
    assert "run emoframe extract" in rows.loc["later.mp4", "reason"]
    assert rows["frames"].isna().tolist() == [False, True, False, True]
    assert rows.loc["a.mp4", "hands_joints"] == pytest.approx(0.5)
    assert rows.loc["b.mp4", "body_frames"] == pytest.approx(9 / 12)
    assert rows.loc["b.mp4", "hands_confidence"] == pytest.approx(0.5)


def test_tables_are_for_people_and_for_programs(looked: tuple[Path, pd.DataFrame]) -> None:
    out, table = looked
    assert list(pd.read_csv(out / "videos.csv")["id"]) == list(table["id"])
    rows = json.loads((out / "videos.json").read_text())
    assert rows[1]["frames"] is None
    assert rows[0]["frames"] == FRAMES
    compared = json.loads((out / "comparison.json").read_text())
    assert set(compared["absent"]) == {"broken.mp4", "later.mp4"}
    found = {(row["measure"], row["part"]): row for row in compared["rows"]}
    assert found["distance", "body"]["together"]["value"] == pytest.approx(10 / SIZE[0], rel=1e-3)
    assert found["visible", "right hand"]["first"]["value"] == 0
    assert "0.104" in (out / "comparison.csv").read_text()


def test_the_page_holds_every_picture_and_says_what_each_shows(
    looked: tuple[Path, pd.DataFrame],
) -> None:
    page = (looked[0] / "eda.html").read_text()
    pictures = re.findall(r"<img ([^>]*)>", page)
    names = ["lengths", "valid", "confidence", "box_drift", "gaps", "comparison", "agreement"]
    assert len(pictures) == len(names) + 4  # two videos, drawn from each source
    assert all('src="data:image/png;base64,' in one and 'alt="' in one for one in pictures)
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "prefers-color-scheme: dark" in page
    for text in ("2 of 4 videos have no keypoints", "broken.mp4", "all 2 the same"):
        assert text in page
    for name in [*names, "sheet-1a", "sheet-2b"]:
        with Image.open(looked[0] / f"{name}.png") as picture:
            assert picture.format == "PNG"


def test_faces_follow_the_config_unless_the_call_says_otherwise(lab: Path, tmp_path: Path) -> None:
    def plain(experiment: Experiment, faces: Sequence[str] = ()) -> float:
        eda(experiment, tmp_path, most=1, **({"faces": faces[0]} if faces else {}))
        sheet = np.asarray(Image.open(tmp_path / "sheet-1a.png"))
        return float((sheet == PLAIN).all(axis=2).mean())

    skeleton = config(lab, "first", "privacy.faces=skeleton")
    assert plain(config(lab)) < 0.05
    assert plain(skeleton) > 0.3
    assert plain(skeleton, ["blur"]) < 0.05
    assert "are blurred" in (tmp_path / "eda.html").read_text()


def test_pictures_of_an_earlier_look_do_not_stay(lab: Path, tmp_path: Path) -> None:
    eda(config(lab), tmp_path, faces="show")
    assert "not for everybody" in (tmp_path / "eda.html").read_text()
    eda(config(lab), tmp_path, most=0)
    assert not list(tmp_path.glob("sheet-*"))
    assert not list(tmp_path.glob("*.partial"))


def test_where_nothing_is_extracted_a_sentence_says_so(lab: Path, tmp_path: Path) -> None:
    empty = config(lab, "first", f"perception.store={tmp_path / 'empty'}")
    with pytest.raises(DataError, match=r"none of the 4 videos .* run emoframe extract"):
        eda(empty, tmp_path / "out")
    with pytest.raises(DataError, match=r"no video can be compared"):
        eda(config(lab), tmp_path / "out", compare=empty)
    assert not (tmp_path / "out").exists()


def test_a_model_of_texts_alone_has_nothing_to_draw(lab: Path, tmp_path: Path) -> None:
    text = "{keypoints: null, text: {text_encoder: {type: tfidf}}}"
    given = ("features={keypoints: null, text: dataset}", f"model.branches={text}")
    with pytest.raises(DataError, match="no input of the model is keypoints"):
        eda(config(lab, "first", *given), tmp_path / "eda")


def test_a_folder_that_cannot_be_written_is_a_sentence(lab: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="choose another folder"):
        eda(config(lab), tmp_path / "file")


def test_keypoints_that_a_data_set_brings_along_need_no_video(
    tmp_path: Path, tiny: list[str]
) -> None:
    table = eda(api.load("quickstart", tiny), tmp_path)
    assert len(table) == 30
    assert (table["reason"] == "").all()
    assert (table["frames"] == 24).all()


def test_the_command_prints_rows_and_names_the_page(lab: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(command)
    done = CliRunner().invoke(
        app, ["videos", *overrides(lab), "--out", str(tmp_path), "--videos", "1", "--json"]
    )
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)
    assert rows[1]["id"] == "broken.mp4"
    assert rows[1]["frames"] is None
    assert (tmp_path / "eda.html").is_file()


def moving(step: float) -> Keypoints:
    """Make someone whose box of 10 x 20 moves `step` to the right in each of 8 frames."""
    left = step * np.arange(8, dtype=np.float32)
    box = np.stack([left, 0 * left, left + 10, 0 * left + 20], axis=1)
    nothing = np.zeros((8, 137), np.float32)
    xy = np.full((8, 137, 2), np.nan, np.float32)
    cut = np.zeros(8, bool)
    return Keypoints(xy, nothing, nothing > 0, np.arange(8) / 4, "openpose_137", box, cut)


def test_drift_is_in_box_widths_and_cuts_are_none() -> None:
    assert set(box_drift(moving(0)).values()) == {0.0}
    even = box_drift(moving(1))
    assert even["box_speed"] == pytest.approx(4 / 10)
    assert even["box_centre_spread"] == pytest.approx(np.std(np.arange(8)) / 10)
    assert even["box_size_spread"] == 0
    jump = moving(0)
    jump.box[4:, [0, 2]] += 100
    assert box_drift(jump)["box_centre_spread"] == pytest.approx(5)
    jump.cut[4] = True
    assert set(box_drift(jump).values()) == {0.0}


def test_frames_without_a_person_break_a_stretch_and_are_counted() -> None:
    gone = moving(0)
    gone.box[4:, [0, 2]] += 100
    gone.box[3:5] = np.nan
    assert set(box_drift(gone).values()) == {0.0}
    assert video_numbers(gone, OPENPOSE_137)["no_person_frames"] == 2
    unboxed = video_numbers(replace(gone, box=None, cut=None), OPENPOSE_137)
    assert unboxed["no_person_frames"] == 8
    assert np.isnan(unboxed["box_speed"])
    assert np.isnan(unboxed["face_confidence"])

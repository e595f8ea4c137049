"""A plan says what a run would take, what that rests on, and what nobody knows yet."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from emoframe import api
from emoframe.cli.app import build_app
from emoframe.plan import plan

SMALL = [
    "dataset.train=24", "dataset.test=6", "dataset.frames=24", "dataset.videos_per_subject=2",
    "view.keypoints.frames=16", "train.epochs=1", "train.batch_size=6",
    "model.branches.keypoints.keypoint_backbone.hidden=8",
    "model.branches.keypoints.temporal_encoder.dim=8",
    "model.branches.keypoints.temporal_encoder.heads=2", "model.branches.keypoints.out_dim=8",
]  # fmt: skip
TWO_ROWS = """
base: quickstart
seeds: 1
stages:
  first: {branches: [keypoints]}
  second: {init: {keypoints: first}, train: {lr: 1.0e-4}}
rows:
  slow: []
  fast: [stages.second.train.lr=1.0e-2]
"""


OWN = """
dataset: {type: manifest, path: FOLDER/videos.csv, classes: [a, b]}
features: {frames: own}
perception:
  store: FOLDER/store
  pose_estimator: null
  frame_encoders:
    own: {type: hog, size: 32, cells: 4, bins: 4}
model:
  branches:
    frames: {keypoint_backbone: null}
"""


@pytest.fixture
def films(tmp_path: Path, make_video: Callable[..., Path]) -> Path:
    """A config of a table of two videos, read by an encoder without weights."""
    rows = ["video,label,split"]
    for n, split in enumerate(["train", "test"]):
        rows.append(f"{make_video(f'{n}.mp4', frames=30 + n).name},{'ab'[n]},{split}")
    (tmp_path / "videos.csv").write_text("\n".join(rows))
    file = tmp_path / "own.yaml"
    file.write_text(OWN.replace("FOLDER", str(tmp_path)))
    return file


def test_stages_that_rows_share_are_counted_once_and_so_they_are_trained(tmp_path: Path) -> None:
    file = tmp_path / "rows.yaml"
    file.write_text(TWO_ROWS)
    found = plan("quickstart", SMALL, [file], runs=tmp_path / "runs").training
    assert (found.trainings, found.seeds, found.folds) == (1 + 2, 1, 0)
    first = next(one for one in found.stages if one.stage == "first")
    assert (first.rows, first.trainings, first.wanted) == (("slow", "fast"), 1, 2)
    assert found.hours is None
    assert "--probe" in first.rests_on
    api.ablate(file, tmp_path / "runs", SMALL)
    assert len(list((tmp_path / "runs").rglob("run.json"))) == found.trainings
    known = plan("quickstart", SMALL, [file], runs=tmp_path / "runs").training
    assert known.hours is not None
    assert known.hours > 0
    assert all(one.rests_on.startswith("measured: 1 epochs of") for one in known.stages)


def test_steps_are_those_of_the_items_that_are_learned_from(tmp_path: Path) -> None:
    found = plan("quickstart", [*SMALL, "train.epochs=3"], runs=tmp_path, seeds=2).training
    (one,) = found.stages
    run = api.train("quickstart", tmp_path / "run", SMALL)
    assert one.items == run.card["items"]["train"]
    assert one.steps == 2 * 3 * -(-one.items // 6)


def test_a_probe_times_one_batch(tmp_path: Path) -> None:
    (one,) = plan("quickstart", SMALL, runs=tmp_path, probe=True).training.stages
    assert one.ms_per_step is not None
    assert one.rests_on.startswith("probed: 2 steps of 6 items")
    assert not list(tmp_path.iterdir())


def test_what_nobody_measured_is_unknown_and_then_the_store_knows_it(
    films: Path, tmp_path: Path
) -> None:
    found = plan(films, runs=tmp_path / "runs").extraction
    assert found is not None
    assert (found.videos, found.frames, found.hours) == (2, 61, None)
    assert found.seconds == pytest.approx(61 / 25, abs=0.1)
    assert {one.stage: one.level for one in found.stages} == {"whole_frame": 0, "crop": 1, "own": 2}
    assert all(one.speed_rests_on.startswith("unknown") for one in found.stages)
    assert not (tmp_path / "store").exists()
    experiment = api.load(films)
    api.extract(experiment, api.videos(experiment)[:1], api.How(workers=0))
    found = plan(films, runs=tmp_path / "runs").extraction
    assert found is not None
    own = found.stages[-1]
    assert (own.videos, own.done, own.frames) == (1, 1, 31)
    assert own.speed_rests_on.startswith("measured: 1 videos in the store")
    shards = (tmp_path / "store").glob("*/own-*/*.safetensors")
    assert own.bytes == pytest.approx(sum(file.stat().st_size for file in shards) / 30 * 31)
    assert found.hours is not None
    assert found.hours > 0


def test_speeds_of_other_settings_are_taken_and_said_to_be_such(
    films: Path, tmp_path: Path
) -> None:
    experiment = api.load(films)
    api.extract(experiment, api.videos(experiment)[:1], api.How(workers=0))
    other = ["perception.frame_encoders.own.bins=5"]
    found = plan(films, other, runs=tmp_path / "runs").extraction
    assert found is not None
    assert found.stages[-1].videos == 2
    assert found.stages[-1].speed_rests_on.endswith("made with other settings")


def test_a_probe_times_the_parts_on_frames_of_a_video_and_writes_nothing(
    films: Path, tmp_path: Path
) -> None:
    found = plan(films, runs=tmp_path / "runs", probe=True).extraction
    assert found is not None
    assert found.hours is not None
    assert all(one.speed_rests_on == "probed: 30 frames of 0.mp4 on cpu" for one in found.stages)
    assert not (tmp_path / "store").exists()


def test_weights_that_are_not_here_yet_leave_the_rest_of_a_plan(
    films: Path, tmp_path: Path
) -> None:
    lacking = f"perception.frame_encoders.late={{type: dinov2, weights: {tmp_path / 'absent'}}}"
    found = plan(films, [lacking], runs=tmp_path / "runs").extraction
    assert found is not None
    assert [one.stage for one in found.stages] == ["whole_frame", "crop", "own"]
    assert found.hours is None
    assert any("absent" in text for text in found.warnings)


def test_a_broken_video_is_told_and_the_others_are_summed_up(films: Path, tmp_path: Path) -> None:
    (tmp_path / "1.mp4").write_bytes(b"no video")
    found = plan(films, runs=tmp_path / "runs").extraction
    assert found is not None
    assert (found.videos, found.frames) == (2, 30)
    assert any("1.mp4" in text for text in found.warnings)


def test_money_is_the_bound_of_the_label_plan(tmp_path: Path) -> None:
    store = f"weak_labels.store={tmp_path / 'labels.sqlite'}"
    given = [store, "dataset.train=10", "dataset.unlabelled=4", "dataset.test=6"]
    found = plan("w2s/planted", given, runs=tmp_path)
    assert found.labels is not None
    assert found.labels.questions == 20
    assert found.labels.usd == 0
    assert found.extraction is None
    assert "nothing is extracted" in found.notes[0]
    imported = plan("w2s/planted", [*given, "weak_labels.labeler=ann"], runs=tmp_path)
    assert imported.labels is None
    assert any("'ann'" in text for text in imported.notes)


def test_the_command_prints_it_for_people_and_for_programs(tmp_path: Path) -> None:
    def emoframe(*args: str) -> str:
        command = ["plan", "quickstart", *SMALL, "--runs", str(tmp_path), *args]
        done = CliRunner().invoke(build_app(), command)
        assert done.exit_code == 0, done.output
        return done.stdout

    shown = emoframe()
    assert "training: 1 networks, 1 seeds" in shown
    assert "in all: 0.00 device-hours, and what is unknown above" in shown
    assert json.loads(emoframe("--json"))["training"]["trainings"] == 1

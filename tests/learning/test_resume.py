"""A training that is killed at any instant ends as if it had never been killed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from emoframe.label import label
from emoframe.learning.checkpoint import epochs

DRIVER = Path(__file__).with_name("kills.py")
SINGLE = """
base: quickstart
dataset: {type: planted, train: 24, test: 4, frames: 24, videos_per_subject: 2}
view: {keypoints: {frames: 16}}
model:
  branches:
    keypoints:
      keypoint_backbone: {hidden: 8, dropout: 0.3}
      temporal_encoder: {dim: 8, heads: 2}
      out_dim: 8
train: {epochs: 16, batch_size: 6, workers: 2, patience: 30}
"""
RECIPE = """
base: single.yaml
dataset: {unlabelled: 9}
weak_labels: {store: STORE, vlm_labeler: {type: simulated, accuracy: 0.8}}
train: {epochs: 3, workers: 0, patience: 9}
stages:
  gold: {}
  both:
    init: {keypoints: gold}
    weak: {weighting: confidence}
    train: {lr: 1.0e-4, ema: 0.8, accumulate: 2}
"""
FEW = ["kept=best:1", "step:3", "half=epoch:1", "validation:2", "kept=epoch:2", "start:2"]
TWENTY = [
    "start:1", "step:2", "half=epoch:1", "validation:1", "kept=best:1", "kept=epoch:1", "step:6",
    "half=epoch:1", "validation:1", "time:200", "step:3", "kept=epoch:1", "time:300",
    "half=epoch:1", "start:2", "step:1", "validation:1", "step:5", "time:250", "half=epoch:1",
]  # fmt: skip
IN_EACH_STAGE = ["half=history:1", "half=resolved:1", "kept=weak_labels:1", "step:2", "kept=best:1"]
COMMITS = [f"{how}={name}:1" for name in ("run.json", "resolved") for how in ("half", "kept")]
LEARNING = [
    "start:1", "step:2", "half=best:1", "kept=best:1", "validation:1", "half=epoch:1",
    "kept=epoch:1", "step:1", "kept=epoch:1", "half=epoch:1", "half=history:1", "kept=history:1",
]  # fmt: skip
EVERYWHERE = [*COMMITS, *LEARNING, *COMMITS, "half=weak_labels:1", "kept=weak_labels:1", *LEARNING]


def train(folder: Path, config: Path, kills: list[str]) -> list[str]:
    """Train through kills and return what became of each process."""
    command = [sys.executable, str(DRIVER), str(folder), str(config), *kills]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [line for line in done.stdout.splitlines() if line.endswith(("killed", "ended"))]


def weights(path: Path) -> dict[str, Any]:
    """Load a checkpoint as anybody can: without an allow-list."""
    return torch.load(path, weights_only=True)["state_dict"]


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Config of one training."""
    path = tmp_path_factory.mktemp("configs") / "single.yaml"
    path.write_text(SINGLE)
    return path


@pytest.fixture(scope="module")
def recipe(single: Path) -> Path:
    """Config of two trainings, the second with weak labels, an average and several steps."""
    path = single.with_name("recipe.yaml")
    path.write_text(RECIPE.replace("STORE", str(single.with_name("labels.sqlite"))))
    label(path)
    return path


@pytest.fixture(scope="module")
def uninterrupted(single: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    assert train(folder, single, []) == ["end: ended"]
    return folder


@pytest.fixture(scope="module")
def whole(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a recipe that was never interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert train(folder, recipe, []) == ["end: ended"]
    return folder


def same(one: Path, other: Path) -> None:
    """Compare final and selected weights, bit for bit, and the history."""
    last, same_last = (epochs(folder / "checkpoints") for folder in (one, other))
    assert [path.name for path in last] == [path.name for path in same_last]
    for mine, theirs in zip(last, same_last, strict=True):
        for key, value in weights(mine).items():
            assert torch.equal(value, weights(theirs)[key]), key
    best, same_best = (weights(folder / "checkpoints" / "best.pth") for folder in (one, other))
    assert all(torch.equal(value, same_best[key]) for key, value in best.items())
    assert epochs_of(one) == epochs_of(other)


def epochs_of(folder: Path) -> list[dict[str, float]]:
    """Return the history without the time that a step took, which no two processes share."""
    rows = json.loads((folder / "history.json").read_text())
    assert all(row.pop("ms_per_step") > 0 for row in rows)
    return rows


@pytest.mark.parametrize(
    "kills",
    [pytest.param(FEW, id="six"), pytest.param(TWENTY, id="twenty", marks=pytest.mark.slow)],
)
def test_kills_change_neither_the_final_nor_the_selected_weights(
    kills: list[str], uninterrupted: Path, single: Path, tmp_path: Path
) -> None:
    happened = train(tmp_path / "run", single, kills)
    killed = [line for line in happened if line.endswith("killed")]
    assert len(killed) == len(kills), happened
    same(uninterrupted, tmp_path / "run")


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(IN_EACH_STAGE, id="in each stage"),
        pytest.param(EVERYWHERE, id="at each commit", marks=pytest.mark.slow),
    ],
)
def test_kills_in_any_stage_of_a_recipe_change_no_stage(
    kills: list[str], whole: Path, recipe: Path, tmp_path: Path
) -> None:
    happened = train(tmp_path / "run", recipe, kills)
    killed = [line for line in happened if line.endswith("killed")]
    assert len(killed) == len(kills), happened
    same(whole, tmp_path / "run")
    (before,), (before_too,) = (
        list((folder / "stages").iterdir()) for folder in (whole, tmp_path / "run")
    )
    assert before.name == before_too.name
    same(before, before_too)
    tables = [(folder / "weak_labels.csv").read_text() for folder in (whole, tmp_path / "run")]
    assert tables[0] == tables[1] and len(tables[0].splitlines()) == 10


def test_one_epoch_is_kept_and_no_temp_file(uninterrupted: Path) -> None:
    names = sorted(path.name for path in (uninterrupted / "checkpoints").iterdir())
    assert len(names) == 2
    assert names[0] == "best.pth"


def test_a_finished_training_is_left_as_it_is(uninterrupted: Path, single: Path) -> None:
    before = (uninterrupted / "checkpoints" / "best.pth").stat().st_mtime_ns
    train(uninterrupted, single, [])
    assert (uninterrupted / "checkpoints" / "best.pth").stat().st_mtime_ns == before

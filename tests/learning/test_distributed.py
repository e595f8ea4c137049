"""Two processes under torchrun train what one would, on the CPU and with gloo."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from emoframe import api
from emoframe.core.plugins import loaded
from emoframe.label import label
from emoframe.learning.run import alone, load_run

HERE = Path(__file__).parent
LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
COMMON = """
base: quickstart
model:
  fusion_head: {dropout: 0}
  branches:
    keypoints:
      keypoint_backbone: {hidden: 8, dropout: 0}
      temporal_encoder: {dim: 8, heads: 2, dropout: 0}
      out_dim: 8
train: {epochs: 2, batch_size: 4, patience: 9}
"""
WEAK = """
base: common.yaml
dataset: {type: planted, train: 16, test: 4, frames: 24, videos_per_subject: 2, unlabelled: 7}
view: {keypoints: {frames: 16}}
weak_labels: {store: STORE, vlm_labeler: {type: simulated, accuracy: 0.8}}
weak: {weighting: confidence, weight: 0.5}
train: {val_fraction: 0.5}
"""
GAPS = """
base: common.yaml
dataset: {type: brought}
features: {keypoints: dataset, frames: dataset, text: dataset}
model:
  branches:
    frames:
      keypoint_backbone: null
      temporal_encoder: {type: transformer, dim: 8, layers: 1, heads: 2, dropout: 0}
      out_dim: 8
    text: {text_encoder: {type: tfidf, max_features: 16}, out_dim: 8}
train: {batch_size: 2, accumulate: 2, ema: 0.5}
stages:
  body: {branches: [keypoints]}
  all: {init: {keypoints: body}}
"""
OVERFLOWING = """
base: common.yaml
dataset: {type: overflowing, item: 4}
features: {keypoints: null, frames: dataset}
train: {val_fraction: 0.25}
model:
  branches:
    keypoints: null
    frames:
      keypoint_backbone: null
      temporal_encoder: {type: transformer, dim: 8, layers: 1, heads: 2, dropout: 0}
      out_dim: 8
"""


def torchrun(*args: str) -> subprocess.CompletedProcess[str]:
    """Run a command of emoframe in two processes."""
    return subprocess.run(
        [*LAUNCH, "-m", "--", "emoframe", *args],
        capture_output=True, text=True, check=False, timeout=600,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip


@pytest.fixture(scope="module")
def common(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What all configs here have in common."""
    path = tmp_path_factory.mktemp("configs") / "common.yaml"
    path.write_text(COMMON)
    return path


@pytest.fixture(scope="module")
def weak(common: Path) -> Path:
    """Config of weak labels that count differently, on a number of items that nothing divides."""
    path = common.with_name("weak.yaml")
    path.write_text(WEAK.replace("STORE", str(common.with_name("labels.sqlite"))))
    label(path)
    return path


def rows(folder: Path) -> list[dict[str, float]]:
    """Return the history without the time of a step."""
    history = json.loads((folder / "history.json").read_text())
    return [{key: x for key, x in row.items() if key != "ms_per_step"} for row in history]


def same_losses(one: Path, two: Path) -> None:
    """Compare the histories of two runs."""
    assert len(rows(one)) == len(rows(two))
    for mine, theirs in zip(rows(one), rows(two), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-5)


def test_two_processes_have_the_losses_of_one(weak: Path, tmp_path: Path) -> None:
    done = torchrun("train", str(weak), "--run", str(tmp_path / "two"), "--json")
    assert done.returncode == 0, done.stderr
    two = tmp_path / "two" / "seed-0"
    one = api.train(weak, tmp_path / "one")
    weights = [goal.weight for goal in api_goals(one)]
    assert len(weights) % 4 == 1 and len(set(weights)) > 2
    same_losses(one.folder, two)
    assert len(json.loads(done.stdout)) >= 1  # one process alone prints and writes
    assert done.stderr.count("epoch 2/2") == 1
    assert sorted(path.name for path in (two / "checkpoints").iterdir()) == [
        "best.pth", "epoch_2.pth",
    ]  # fmt: skip
    assert load_run(two).finished


def api_goals(run: api.Run) -> list[object]:
    """Return what each item of a run's training was to teach."""
    from emoframe.learning.data import prepare
    from emoframe.learning.weak import lesson, taught

    data = prepare(run.experiment)
    return list(taught(data, lesson(run.experiment, data)).train.goals.values())


def test_what_stops_one_process_stops_all_with_one_sentence(weak: Path, tmp_path: Path) -> None:
    with alone(tmp_path / "two" / "seed-0"):
        done = torchrun("train", str(weak), "--run", str(tmp_path / "two"))
    assert done.returncode != 0
    assert done.stderr.count("emoframe: another process is training in") == 1


@pytest.mark.slow
def test_what_is_wrong_for_all_processes_is_said_once(weak: Path, tmp_path: Path) -> None:
    done = torchrun("train", str(weak), "train.batch_size=5", "--run", str(tmp_path / "five"))
    assert done.returncode != 0
    assert done.stderr.count("which 2 processes cannot share evenly; take a multiple of 2") == 1


@pytest.mark.slow
def test_stages_and_inputs_that_some_lack_are_shared_as_well(common: Path, tmp_path: Path) -> None:
    path = common.with_name("gaps.yaml")
    path.write_text(GAPS)
    brought = HERE / "brought.py"
    done = torchrun(
        "--plugin", str(brought), "train", str(path), "--run", str(tmp_path / "two"), "--json"
    )
    assert done.returncode == 0, done.stderr
    plugin = loaded().load_file(brought)
    one = api.train(path, tmp_path / "one")
    same_losses(one.folder, tmp_path / "two" / "seed-0")
    loaded().plugins.remove(plugin)
    loaded().manager.unregister(name=plugin.name)


@pytest.mark.slow
def test_a_loss_that_breaks_in_one_process_stops_all_and_names_items(
    common: Path, tmp_path: Path
) -> None:
    path = common.with_name("overflowing.yaml")
    path.write_text(OVERFLOWING)
    plugin = str(HERE / "overflowing.py")
    done = torchrun("--plugin", plugin, "train", str(path), "--run", str(tmp_path / "two"))
    assert done.returncode != 0
    said = re.findall(r"emoframe: the training loss is nan in epoch 1, (.*?);", done.stderr)
    assert len(said) == 1 and "i4" in said[0]

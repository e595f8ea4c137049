"""A run is trained again from its record, and what is not the same is named, with why it may be."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from emoframe import api
from emoframe.cli.app import build_app
from emoframe.core.errors import RunError
from emoframe.evidence.metrics import openings
from emoframe.evidence.reproduce import NEAR, OTHER, SAME, compare_numbers, reproduce
from emoframe.learning.checkpoint import load_from_emoframe
from emoframe.learning.run import BEST, CARD, HISTORY

UNSCORED = shutil.ignore_patterns("openings*", "predictions-*", "scores-*", "card.md")
"""What others that share the run may have left."""

CONFIG = """
base: quickstart
dataset: {type: planted, train: 32, test: 4, frames: 24, videos_per_subject: 2, unlabelled: 8}
view: {keypoints: {frames: 16}}
model:
  branches:
    keypoints:
      keypoint_backbone: {hidden: 8}
      temporal_encoder: {dim: 8, heads: 2}
      out_dim: 8
train: {epochs: 1, batch_size: 8, val_fraction: 0.5}
folds: 2
stages:
  body: {branches: [keypoints]}
  joint:
    init: {keypoints: body}
    weak: {source: body, weight: 0.5}
    train: {lr: 1.0e-5}
"""

WEAK = {"mode": "inductive", "used": {"a": 1}, "items": 1, "weight": 1.0, "simulated": False}


def copy(finished: Path, to: Path) -> Path:
    """Return a run that may be changed."""
    shutil.copytree(finished, to, ignore=UNSCORED)
    return to


def edit(file: Path, **changes: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_a_recipe_of_two_stages_is_the_same_in_all_that_it_says(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(CONFIG)
    run = api.train(tmp_path / "recipe.yaml", tmp_path / "run")
    api.evaluate(run, "held")
    seen: list[object] = []
    found = reproduce(run, on_epoch=lambda row: seen.append(row["stage"]))
    assert found.verdict == SAME and found.first is None, found.checks
    assert seen == ["body", "joint"]
    assert [one.what for one in found.checks] == [
        "weights of stage body", "weights", "history", "probabilities on val",
        "probabilities on held", "probabilities on test",
    ]  # fmt: skip
    assert [one.what for one in found.environment] in ([], ["device"])
    assert json.loads((found.folder / "reproduced.json").read_text())["verdict"] == SAME
    with pytest.raises(RunError, match="holds a finished training"):
        reproduce(run)
    stage = next((run.folder / "stages").iterdir())
    edit(stage / CARD, init={"keypoints": {"run": "x", "weights": "y"}})
    with pytest.raises(RunError, match="is the stage 'body', which builds on others"):
        reproduce(stage, tmp_path / "alone")


def test_what_differs_is_named_beside_what_has_changed_around_it(
    finished: Path, tmp_path: Path
) -> None:
    run = copy(finished, tmp_path / "run")
    history = json.loads((run / HISTORY).read_text())
    history[1]["train_loss"] += 0.5
    (run / HISTORY).write_text(json.dumps(history))
    checkpoint = load_from_emoframe(run / BEST)
    name = next(key for key, one in checkpoint["state_dict"].items() if one.is_floating_point())
    checkpoint["state_dict"][name].view(-1)[0] += 1.0
    torch.save(checkpoint, run / BEST)
    edit(run / CARD, libraries={"torch": "1.0"}, weak=WEAK | {"hash": "then"})
    api.evaluate(run, "test", "to have its probabilities")
    opened = len(openings(run))
    args = ["reproduce", str(run), "--into", str(tmp_path / "again"), "--json"]
    done = CliRunner().invoke(build_app(), args)
    assert done.exit_code == 1, done.output
    found = json.loads(done.stdout)
    verdicts = {one["what"]: one["verdict"] for one in found["checks"]}
    assert verdicts["weights"] == verdicts["history"] == verdicts["probabilities on test"] == OTHER
    told = {one["what"]: one["detail"] for one in found["checks"]}
    assert told["weights"].startswith(f"first {name}[0") and "at most 1 apart" in told["weights"]
    assert "train_loss of epoch 2" in told["history"]
    changed = {one["what"]: one["was"] for one in found["environment"]}
    assert changed["torch"] == "1.0" and changed["weak labels"] == "then"
    assert changed["numpy"] == "not recorded"
    assert len(openings(run)) == opened and not openings(tmp_path / "again")


def test_what_cannot_be_reproduced_is_refused_before_anything_is_trained(
    finished: Path, tmp_path: Path
) -> None:
    run = copy(finished, tmp_path / "run")
    with pytest.raises(RunError, match="is the run itself"):
        reproduce(run, run)
    edit(run / CARD, data_hash="0" * 64)
    with pytest.raises(RunError, match="data set is not what it was"):
        reproduce(run)
    (run / HISTORY).unlink()
    with pytest.raises(RunError, match="has not finished training"):
        reproduce(run)
    assert not (run / "reproduced").exists()


def test_numbers_are_the_same_nearly_or_not() -> None:
    was = {"a": np.array([1.0, 2.0]), "b": np.array([1.0, np.nan])}
    assert compare_numbers("x", was, was).verdict == SAME
    near = compare_numbers("x", was, was | {"a": np.array([1.0, 2.00001])})
    assert near.verdict == NEAR and near.detail.startswith("first a[1] was 2, now 2.00001")
    other = compare_numbers("x", was, was | {"b": np.array([np.nan, np.nan])})
    assert other.verdict == OTHER and "b[0]" in other.detail
    assert "of shape (2,) and now (3,)" in compare_numbers("x", was, was | {"a": [1, 2, 3]}).detail
    assert "a is in the first" in compare_numbers("x", was, {"b": was["b"]}).detail

"""Training does what its settings say, stops at a loss that is no number, and stays as it was."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from emoframe import api
from emoframe.core.errors import RunError
from emoframe.core.plugins import loaded
from emoframe.learning.checkpoint import DivergedError, epochs
from emoframe.learning.data import prepare
from emoframe.learning.hooks import Average
from emoframe.learning.judge import predict_clips
from emoframe.learning.run import Run

HERE = Path(__file__).parent
FRAMES = """
base: quickstart
dataset: {type: overflowing}
features: {keypoints: null, frames: dataset}
view: {frames: {frames: 8, min_gap_s: 0}}
model:
  fusion_head: {dropout: 0}
  branches:
    keypoints: null
    frames:
      keypoint_backbone: null
      temporal_encoder: {type: transformer, dim: 8, layers: 1, heads: 2, dropout: 0}
      out_dim: 8
train: {epochs: 4, batch_size: 3, patience: 9, val_fraction: 0.25}
"""


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Config of a branch of frames on a data set that may overflow."""
    before = dict(loaded().offers)
    plugin = loaded().load_file(HERE / "overflowing.py")
    path = tmp_path_factory.mktemp("frames") / "frames.yaml"
    path.write_text(FRAMES)
    yield path
    loaded().plugins.remove(plugin)
    loaded().manager.unregister(name=plugin.name)
    for key in [key for key in loaded().offers if key not in before]:
        del loaded().offers[key]


def validation_loss(run: Run) -> float:
    """Return what the kept weights cost on validation."""
    said = predict_clips(run, prepare(run.experiment).val)
    return float(np.mean([-np.log(one.probability[one.label]) for one in said]))


def kept(folder: Path) -> dict[str, tuple[int, int]]:
    """Return when each checkpoint was written, and its size."""
    files = sorted((folder / "checkpoints").iterdir())
    return {file.name: (file.stat().st_mtime_ns, file.stat().st_size) for file in files}


def test_training_gives_what_it_gave_when_these_losses_were_written_down(finished: Path) -> None:
    rows = json.loads((finished / "history.json").read_text())
    assert [row["train_loss"] for row in rows] == pytest.approx([0.688557, 0.623271], rel=1e-4)
    assert [row["val_loss"] for row in rows] == pytest.approx([0.733813, 0.742458], rel=1e-4)


def test_the_average_of_the_weights_is_validated_and_kept(
    frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, torch.Tensor]] = []
    original = Average.after_train_iter

    def spied(self: Average, runner: Any, *args: Any, **kwargs: Any) -> None:
        seen.append({key: x.detach().clone() for key, x in runner.model.named_parameters()})
        original(self, runner, *args, **kwargs)

    monkeypatch.setattr(Average, "after_train_iter", spied)
    run = api.train(frames, tmp_path / "run", ["train.ema=0.75", "train.epochs=1"])
    assert len(seen) == 3
    weights = run.weights()
    for key in seen[0]:
        average = seen[0][key]
        for one in seen[1:]:
            average = 0.75 * average + 0.25 * one[key]
        assert torch.allclose(weights[key], average, atol=1e-7), key
    assert validation_loss(run) == pytest.approx(run.history()[0]["val_loss"], rel=1e-5)
    assert any(not torch.allclose(weights[key], seen[-1][key], atol=1e-7) for key in seen[0])


def test_several_steps_make_one_update_and_the_schedule_counts_updates(
    frames: Path, tmp_path: Path
) -> None:
    halves, wholes = (
        api.train(
            frames, tmp_path / name, [f"train.batch_size={size}", f"train.accumulate={steps}"]
        )
        for name, size, steps in (("halves", 2, 2), ("wholes", 4, 1))
    )
    rates = [[row["lr"] for row in run.history()] for run in (halves, wholes)]
    assert rates[0] == rates[1] and len(set(rates[0])) == 4
    state = [
        torch.load(epochs(run.folder / "checkpoints")[-1], weights_only=True)["optimizer"]["state"]
        for run in (halves, wholes)
    ]
    # nine items: the odd step at the end of an epoch is an update of its own
    assert [float(one[0]["step"]) for one in state] == [12, 12]


def test_a_loss_that_is_no_number_stops_training_and_names_the_batch(
    frames: Path, tmp_path: Path
) -> None:
    overrides = ["dataset.item=4"]
    named = "loss is nan in epoch 2, step 1, on the items i4, .* checkpoint is that of epoch 1"
    with pytest.raises(DivergedError, match=named) as first:
        api.train(frames, tmp_path / "run", overrides)
    before = kept(tmp_path / "run")
    assert list(before) == ["best.pth", "epoch_1.pth"]
    with pytest.raises(DivergedError) as second:
        api.train(frames, tmp_path / "run", overrides)
    assert str(second.value) == str(first.value) and kept(tmp_path / "run") == before


def test_a_diverged_training_ends_with_code_1_and_a_sentence(frames: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "emoframe", "--plugin", str(HERE / "overflowing.py"), "train",
         str(frames), "dataset.item=4", "seed=3", "--run", "run"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert (
        "in epoch 1, step 3, on the items i4" in done.stderr
        and "the last checkpoint is none yet" in done.stderr
    )


def test_items_that_break_validation_are_named(frames: Path, tmp_path: Path) -> None:
    overrides = ["dataset.item=4", "seed=1", "view.frames.frames=40"]
    with pytest.raises(DivergedError, match="the validation loss is nan on the items .*i4"):
        api.train(frames, tmp_path / "run", overrides)


def test_mixed_precision_is_refused_without_a_gpu(frames: Path, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        run = api.train(frames, tmp_path / "run", ["train.precision=bfloat16"])
        assert len(run.history()) == 4
        return
    with pytest.raises(RunError, match="this machine has no GPU"):
        api.train(frames, tmp_path / "run", ["train.precision=bfloat16"])

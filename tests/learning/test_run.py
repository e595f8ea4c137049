"""A run folder belongs to one config and one state of the data."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mmengine.registry import PARAM_SCHEDULERS

from emoframe import api
from emoframe.core.errors import RunError
from emoframe.learning.experiment import Perception
from emoframe.learning.run import load_run
from emoframe.learning.runner import _schedule
from emoframe.learning.stages import Train


def test_a_run_of_another_config_is_refused_and_says_what_differs(
    finished: Path, tiny: list[str]
) -> None:
    with pytest.raises(RunError, match=r"train.lr was 0.001, now 0.1"):
        api.train("quickstart", finished, [*tiny, "train.lr=0.1"])


def test_an_experiment_made_in_python_is_filled_like_a_file(
    tmp_path: Path, tiny: list[str]
) -> None:
    made = replace(api.load("quickstart", tiny), perception=Perception())
    api.train(made, tmp_path / "run")
    assert api.evaluate(tmp_path / "run", "test", "it is the same run").count == 6


def test_a_run_whose_data_changed_is_refused(
    finished: Path, tiny: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    card = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(card | {"data_hash": "0"}))
    with pytest.raises(RunError, match="data set changed"):
        api.train("quickstart", folder, tiny)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is no run folder"):
        load_run(tmp_path)


def test_an_unfinished_run_has_no_model(finished: Path, tmp_path: Path) -> None:
    for name in ("resolved.yaml", "run.json"):
        shutil.copy(finished / name, tmp_path / name)
    with pytest.raises(RunError, match="no epoch has finished"):
        load_run(tmp_path).model()


def test_weights_of_another_model_are_refused(finished: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(finished, other)
    text = (other / "resolved.yaml").read_text().replace("out_dim: 8", "out_dim: 16")
    (other / "resolved.yaml").write_text(text)
    with pytest.raises(RunError, match="does not fit the model"):
        load_run(other).model()


@pytest.mark.parametrize("steps", [8, 24, 60])
def test_a_short_training_reaches_its_learning_rate(steps: int) -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    schedules = [
        PARAM_SCHEDULERS.build({**one, "optimizer": optimizer})
        for one in _schedule(Train(warmup=0.05, epochs=1), steps)
    ]
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        for one in schedules:
            one.step()
    assert max(rates) == pytest.approx(1.0)
    assert rates[-1] < 0.1


def test_a_run_says_what_made_it(finished: Path) -> None:
    card = load_run(finished).card
    assert card["libraries"]["torch"]
    assert "emoframe 0.1.0" in card["plugins"]
    assert card["synthetic"] is True
    assert card["items"] == {"train": 20, "val": 4, "held": 0, "test": 6}

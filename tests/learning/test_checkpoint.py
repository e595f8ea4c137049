"""A checkpoint holds tensors and plain data, and loading one runs no code."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader

from emoframe import api
from emoframe.core.errors import RunError
from emoframe.learning.checkpoint import (
    Selection,
    from_plain,
    load_from_emoframe,
    save,
    to_plain,
)
from emoframe.learning.runner import guard_loading


class Payload:
    """Unpickled, it leaves a file behind."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


def test_our_checkpoints_load_without_an_allow_list(finished: Path) -> None:
    for name in ("best.pth", "epoch_2.pth"):
        assert torch.load(finished / "checkpoints" / name, weights_only=True)["state_dict"]


def test_a_payload_in_a_checkpoint_is_refused_and_does_not_run(tmp_path: Path) -> None:
    mark, path = tmp_path / "mark", tmp_path / "epoch_1.pth"
    torch.save({"state_dict": {}, "meta": Payload(mark)}, path)
    with pytest.raises(RunError, match="could run code"):
        load_from_emoframe(path)
    assert not mark.exists()


@pytest.mark.parametrize("where", ["plain pickle", "meta", "message_hub", "optimizer"])
def test_resuming_from_a_payload_is_refused_and_does_not_run(
    where: str, finished: Path, tiny: list[str], tmp_path: Path
) -> None:
    folder, mark = tmp_path / "run", tmp_path / "mark"
    folder.mkdir()
    for name in ("resolved.yaml", "run.json"):
        (folder / name).write_bytes((finished / name).read_bytes())
    (folder / "checkpoints").mkdir()
    path = folder / "checkpoints" / "epoch_1.pth"
    if where == "plain pickle":
        path.write_bytes(pickle.dumps({"state_dict": Payload(mark)}))
    else:
        good = torch.load(finished / "checkpoints" / "epoch_2.pth", weights_only=True)
        torch.save({**good, where: Payload(mark)}, path)
    with pytest.raises(RunError, match="could run code"):
        api.train("quickstart", folder, tiny)
    assert not mark.exists()


def test_python_in_the_config_of_a_checkpoint_does_not_run(
    finished: Path, tiny: list[str], tmp_path: Path
) -> None:
    folder, mark = tmp_path / "run", tmp_path / "mark"
    folder.mkdir()
    for name in ("resolved.yaml", "run.json"):
        (folder / name).write_bytes((finished / name).read_bytes())
    (folder / "checkpoints").mkdir()
    good = torch.load(finished / "checkpoints" / "epoch_2.pth", weights_only=True)
    good["meta"] |= {"config": f"import os\nos.system('touch {mark}')\n", "epoch": 1}
    torch.save(good, folder / "checkpoints" / "epoch_1.pth")
    api.train("quickstart", folder, tiny)
    assert not mark.exists()
    assert (folder / "checkpoints" / "epoch_2.pth").exists()


def test_the_safe_loader_lies_over_every_loader_of_mmengine() -> None:
    guard_loading()
    assert set(CheckpointLoader._schemes.values()) == {load_from_emoframe}


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused_with_a_sentence(
    keep: float, finished: Path, tmp_path: Path
) -> None:
    whole = (finished / "checkpoints" / "best.pth").read_bytes()
    path = tmp_path / "best.pth"
    path.write_bytes(whole[: int(keep if keep >= 1 else keep * len(whole))])
    with pytest.raises(RunError, match="truncated or no checkpoint"):
        load_from_emoframe(path)


def test_a_missing_or_foreign_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such checkpoint"):
        load_from_emoframe(tmp_path / "absent.pth")
    save(tmp_path / "foreign.pth", {"weights": torch.zeros(1)})
    with pytest.raises(RunError, match="is no checkpoint of emoframe"):
        load_from_emoframe(tmp_path / "foreign.pth")


def test_mmengines_buffers_survive_as_tensors() -> None:
    buffer = HistoryBuffer([1.0, 2.5, 4.0], [1, 1, 2], 100)
    state = to_plain({"log": {"loss": buffer}, "lr": np.float64(0.1), "x": np.arange(3)})
    assert isinstance(state["lr"], float)
    again = from_plain(state)["log"]["loss"]
    assert again.mean() == buffer.mean()
    assert again.data[0].dtype == buffer.data[0].dtype


def test_the_lowest_validation_loss_is_selected_and_patience_counts_from_it() -> None:
    selection = Selection(patience=2)
    seen = [selection.see({"epoch": n, "val_loss": v}) for n, v in enumerate([3, 1, 1, 2], 1)]
    assert seen == [True, True, False, False]
    assert (selection.best_epoch, selection.exhausted) == (2, True)


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_training_with_a_sentence(loss: float) -> None:
    with pytest.raises(RunError, match="lower train.lr"):
        Selection(3).see({"epoch": 1, "val_loss": loss})

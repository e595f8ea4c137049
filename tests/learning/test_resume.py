"""A training that is killed at any instant ends as if it had never been killed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from emoframe.learning.checkpoint import epochs

DRIVER = Path(__file__).with_name("kills.py")
FEW = ["best:1", "step:3", "writing:1", "validation:2", "saved:2", "start:2"]
TWENTY = [
    "start:1", "step:2", "writing:1", "validation:1", "best:1", "saved:1", "step:6", "writing:1",
    "validation:1", "time:200", "step:3", "saved:1", "time:300", "writing:1", "start:2", "step:1",
    "validation:1", "step:5", "time:250", "writing:1",
]  # fmt: skip


def train(folder: Path, kills: list[str]) -> list[str]:
    """Train through kills and return what became of each process."""
    command = [sys.executable, str(DRIVER), str(folder), *kills]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [line for line in done.stdout.splitlines() if line.endswith(("killed", "ended"))]


def weights(path: Path) -> dict[str, Any]:
    """Load a checkpoint as anybody can: without an allow-list."""
    return torch.load(path, weights_only=True)["state_dict"]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    assert train(folder, []) == ["end: ended"]
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
    kills: list[str], uninterrupted: Path, tmp_path: Path
) -> None:
    happened = train(tmp_path / "run", kills)
    killed = [line for line in happened if line.endswith("killed")]
    assert len(killed) == len(kills), happened
    same(uninterrupted, tmp_path / "run")


def test_one_epoch_is_kept_and_no_temp_file(uninterrupted: Path) -> None:
    names = sorted(path.name for path in (uninterrupted / "checkpoints").iterdir())
    assert len(names) == 2
    assert names[0] == "best.pth"


def test_a_finished_training_is_left_as_it_is(uninterrupted: Path) -> None:
    before = (uninterrupted / "checkpoints" / "best.pth").stat().st_mtime_ns
    train(uninterrupted, [])
    assert (uninterrupted / "checkpoints" / "best.pth").stat().st_mtime_ns == before

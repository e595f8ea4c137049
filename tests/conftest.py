"""What all tests share: where the real data lies, and one tiny finished training."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from emoframe import api

TINY = [
    "dataset.train=24", "dataset.test=6", "dataset.frames=24", "dataset.videos_per_subject=2",
    "view.keypoints.frames=16", "train.epochs=2", "train.batch_size=6",
    "model.branches.keypoints.keypoint_backbone.hidden=8",
    "model.branches.keypoints.temporal_encoder.dim=8",
    "model.branches.keypoints.temporal_encoder.heads=2", "model.branches.keypoints.out_dim=8",
]  # fmt: skip


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real data beside the repository; tests that need it are skipped without it."""
    root = Path(__file__).parents[1]
    folder = Path(os.environ.get("EMOFRAME_SHARED", root.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"needs the real data in {folder.name}/, which is not here")
    return folder


@pytest.fixture(scope="session")
def tiny() -> list[str]:
    """Overrides that make `quickstart` train in a second."""
    return TINY


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished tiny training; not to be changed."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    api.train("quickstart", folder, TINY)
    return folder

"""The benchmarks run, and their peers compute what they say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.slow
def test_the_keypoint_benchmark_runs_and_its_peer_by_hand_gives_the_same_loss() -> None:
    pytest.importorskip("torch_geometric")
    command = [sys.executable, str(BENCHMARKS / "keypoints.py"), "--frames", "24", "--steps", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "GCNConv + nn.TransformerEncoder" in done.stdout
    assert "waiting for 2 loader workers" in done.stdout

"""Real sequences are learnt: slow, and only where the data lies beside the repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from emoframe import api
from emoframe.evidence.evaluate import summary


@pytest.mark.slow
def test_natops_is_learnt_better_than_by_its_nearest_neighbour(
    shared: Path, tmp_path: Path
) -> None:
    data = f"dataset.path={shared / 'data' / 'natops.npz'}"
    seeds = api.seeds_of(api.load("sequences", [data]), 3)
    runs = [api.train(one, tmp_path / f"seed-{one.seed}") for one in seeds]
    table = summary(runs, "test", "the promise of the spine: a mean of 3 seeds of at least .90")
    mean = float(table["accuracy"].iloc[-1].split()[0])
    assert mean >= 0.90  # 1-NN with Euclidean distance reaches .839

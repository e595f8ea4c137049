"""Which network wins in which planted world, held against what was expected beforehand.

    python benchmarks/worlds.py runs/planted            # five worlds, five networks, five seeds

The preset of the worlds is that of the data set `planted`, the networks are the rows of
`configs/sweeps/worlds.yaml`. Expectations stand in the docstring of the data set. A winner wins by
more than the interval of the paired difference; a tie lies within it. Interrupted, it goes on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

import emoframe
from emoframe import api

WORLDS = ("cross_part", "along_edge", "static_posture", "slow", "null")
EXPECTED = (
    ("cross_part", "no offsets", "loses"),
    ("cross_part", "16 frames", "loses"),
    ("cross_part", "gcn", "does not win"),
    ("along_edge", "gcn", "wins"),
    ("static_posture", "no offsets", "does not lose"),
    ("slow", "16 frames", "does not lose"),
    *(("null", row, "ties") for row in ("no offsets", "16 frames", "gcn", "patches")),
)
"""World, row, and how it was expected to do against `mlp` before any network was trained."""


def verdict(expected: str, low: float, high: float) -> bool:
    """Say whether an interval of the difference to `mlp` bears an expectation out."""
    return {
        "wins": low > 0,
        "loses": high < 0,
        "does not win": low <= 0,
        "does not lose": high >= 0,
        "ties": low <= 0 <= high,
    }[expected]


def train(world: str, folder: Path, seeds: int) -> pd.DataFrame:
    """Train every row in a world and return its table on test."""

    def tell(where: Path, reason: str) -> None:
        sys.stderr.write(f"{where} {reason or 'trained'}\n")

    overrides = [f"dataset.world={world}", f"seeds={seeds}"]
    reason = "which network wins in which planted world"
    return api.sweep("sweeps/worlds", folder / world, overrides, test=reason, on_run=tell)


def difference(table: pd.DataFrame, row: str, over: str) -> Any:
    """Return the interval of a row's difference to `mlp`, over `seeds` or `items`."""
    return table.set_index("row").loc[row, f"vs mlp ({over})"]


def main() -> None:
    """Train what is missing and print accuracies, differences and verdicts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--world", choices=WORLDS, help="only train this one")
    arguments = parser.parse_args()
    if arguments.world:
        train(arguments.world, arguments.folder, arguments.seeds)
        return
    found = {world: train(world, arguments.folder, arguments.seeds) for world in WORLDS}
    console = Console(width=150)
    table = Table("test accuracy [95 %]", *WORLDS)
    for row in found["null"]["row"]:
        table.add_row(row, *(str(t.set_index("row").loc[row, "accuracy"]) for t in found.values()))
    known = {w: emoframe.build("dataset", "planted", world=w).ceilings() for w in WORLDS}
    for name in known["null"]:
        table.add_row(name, *(f"{known[world][name]:.3f}" for world in WORLDS))
    console.print(table)
    judged = Table("world", "row", "against mlp, expected", "over seeds", "over items", "came out")
    for world, row, expected in EXPECTED:
        over_seeds, over_items = (difference(found[world], row, o) for o in ("seeds", "items"))
        held = [verdict(expected, i.low, i.high) for i in (over_seeds, over_items)]
        told = {2: "yes", 1: "by one of both", 0: "NO"}[sum(held)]
        judged.add_row(world, row, expected, str(over_seeds), str(over_items), told)
    console.print(judged)


if __name__ == "__main__":
    main()

"""Which network wins in which planted world, held against what was expected beforehand.

    python benchmarks/worlds.py runs/planted            # five worlds, five networks, five seeds

The preset of the worlds is that of the data set `planted`, the networks are the rows of
`configs/ablations/worlds.yaml`. Expectations stand in the docstring of the data set. A winner wins
by more than the interval of the paired difference; where the interval holds 0, the two were not
told apart, and its width says how much that means. In `null`, nothing may beat chance. Interrupted,
it goes on.
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
from emoframe.evidence.stats import Interval

WORLDS = ("cross_part", "along_edge", "static_posture", "slow", "null")
EXPECTED = (
    ("cross_part", "no offsets", "loses"),
    ("cross_part", "16 frames", "loses"),
    ("cross_part", "gcn", "does not win"),
    ("along_edge", "gcn", "wins"),
    ("static_posture", "no offsets", "does not lose"),
    ("slow", "16 frames", "does not lose"),
)
"""World, row, and how it was expected to do against `mlp` before any network was trained."""


def verdict(expected: str, difference: Interval) -> bool:
    """Say whether the interval of the difference to `mlp` bears an expectation out."""
    return {
        "wins": difference.low > 0,
        "loses": difference.high < 0,
        "does not win": difference.low <= 0,
        "does not lose": difference.high >= 0,
    }[expected]


def train(world: str, folder: Path, seeds: int) -> pd.DataFrame:
    """Train every row in a world and return its table on test."""

    def tell(where: Path, reason: str) -> None:
        sys.stderr.write(f"{where} {reason or 'trained'}\n")

    overrides = [f'dataset.world="{world}"', f"seeds={seeds}"]
    reason = "which network wins in which planted world"
    return api.ablate("ablations/worlds", folder / world, overrides, test=reason, on_run=tell)


def cell(table: pd.DataFrame, row: str, column: str) -> Any:
    """Return one cell of a table, by row and column."""
    return table.set_index("row").loc[row, column]


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
    if arguments.seeds < 2:
        parser.error("a paired difference needs at least two seeds")
    found = {world: train(world, arguments.folder, arguments.seeds) for world in WORLDS}
    failed = [world for world, table in found.items() if "failed" in table]
    if failed:
        raise SystemExit(f"a row failed in {', '.join(failed)}; see the lines above")
    console = Console(width=150)
    table = Table("test accuracy [95 %]", *WORLDS)
    for row in found["null"]["row"]:
        table.add_row(row, *(str(cell(t, row, "accuracy")) for t in found.values()))
    known = {w: emoframe.build("dataset", "planted", world=w).ceilings() for w in WORLDS}
    for name in known["null"]:
        table.add_row(name, *(f"{known[world][name]:.3f}" for world in WORLDS))
    console.print(table)
    judged = Table("world", "row", "against mlp, expected", "over seeds", "over items", "came out")
    for world, row, expected in EXPECTED:
        gaps = [cell(found[world], row, name) for name in ("difference over seeds", "difference")]
        told = ("NO", "by one of both", "yes")[sum(verdict(expected, gap) for gap in gaps)]
        judged.add_row(world, row, expected, *map(str, gaps), told)
    for row in found["null"]["row"]:
        interval = cell(found["null"], row, "accuracy")
        told = "yes" if interval.low <= 0.5 else "NO"
        judged.add_row("null", row, "at chance", str(interval), "", told)
    console.print(judged)


if __name__ == "__main__":
    main()

"""Where the files of iMiGUE lie, whatever the folders of a copy are called.

The original release and the MiGA packaging of each year name their folders differently (specs
2.1, 2.2); the names of the files stay. So folders are looked for by candidate patterns, a few
levels deep and whatever their case, and a file counts by the video id that its own name begins
with. Nothing is opened here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from emoframe.core.errors import DataError

LEVELS = ("", "*/", "*/*/", "*/*/*/")
LABELS = ("*label*/labels_*.csv", "labels_*.csv")
MIGA_LABELS = ("train_label.csv", "validation_label.csv")
XLSX = ("*skeleton*/[0-9]*/[0-9]*_*.xlsx",)
LIGHT = tuple(f"*skeleton*/[0-9]*/[0-9]*_light{hand}.csv" for hand in ("_hand", ""))
VIDEOS = tuple(f"*rgb*/{level}[0-9]*.mp4" for level in LEVELS)


@dataclass(frozen=True)
class Tree:
    """The files of a copy of iMiGUE, by video id.

    Attributes:
        root: The folder that was searched.
        labels: Label files of the original release; more than one is a mistake.
        miga_labels: Label files of MiGA's emotion track: train and validation.
        xlsx: OpenPose skeletons with all 137 points.
        light: MiGA's skeletons with 35 points.
        videos: mp4 files.
        problems: A sentence for each file that lies there twice.
    """

    root: Path
    labels: tuple[Path, ...]
    miga_labels: tuple[Path, ...]
    xlsx: Mapping[int, Path]
    light: Mapping[int, Path]
    videos: Mapping[int, Path]
    problems: tuple[str, ...]

    @property
    def ids(self) -> set[int]:
        """Ids of the videos of which anything is there, labels aside."""
        return {*self.xlsx, *self.light, *self.videos}


def find_files(root: Path) -> Tree:
    """Search a copy of iMiGUE.

    Raises:
        DataError: There is no such folder.
    """
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder; give the one that holds iMiGUE's files")
    xlsx, twice_xlsx = _by_id(_find(root, XLSX), r"(\d+)_\d+")
    hand, twice_hand = _by_id(_find(root, LIGHT[:1]), r"(\d+)_light_hand")
    plain, twice_plain = _by_id(_find(root, LIGHT[1:]), r"(\d+)_light")
    videos, twice_videos = _by_id(_find(root, VIDEOS), r"(\d+)")
    return Tree(
        root,
        tuple(_find(root, LABELS)),
        tuple(_find(root, MIGA_LABELS)),
        xlsx,
        {**plain, **hand},
        videos,
        tuple(chain(twice_xlsx, twice_hand, twice_plain, twice_videos)),
    )


def show_ids(ids: Iterable[int]) -> str:
    """Write video ids for a sentence, zero-padded as in the release, the first five of them."""
    every = sorted(ids)
    shown = ", ".join(f"{video:04d}" for video in every[:5])
    return f"{shown} and {len(every) - 5} more" if len(every) > 5 else shown


def _find(root: Path, patterns: Iterable[str]) -> Iterator[Path]:
    """Yield each file that fits a pattern at any of the levels, once, in a fixed order."""
    fits = (_any_case(level + pattern) for level in LEVELS for pattern in patterns)
    yield from sorted({path for fit in fits for path in root.glob(fit) if path.is_file()})


def _any_case(pattern: str) -> str:
    # pathlib ignores case on request from Python 3.12 on only
    return "".join(f"[{c.lower()}{c.upper()}]" if c.isalpha() else c for c in pattern)


def _by_id(paths: Iterable[Path], stem: str) -> tuple[dict[int, Path], list[str]]:
    """Sort files by video id; what lies there twice keeps the first and is told."""
    found: dict[int, Path] = {}
    twice: list[str] = []
    for path in paths:
        named = re.fullmatch(stem, path.stem, re.IGNORECASE)
        if named is None:
            continue
        if (first := found.setdefault(int(named[1]), path)) != path:
            twice.append(f"video {int(named[1]):04d} is there twice, as {first} and {path}")
    return found, twice

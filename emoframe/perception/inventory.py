"""What lies in a store: the folders of its videos and of their stages, finished or not.

Only names that the store itself gives count, and no link is followed: it may lead anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from emoframe.core.errors import DataError
from emoframe.perception.index import SHORT, DamagedError, Index, read_index


def video_folders(root: Path) -> list[Path]:
    """Return the folder of each video in a store, sorted.

    Raises:
        DataError: There is no such folder.
    """
    if not root.is_dir():
        raise DataError(f"{root}: there is no store here; give the folder of one")
    return [one for one in sorted(root.iterdir()) if _is_hash(one.name) and _is_folder(one)]


def stage_folders(video: Path) -> list[Path]:
    """Return the folder of each stage of a video, finished or not, sorted."""
    parts = ((one, *one.name.rpartition("-")) for one in sorted(video.iterdir()))
    return [one for one, name, _, key in parts if name and _is_hash(key) and _is_folder(one)]


def stages(root: Path) -> Iterator[tuple[Path, Index | DamagedError]]:
    """Yield the folder of every stage that a store has, with its index or what is wrong with it."""
    for video in video_folders(root):
        for folder in stage_folders(video):
            try:
                index = read_index(folder)
            except DamagedError as error:
                yield folder, error
                continue
            if index is not None:
                yield folder, index


def _is_hash(name: str) -> bool:
    return len(name) == SHORT and not {*name} - {*"0123456789abcdef"}


def _is_folder(path: Path) -> bool:
    """Whether it is a folder of the store itself: a link may lead anywhere."""
    return path.is_dir() and not path.is_symlink()

"""Folders for what is shown, which outlive no process for long.

A clip shows a person, and a process that is killed cannot delete it. Decided here: the name of a
folder says which process it belongs to, so that the next one that asks deletes what dead ones left
behind. It lies in the folder for temporary files, which TMPDIR names.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from emoframe.weak_labels.asking.processes import Process, here

MARK, BETWEEN = "emoframe-clip", "+"
"""A name is the mark, machine, number and beginning of the process, and something random."""


@contextmanager
def own_folder() -> Iterator[Path]:
    """Make a folder of this process; it is deleted when the block ends."""
    me = here()
    prefix = BETWEEN.join((MARK, me.host, str(me.pid), me.started, ""))
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def clear_folders() -> None:
    """Delete the folders of processes that are gone, as far as they are this user's."""
    with os.scandir(tempfile.gettempdir()) as found:
        for entry in found:
            if entry.name.startswith(MARK + BETWEEN) and _is_left(entry):
                shutil.rmtree(entry.path, ignore_errors=True)  # two may do so at once


def _is_left(entry: os.DirEntry[str]) -> bool:
    parts = entry.name.split(BETWEEN)
    try:
        told = entry.stat(follow_symlinks=False)
    except FileNotFoundError:  # somebody has just deleted it
        return False
    ours = entry.is_dir(follow_symlinks=False) and told.st_uid == os.getuid()
    if not ours or len(parts) != 5 or not parts[2].isdecimal():
        return False
    since = datetime.fromtimestamp(told.st_mtime, UTC).isoformat()
    return not Process(parts[1], int(parts[2]), parts[3]).lives(since)

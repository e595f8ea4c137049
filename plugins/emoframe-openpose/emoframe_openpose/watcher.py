"""A process that outlives emoframe's, to end OpenPose and remove the pictures when it is killed.

Started with a folder. Each line that it reads is the process group to end, 0 for none; at the end
of its input, which comes however the writer ends, it ends that group and removes the folder.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

TRIES = 50
"""Times that removal is tried, 0.1 s apart: a process that is being killed may still write."""


def watch(folder: Path) -> None:
    """Wait for the end of the input, then leave nothing behind."""
    group = 0
    for line in sys.stdin:
        group = int(line)
    if group:
        with suppress(ProcessLookupError):  # it is over
            os.killpg(group, signal.SIGKILL)
    for _ in range(TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)


if __name__ == "__main__":
    watch(Path(sys.argv[1]))

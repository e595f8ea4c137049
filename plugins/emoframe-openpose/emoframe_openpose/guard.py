"""A folder for pictures of people, and a process that must not outlive this one.

A worker may be killed at any time: by Ctrl-C, which reaches the main thread and not the one that
waits for OpenPose, or for want of memory. No clean-up runs then, OpenPose would go on for as long
as it likes, and the pictures would stay where others can find them. So that another process, the
watcher, does both when this one is gone; in all other cases it is done here.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from emoframe import ComponentError

WATCHER = Path(__file__).with_name("watcher.py")


class Guard:
    """A temporary folder with a watcher, for as long as one video takes.

    Attributes:
        folder: The folder; others cannot read it.
    """

    def __enter__(self) -> Self:
        """Make the folder and start the watcher.

        Raises:
            ComponentError: The system lets no folder be made, or no process be started.
        """
        try:
            self._kept = tempfile.TemporaryDirectory(prefix="emoframe-openpose-")
            self.folder = Path(self._kept.name)
            self._watcher = subprocess.Popen(
                [sys.executable, "-I", "-S", str(WATCHER), str(self.folder)],
                stdin=subprocess.PIPE,
                start_new_session=True,  # so that Ctrl-C does not end it as well
                text=True,
            )
        except OSError as error:
            raise ComponentError(
                f"pose_estimator openpose: no temporary folder or no process is to be had "
                f"({error}); make room, or set TMPDIR to another folder"
            ) from error
        return self

    def watch(self, group: int) -> None:
        """Name the process group that must not outlive this process; 0 for none."""
        if self._watcher.stdin is not None:
            with suppress(BrokenPipeError):  # somebody ended the watcher; it is done here as ever
                self._watcher.stdin.write(f"{group}\n")
                self._watcher.stdin.flush()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the folder and let the watcher go."""
        self._kept.cleanup()
        if self._watcher.stdin is not None:
            with suppress(BrokenPipeError):
                self._watcher.stdin.close()
        self._watcher.wait()

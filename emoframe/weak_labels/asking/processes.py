"""Telling whether the process that made a call still lives.

A process number is given to another process sooner or later, so that the number alone would keep
the calls of dead processes in flight for ever. Decided here: on Linux a process is its number, the
time at which it began and the boot of the machine; elsewhere its number alone. Nobody can see the
processes of another machine: its calls are given up after a day, which no single call takes.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

PATIENCE = timedelta(days=1)
"""How long a call of another machine is believed to be in flight."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Process:
    """One process of one machine.

    Attributes:
        host: Name of the machine.
        pid: Number of the process.
        started: When it began, in the words of its machine; empty where that cannot be told.
    """

    host: str
    pid: int
    started: str

    def lives(self, since: str) -> bool:
        """Say whether it is still there, or may be.

        Args:
            since: When it was last heard of, UTC, ISO.
        """
        if self.host != socket.gethostname():
            return datetime.now(UTC) - datetime.fromisoformat(since) < PATIENCE
        if self.started:
            return started(self.pid) == self.started
        return _is_there(self.pid)


def here() -> Process:
    """Return this process; not kept, because a fork is another one."""
    return Process(socket.gethostname(), os.getpid(), started(os.getpid()))


def started(pid: int) -> str:
    """Return when a process of this machine began; empty where it is gone or nothing says it."""
    try:
        # the name of the program, which may hold anything, stands in brackets before the numbers
        after_name = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2]
        boot = _BOOT.read_text().strip()
    except OSError:
        return ""
    state, *numbers = after_name.split()
    return "" if state in "ZX" else f"{boot}:{numbers[18]}"


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it lives, and is somebody else's
        return True
    return True

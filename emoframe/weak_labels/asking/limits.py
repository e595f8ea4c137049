"""Limits of asking, and what every thread heeds: a halt, a pause, a signal from outside."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from emoframe.core.errors import EmoframeError
from emoframe.weak_labels.asking.price import Table


@dataclass(frozen=True)
class How:
    """How a store is filled; nothing here changes an answer.

    Attributes:
        concurrency: Most calls at a time.
        attempts: Most calls for one answer.
        budget: Most US dollars that the store may ever have spent; None for no limit.
        prices: Price table; None takes the shipped one.
        backoff_s: Seconds before the second attempt; they double from one to the next.
        grace_s: Seconds in which a batch that was not seen to arrive may still turn up; its clips
            are uploaded within them, too.
    """

    concurrency: int = 4
    attempts: int = 6
    budget: float | None = None
    prices: Table | None = None
    backoff_s: float = 1.0
    grace_s: float = 3600.0


class StoppedError(EmoframeError):
    """Nothing more is to be sent; the question is left for the next run."""


@dataclass
class Halt:
    """Tells every thread that nothing more is to be sent, and why; the first reason stays.

    Args:
        told: Told why, at once; calls in flight may take minutes.
    """

    told: Callable[[str], None] = lambda why: None
    why: str = ""
    called: threading.Event = field(default_factory=threading.Event)

    def call(self, why: str) -> None:
        """Halt. No lock: a signal's handler runs in the middle of anything."""
        if not self.why:
            self.why = why
            self.called.set()  # before it is told, which may fail
            self.told(why)

    def sleep(self, seconds: float) -> None:
        """Wait.

        Raises:
            StoppedError: Nothing more is to be sent.
        """
        if self.called.wait(seconds) if seconds > 0 else self.called.is_set():
            raise StoppedError(self.why)


@dataclass
class Pause:
    """The one pause of all threads when a server says that there are too many calls."""

    until: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def extend(self, seconds: float) -> None:
        """Let nobody send anything for so many seconds."""
        with self._lock:
            self.until = max(self.until, time.monotonic() + seconds)

    def wait(self, halt: Halt) -> None:
        """Wait until it is over, however often it is extended."""
        while (left := self.until - time.monotonic()) > 0:
            halt.sleep(left)
        halt.sleep(0)


@contextmanager
def heeding_signals(halt: Halt) -> Iterator[None]:
    """Turn the first SIGINT or SIGTERM into a halt; the second has its usual effect at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    untold: list[Exception] = []

    def first(number: int, _: FrameType | None) -> None:
        for one in before:
            signal.signal(one, signal.SIG_DFL)
        try:
            halt.call(
                f"stopped by {signal.Signals(number).name}; calls in flight are finished and "
                "stored, a second signal ends at once, and the next run goes on"
            )
        except Exception as error:  # here it would break into anything, as the start of a thread
            untold.append(error)

    before = {one: signal.signal(one, first) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    if untold:
        raise untold[0]

"""One stream of frames, decoded once, for several consumers at the same time.

Decoding runs ahead of whoever works by one chunk, and no faster than the slowest of them, so that
memory is bounded and a device does not wait for the decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, Full, Queue
from threading import Event
from typing import Any, Generic, TypeVar

T = TypeVar("T")
AHEAD = 1
"""Chunks that wait for each consumer."""
PATIENCE_S = 0.05


class _End:
    """The end of a stream, and why it ended."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class _Tap(Generic[T]):
    """What one consumer reads."""

    def __init__(self) -> None:
        self.queue: Queue[T | _End] = Queue(AHEAD)
        self.closed = Event()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        item = self.queue.get()
        if not isinstance(item, _End):
            return item
        self.queue.put(item)  # asked again, it ends again
        if item.error is not None:
            raise item.error
        raise StopIteration

    def put(self, item: T | _End) -> None:
        """Wait until there is room, unless nobody reads any more."""
        while not self.closed.is_set():
            with suppress(Full):
                return self.queue.put(item, timeout=PATIENCE_S)
        return None

    def close(self) -> None:
        """Stop reading, and let go of what waits."""
        self.closed.set()
        with suppress(Empty):
            while True:
                self.queue.get_nowait()


def share(source: Iterable[T], consumers: Sequence[Callable[[Iterator[T]], Any]]) -> None:
    """Feed a stream to consumers, each in a thread of its own.

    A consumer that stops early does not keep the others waiting. What the source raises, each
    consumer meets in its own stream; what a consumer raises ends the stream of all.

    Args:
        source: The stream; read in the calling thread.
        consumers: Called once each with an iterator over the whole stream.

    Raises:
        BaseException: What the first failed consumer raised, when all are done.
    """
    taps: list[_Tap[T]] = [_Tap() for _ in consumers]
    broken: list[BaseException] = []

    def consume(tap: _Tap[T], consumer: Callable[[Iterator[T]], Any]) -> None:
        try:
            consumer(iter(tap))
        except BaseException as error:
            broken.append(error)
        finally:
            tap.close()

    with ThreadPoolExecutor(len(consumers), "emoframe") as pool:
        for pair in zip(taps, consumers, strict=True):
            pool.submit(consume, *pair)
        _pour(source, taps, broken)
    if broken:
        raise broken[0]


def _pour(source: Iterable[T], taps: Sequence[_Tap[T]], broken: list[BaseException]) -> None:
    """Read the stream for all, until it ends, nobody reads any more, or one has failed."""
    error: BaseException | None = None
    try:
        for item in source:
            for tap in taps:
                tap.put(item)
            if broken or all(tap.closed.is_set() for tap in taps):
                break
            del item  # the source makes the next one now
    except Exception as caught:
        error = caught
    except BaseException as caught:  # an interruption is for everybody
        error = caught
        raise
    finally:
        for tap in taps:
            tap.put(_End(broken[0] if broken else error))

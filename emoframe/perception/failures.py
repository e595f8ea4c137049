"""Why something failed: put into a sentence, and told apart by whether it will fail again.

What lies in the bytes of a video is remembered; what the machine was short of, and a file that
changed meanwhile, is told and tried again.
"""

from __future__ import annotations

from pathlib import Path

from emoframe.core.errors import DataError, EmoframeError
from emoframe.perception.index import DamagedError

Stamp = tuple[int, int] | None
AGAIN = "the next run tries it again"


def stamp(path: Path) -> Stamp:
    """Return size and time of a file, by which a change while it is read is noticed."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns


def passing(error: Exception) -> bool:
    """Whether a failure says nothing of the video: the machine was short of something."""
    short = isinstance(error, OSError | MemoryError) or "OutOfMemory" in type(error).__name__
    return short or isinstance(error, DamagedError)


def failure(error: Exception, video: Path, *, changed: bool) -> str:
    """Say why a stage failed, in a sentence that is the same wherever the video lies.

    Args:
        error: What was raised.
        video: The file.
        changed: Whether it is no longer the file that it was.
    """
    name = video.name
    if changed:
        return f"{name}: changed while it was read; extract it again when it is complete"
    sentence = isinstance(error, EmoframeError)
    reason = str(error) if sentence else f"{type(error).__name__}: {error}"
    reason = reason.replace(str(video), name)
    again = f"; {AGAIN}" if passing(error) and not sentence else ""
    return (reason if ascii(name)[1:-1] in reason else f"{name}: {reason}") + again


def nobody(what: str) -> DataError:
    """Return the error of a video in which there is nobody to learn from."""
    look = "look whether the video shows a person, and at the confidence that is asked for"
    return DataError(f"{what}; {look}")

"""Names of files without the folders of the machine that they lie on, for what leaves it.

A path in a sentence has no certain end, since folders may have spaces in their names. So a path is
taken to go on up to its last separator before a line break, a colon and a space, its closing quote
or the next path: a word too many is lost rather than a folder told.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

_BEFORE = r"(?<![^\s'\"`([{<=,;:|>])"
"""Nothing, or what can stand before a path; after a letter a slash is inside of a relative one."""
_START = re.compile(
    rf"{_BEFORE}(?:"
    r"file:/"
    r"|(?<=:)///+(?=[^\s/\\])"  # `sqlite:///`, a path; but not `https://`, a host
    r"|[A-Za-z]:[/\\]"
    r"|~(?:[A-Za-z_][\w.-]*)?[/\\]"
    r"|(?<!:)[/\\]{2,}(?=[^\s/\\])"
    r"|(?<!\b[A-Za-z]:)/(?=[^\s/\\])"
    r")",
    re.IGNORECASE,
)
_FOLDERS = re.compile(r".*[/\\](?=[^\s/\\])", re.DOTALL)


def last_name(path: str) -> str:
    """Return the last name of a path of any system."""
    return PureWindowsPath(PurePosixPath(path).name).name


def without_folders(text: str) -> str:
    """Return a sentence in which of each absolute path only the last name is left."""
    starts = [match.start() for match in _START.finditer(text)]
    if not starts:
        return text
    ends = [*starts[1:], len(text)]
    pieces = (_cut(text[a:b], text[a - 1 : a]) for a, b in zip(starts, ends, strict=True))
    return text[: starts[0]] + "".join(pieces)


def portable(value: Any) -> Any:
    """Return plain data in which of each absolute path only the last name is left."""
    if isinstance(value, Mapping):
        return {portable(key): portable(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [portable(one) for one in value]
    if not isinstance(value, str):
        return value
    return last_name(value) if _START.match(value) else without_folders(value)


def _cut(piece: str, before: str) -> str:
    """Take the folders out of a piece of text that begins with a path."""
    quoted = f"|{before}" if before and before in "'\"`" else ""
    path = re.split(rf"\n|:\s{quoted}", piece, maxsplit=1)[0]
    return _FOLDERS.sub("", path, count=1) + piece[len(path) :]

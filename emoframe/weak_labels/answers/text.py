"""Finds the JSON object in what a model sent.

Decided here: the first object that closes again and holds an asked field is the answer; fences and
prose around it are left out. An object that does not close was cut and is never completed: what
would be missing is the end, where the confidences are. JSON that is not JSON (single quotes,
trailing commas) is not repaired either: the libraries that do so complete cut answers in silence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any, NamedTuple

LONGEST = 1_000_000
"""Characters beyond which a text is no answer; one of 2000 units has half of it."""
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[{}]', re.DOTALL)


class Found(NamedTuple):
    """An object, or why there is none.

    Attributes:
        data: The object; None where there is none.
        problem: Why, as a sentence.
        around: Whether there was other text than fences around it.
    """

    data: dict[str, Any] | None
    problem: str = ""
    around: bool = False


def find_object(text: str, fields: Collection[str], cut: bool) -> Found:
    """Find the answer in a text.

    Args:
        text: What the model sent.
        fields: Names of the fields that were asked for.
        cut: Whether the model was stopped at its token limit.
    """
    if len(text) > LONGEST:
        return Found(None, f"the answer has {len(text)} characters; {LONGEST} are read at most")
    problem, start = "", text.find("{")
    while start >= 0:
        end, inside = _closing(text, start)
        if end is None:
            return Found(None, _unclosed(text, inside, cut))
        data, why = _decoded(text[start:end])
        if data is not None and any(name in data for name in fields):
            return Found(data, around=_is_prose(text[:start]) or _is_prose(text[end:]))
        problem = (
            problem
            or why
            or (f"the answer is JSON, but has none of the fields {', '.join(fields)}")
        )
        start = text.find("{", end)
    return Found(None, problem or _absent(text, cut))


def _closing(text: str, start: int) -> tuple[int | None, str]:
    """Return where the object that starts here ends, and the outermost field it was last in."""
    depth, field = 0, ""
    for token in _TOKEN.finditer(text, start):
        if token[0] == "{":
            depth += 1
        elif token[0] == "}":
            depth -= 1
            if depth == 0:
                return token.end(), field
        elif depth == 1 and text[token.end() : token.end() + 20].lstrip().startswith(":"):
            field = token[0].strip('"')
    return None, field


def _decoded(text: str) -> tuple[dict[str, Any] | None, str]:
    try:
        return json.loads(text, object_pairs_hook=_once), ""
    except RecursionError:
        return None, "the answer is nested too deeply to be read"
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        return None, f"the answer is no valid JSON at {place}: {error.msg}"
    except ValueError as error:
        return None, f"the answer cannot be read: {str(error)[:200]}"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        first: set[str] = set()
        twice = next(name for name, _ in pairs if name in first or first.add(name))
        raise ValueError(f"the field {twice[:60]!r} is given twice in one object")
    return data


def _is_prose(text: str) -> bool:
    return bool(re.sub(r"```\w*|\s", "", text))


def _unclosed(text: str, inside: str, cut: bool) -> str:
    where = f" inside {inside[:60]!r}" if inside else ""
    if cut:
        return (
            f"the answer was cut{where} at the token limit, after {len(text)} characters; allow "
            "more output tokens"
        )
    return f"the answer breaks off{where} after {len(text)} characters: its JSON is never closed"


def _absent(text: str, cut: bool) -> str:
    begin = " ".join(text[:300].split())[:80]
    if cut:
        return (
            f"the answer was cut at the token limit before any JSON (it begins with {begin!r}); "
            "allow more output tokens, reasoning may have used them up"
        )
    return f"the answer holds no JSON object; it begins with {begin!r}"

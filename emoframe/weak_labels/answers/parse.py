"""Judges what a model sent: a status with a sentence and, where it holds, a weak label.

A model that is held to a schema still breaks off at its token limit, is filtered, declines, or
speaks of a minute that the video does not have; one that is held to none writes prose around its
JSON. Decided here: `parse` never raises, whatever the text. Confidences are the answer: where a
class is missing, given twice with two values, or outside 0 to 1, the reply is `unparsable`, for a
guess at what was meant would be a label that nobody gave; percentages count as such only where all
of them have the sign. Nothing is rescaled: confidences need not sum to 1. Classes are told by name,
never by position; another case is mended, another word or language is not. The lists around it may
lose entries (see `rows`); what was mended or left out is in the label's notes. A stop by a
filter or by the model decides before the text does: what came through then is a fragment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from emoframe.labelling import Prompt, Reply, Status, WeakLabel
from emoframe.weak_labels.answers.fields import (
    Answer,
    ConfidenceRow,
    Notes,
    answer_schema,
    outline,
)
from emoframe.weak_labels.answers.rationale import compose
from emoframe.weak_labels.answers.rows import match, problem, read_rows
from emoframe.weak_labels.answers.text import find_object
from emoframe.weak_labels.words import cleaned, is_refusal

__all__ = ["Answer", "answer_schema", "compose", "outline", "parse"]


class _UnreadableError(ValueError):
    """What decides the label cannot be read; the message is the sentence."""


def parse(
    reply: Reply, prompt: Prompt, duration_s: float, *, simulated: bool = False
) -> tuple[Status, str, WeakLabel | None]:
    """Make a weak label of what a model sent.

    Args:
        reply: What came back.
        prompt: What was asked: its fields, classes, codes and rules.
        duration_s: Length of the video in seconds; 0 where it is not known.
        simulated: Whether no model ever saw the clip.

    Returns:
        `ok`, nothing, and the label; or `blocked`, `refused` or `unparsable`, a sentence that says
        why, and None.
    """
    reason = f" ({cleaned(reply.reason)[:200]})" if reply.reason else ""
    if reply.finish == "blocked":
        return "blocked", f"the service withheld the answer{reason}", None
    if reply.finish == "refused":
        return "refused", f"the model declined to answer{reason}", None
    if not reply.text.strip():
        return "unparsable", f"{_nothing(reply)}{reason}", None
    asked = tuple(prompt.schema["properties"])
    found = find_object(reply.text, asked, cut=reply.finish == "length")
    if found.data is None:
        if is_refusal(reply.text) and not any(f'"{name}"' in reply.text for name in asked):
            said = cleaned(reply.text[:300])[:120]
            return "refused", f"the model declined to answer: {said!r}", None
        return "unparsable", found.problem, None
    notes = Notes()
    if found.around:
        notes.add("text around the JSON was left out")
    try:
        return "ok", "", _label(found.data, asked, prompt, duration_s, simulated, notes)
    except _UnreadableError as error:
        return "unparsable", str(error), None


def _nothing(reply: Reply) -> str:
    if reply.finish == "length":
        return "nothing was answered before the token limit; allow more output tokens"
    return "the model answered nothing"


def _label(
    data: Mapping[str, Any],
    asked: Sequence[str],
    prompt: Prompt,
    duration_s: float,
    simulated: bool,
    notes: Notes,
) -> WeakLabel:
    unasked = [cleaned(name)[:40] for name in data if name not in asked]
    if unasked:
        notes.add(f"fields that were not asked for were left out: {', '.join(unasked[:5])}")
    abstains = _abstains(data.get("abstain"), notes)
    confidence = _confidences(data.get("confidences"), prompt.classes, abstains, notes)
    rows = read_rows(data, asked, prompt, duration_s, notes)
    highest = [k for k, value in enumerate(confidence or ()) if value == max(confidence or ())]
    if len(highest) > 1 and not abstains:
        notes.add("the highest confidences are equal, which counts as an abstention")
    label = highest[0] if len(highest) == 1 and not abstains else None
    note = data.get("note")
    said = cleaned(note) if isinstance(note, str) else ""
    full, bare = compose(prompt.classes, *rows, confidence, label, said)
    return WeakLabel(prompt.classes, confidence, label, full, bare, *rows, notes.all(), simulated)


def _abstains(given: Any, notes: Notes) -> bool:
    if isinstance(given, str) and given.strip().casefold() in ("true", "false"):
        notes.add("abstain in text was read as true or false")
        given = given.strip().casefold() == "true"
    if given is None:
        notes.add("abstain is missing and was read as false")
        given = False
    if not isinstance(given, bool):
        raise _UnreadableError(f"abstain must be true or false, got {str(given)[:60]!r}")
    return given


def _confidences(
    given: Any, classes: Sequence[str], abstains: bool, notes: Notes
) -> tuple[float, ...] | None:
    """Return the confidence of each class; None where the model abstains and states none."""
    if isinstance(given, dict):
        notes.add("confidences came as a mapping and were read as a list")
        given = [{"class": name, "confidence": value} for name, value in given.items()]
    if abstains and not given:
        return None
    if not isinstance(given, list) or not given:
        raise _UnreadableError("the answer states no confidences")
    stated: dict[str, float] = {}
    for entry in given:
        try:
            row = ConfidenceRow.model_validate(entry, context=notes)
        except ValidationError as error:
            raise _UnreadableError(f"an entry of confidences: {problem(error)}") from error
        name = match(row.label, classes, notes)
        if name is None:
            raise _UnreadableError(
                f"confidences name {row.label[:60]!r}, which is no class ({', '.join(classes)})"
            )
        if stated.setdefault(name, row.confidence) != row.confidence:
            raise _UnreadableError(f"confidences give the class {name!r} two values")
    return _complete(stated, given, classes)


def _complete(
    stated: Mapping[str, float], given: Sequence[Any], classes: Sequence[str]
) -> tuple[float, ...]:
    """Put the confidences into the order of the classes, if none is missing and units agree."""
    percent = ["%" in str(entry["confidence"]) for entry in given]
    if any(percent) and not all(percent):
        raise _UnreadableError("some confidences are percentages and some are not")
    missing = [name for name in classes if name not in stated]
    if missing:
        raise _UnreadableError(f"confidences lack the class {missing[0]!r}")
    return tuple(stated[name] for name in classes)

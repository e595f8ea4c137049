"""The fields of an answer: what each holds, which step asks for it, what is mended when read.

One set of pydantic models says all of it, so that the schema that a service enforces, the words
that tell a model without one, and the judging of what came back cannot drift apart. Decided here:
lists only, no mapping with free keys, which Gemini refuses; every field required and nothing else
allowed, which OpenAI's strict mode wants; no keyword but `type`, `enum`, `items`, `properties` and
`description`, which both know, so that bounds are told in words and checked here; no empty word in
an `enum`, hence `none`. A field whose step a prompt does not have is left out.
Mended is only what can be meant in one way (`"0.7"`, `"70%"`, `"1:05"`), and each time is noted.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, model_validator

from emoframe.weak_labels.words import cleaned

Step = Literal["observe", "map", "rules", "weigh", "reflect", "judge"]
STEPS: tuple[Step, ...] = get_args(Step)
NONE = "none"
MOST_NOTES = 50


class Notes:
    """What had to be mended, each sort once with how often."""

    def __init__(self) -> None:
        """Start without any."""
        self._counts: dict[str, int] = {}

    def add(self, sentence: str) -> None:
        """Keep a sentence."""
        self._counts[sentence] = self._counts.get(sentence, 0) + 1

    def all(self) -> tuple[str, ...]:
        """Return the sentences in the order in which they first came, `MOST_NOTES` at most."""
        said = [
            text if count == 1 else f"{text} ({count} times)"
            for text, count in self._counts.items()
        ]
        more = len(said) - MOST_NOTES
        return tuple(said[:MOST_NOTES] + ([f"{more} more"] if more > 0 else []))


def _note(info: ValidationInfo, sentence: str) -> None:
    if isinstance(info.context, Notes):
        info.context.add(sentence)


def _share(value: Any, info: ValidationInfo) -> float:
    """Read a number in [0, 1], also from `"0.7"` or `"70%"`."""
    number = value
    if isinstance(value, str) and (match := re.fullmatch(r"\s*([\d.]{1,20})\s*(%?)\s*", value)):
        try:
            number = float(match[1]) / (100 if match[2] else 1)
        except ValueError:
            number = value
        else:
            _note(info, f"{'a percentage' if match[2] else 'text'} was read as a number")
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= 1:
        raise ValueError(f"must be a number from 0 to 1, got {_short(value)}")
    return float(number)


def _seconds(value: Any, info: ValidationInfo) -> float:
    """Read seconds, also from `"65.5"`, `"65.5 s"`, `"1:05.5"` or `"00:01:05"`."""
    number = value
    pattern = r"\s*(?:(?:(\d{1,3}):)?(\d{1,3}):)?(\d{1,6}(?:\.\d{1,6})?)\s*(?:s|sec|seconds)?\s*"
    if isinstance(value, str) and (match := re.fullmatch(pattern, value)):
        hours, minutes, seconds = (float(part or 0) for part in match.groups())
        if match[2] is None or seconds < 60:
            number = 3600 * hours + 60 * minutes + seconds
            _note(info, "a time in text was read as seconds")
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise ValueError(f"must be a time in seconds, got {_short(value)}")
    if not abs(number) < 1e9:  # NaN fails too
        raise ValueError(f"must be a time in seconds, got {_short(value)}")
    return float(number)


def _index(value: Any, info: ValidationInfo) -> int:
    number = value
    if isinstance(value, str) and re.fullmatch(r"\s*\d{1,6}\s*", value):
        number = int(value)
        _note(info, "text was read as a number")
    if isinstance(number, float) and math.isfinite(number) and number == int(number):
        number = int(number)
    if isinstance(number, bool) or not isinstance(number, int):
        raise ValueError(f"must be a whole number, got {_short(value)}")
    return number


def _text(value: Any) -> str:
    """Read text; a number, as in a code, is its digits."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"must be text, got {_short(value)}")
    return cleaned(str(value)[:100_000])


def _one_of(*allowed: str, **meant: str) -> BeforeValidator:
    """Accept a word whatever its case, or one that means it; what is unknown is not stated."""

    def read(value: Any, info: ValidationInfo) -> str:
        word = value.strip().casefold() if isinstance(value, str) else value
        word = meant.get(word, word) if isinstance(word, str) else word
        found = next((name for name in allowed if name.casefold() == word), None)
        if found is None and word not in ("", "n/a"):
            _note(info, f"{info.field_name} {_short(value)} is none of {', '.join(allowed)}")
        return found or NONE

    return BeforeValidator(read)


def _short(value: Any) -> str:
    """Show a value in a message, whatever it is."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "a mapping"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


Share = Annotated[float, BeforeValidator(_share)]
Seconds = Annotated[float, BeforeValidator(_seconds)]
Index = Annotated[int, BeforeValidator(_index)]
Text = Annotated[str, BeforeValidator(_text)]
Side = Annotated[
    Literal["left", "right", "both", "none"],
    _one_of("left", "right", "both", NONE, l="left", r="right", b="both", bilateral="both"),
]
Grade = Annotated[Literal["A", "B", "C", "D", "E", "none"], _one_of("A", "B", "C", "D", "E", NONE)]


class Row(BaseModel):
    """One entry of a list. What it does not state is missing, whether absent or null."""

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _stated(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            raise ValueError(f"must be a mapping, got {_short(data)}")
        return {key: value for key, value in data.items() if value is not None}


class UnitRow(Row):
    """A unit that was seen; times in seconds."""

    system: Text = Field(description="the codebook that the code is from")
    code: Text = Field(description="one code of that codebook")
    name: Text = Field("", description="what the code is called")
    start_s: Seconds = Field(description="begin in seconds from the start of the video, as in 65.5")
    end_s: Seconds = Field(description="end in seconds")
    confidence: Share = Field(description="how sure you are that it was seen, from 0 to 1")
    side: Side = Field(NONE, description="of the person, not of the picture")
    intensity: Grade = Field(NONE, description="A (trace) to E (maximum)")
    emotions: tuple[Text, ...] = Field((), description="what it may go along with")
    evidence: Text = Field("", description="what was seen")


class EvidenceRow(Row):
    """An argument for a class."""

    label: Text = Field(alias="class", description="which class it speaks for")
    text: Text = Field(description="the argument")
    units: tuple[Index, ...] = Field(
        (), description="units cited: their places in the list of units, from 0; not their codes"
    )
    rules: tuple[Text, ...] = Field((), description="numbers of the rules cited")
    weight: Share = Field(description="how strong it is, from 0 to 1")


class CorrectionRow(Row):
    """What reflection found."""

    rule: Text = Field(description="number of the rule that was broken")
    evidence: Index = Field(description="what broke it: its place in the list of evidence, from 0")
    text: Text = Field(description="what changes")


class ConfidenceRow(Row):
    """How sure the model is of a class."""

    label: Text = Field(alias="class", description="each class once")
    confidence: Share = Field(description="how sure you are that this class is right, from 0 to 1")


class Answer(BaseModel):
    """All that can be asked for, in the order in which it is thought."""

    units: list[UnitRow]
    evidence: list[EvidenceRow]
    corrections: list[CorrectionRow]
    confidences: list[ConfidenceRow]
    abstain: bool = Field(description="true if what was seen does not suffice")
    note: str = Field(description="what the confidence rests on and what remains uncertain")


_NEEDS: dict[str, Step] = {
    "units": "observe",
    "units.emotions": "map",
    "evidence": "weigh",
    "evidence.units": "observe",
    "evidence.rules": "rules",
    "corrections": "reflect",
}
"""Which step asks for a field; those of `judge` are always there."""


def answer_schema(
    steps: Sequence[str], classes: Sequence[str], systems: Sequence[str], rules: Sequence[str]
) -> dict[str, Any]:
    """Return the JSON Schema of an answer, fit for Gemini and for OpenAI's strict mode.

    Args:
        steps: Those of the prompt, out of `STEPS`; fields of the others are left out.
        classes: Names of the classes.
        systems: Names of the codebooks.
        rules: Numbers of the prior rules.
    """
    full = Answer.model_json_schema(by_alias=True)
    choices = {"class": classes, "system": systems, "rule": rules, "rules": rules}

    def adapted(node: Mapping[str, Any], path: str) -> dict[str, Any]:
        if "$ref" in node:
            return adapted(full["$defs"][node["$ref"].rpartition("/")[2]], path)
        kept = {key: node[key] for key in ("type", "enum", "description") if key in node}
        if "items" in node:
            kept["items"] = adapted(node["items"], path)
        if "properties" in node:
            inner = {key: f"{path}.{key}".lstrip(".") for key in node["properties"]}
            asked = [key for key in inner if _NEEDS.get(inner[key], "judge") in steps]
            kept["properties"] = {k: adapted(node["properties"][k], inner[k]) for k in asked}
            kept |= {"required": asked, "additionalProperties": False}
            del kept["description"]
        elif node["type"] == "string" and (choice := choices.get(path.rpartition(".")[2])):
            kept["enum"] = [*choice]
        return kept

    return adapted(full, "")


def outline(schema: Mapping[str, Any], depth: int = 0) -> str:
    """Say in words which fields a JSON Schema has, for models that are not held to one."""
    lines: list[str] = []
    for key, node in schema["properties"].items():
        items = node.get("items", node)
        kind = _kind(items)
        if node["type"] == "array":
            kind = "list of objects, each with" if "properties" in items else f"list, each {kind}"
        about = f"; {node['description']}" if "description" in node else ""
        lines.append(f"{'  ' * depth}- {key}: {kind}{about}")
        if "properties" in items:
            lines.append(outline(items, depth + 1))
    return "\n".join(lines)


def _kind(node: Mapping[str, Any]) -> str:
    if "enum" in node:
        return "one of " + ", ".join(json.dumps(word, ensure_ascii=False) for word in node["enum"])
    return {"string": "text", "boolean": "true or false", "integer": "a whole number"}.get(
        node["type"], str(node["type"])
    )

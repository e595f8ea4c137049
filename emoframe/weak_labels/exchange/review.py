"""Labels out to Label Studio, for people to correct, and their corrections back as gold.

Decided here: one task per item, one pre-annotation per answer: the units as a timeline, the class,
the rationale. Label Studio counts frames from 1, so that its frame rate travels with the task. Only
what a person changed is changed: a unit that came back with its label and its frames is the very
unit that went out, with its seconds; one that was moved keeps its side, intensity and words; one
that is new has confidence 1. What a probe asked is not reviewed. Files only: no server is spoken
to, and the videos stay where `videos` says. The SDK validates all of it in the tests; it is not
needed to run.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

from emoframe.core.errors import DataError
from emoframe.core.files import write_text
from emoframe.labelling import Unit, WeakLabel
from emoframe.weak_labels.exchange.listing import Listed
from emoframe.weak_labels.exchange.names import is_probe, prompt_name
from emoframe.weak_labels.rows import QuestionKey

CONFIG, TASKS = "label_config.xml", "tasks.json"
ABSTAINED = "(cannot be told)"
"""The choice of a person to whom no class seems right; a data set has none of that name."""
FPS = 25.0

Codes = dict[str, tuple[str, str, str]]
"""Codebook, code and name of each label of the timeline."""


def reviewable(found: Iterable[Listed]) -> list[Listed]:
    """Leave out answers to what a probe asked: they are no labels."""
    return [one for one in found if not is_probe(one.prompt)]


def export_review(
    found: Sequence[Listed],
    folder: Path,
    videos: str,
    fps: float = FPS,
    own_fps: Mapping[tuple[str, str], float] | None = None,
) -> int:
    """Write the labelling interface and the tasks, to be pasted and imported in Label Studio.

    Args:
        found: The answers; those to what a probe asked are left out.
        folder: Gets `label_config.xml` and `tasks.json`.
        videos: Address of a video for Label Studio, with `{item}` or `{clip}` in it.
        fps: Frames per second that Label Studio counts in, of videos whose own are not known.
        own_fps: Those of each (data set, item) where they are known.

    Returns:
        Number of tasks.

    Raises:
        DataError: There is nothing to review, or the files cannot be written.
    """
    shown = [one for one in reviewable(found) if one.item and one.answer.label is not None]
    if not shown:
        raise DataError("no item has a label yet; `emoframe labels ls` shows what there is")
    if not ("{item}" in videos or "{clip}" in videos):
        raise DataError(
            f"videos: {videos!r} must hold {{item}} or {{clip}}, as in 'a/{{item}}.mp4'"
        )
    if not 0 < fps < math.inf:
        raise DataError(f"fps: {fps} must be more than 0")
    made = tasks(shown, videos, fps, own_fps or {})
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / CONFIG, interface(shown))
        write_text(folder / TASKS, json.dumps(made, indent=1))
    except OSError as error:
        raise DataError(f"{folder}: cannot be written ({error.strerror})") from error
    return len(made)


def codes_of(found: Iterable[Listed]) -> Codes:
    """Return every label of the timeline: all codes of the prompts, and those of the units.

    They stand in the order in which people count: 2 before 10.
    """
    codes: Codes = {}
    units: list[Unit] = []
    for one in found:
        for system, book in one.prompt.codes.items():
            codes.update((_label(system, code, name), (system, code, name))
                         for code, name in book.items())  # fmt: skip
        units += one.answer.label.units if one.answer.label else ()
    known = {(system, code) for system, code, _ in codes.values()}
    for unit in units:
        if (unit.system, unit.code) not in known:
            codes.setdefault(
                _label(unit.system, unit.code, unit.name), (unit.system, unit.code, unit.name)
            )
    return dict(sorted(codes.items(), key=lambda one: _counting(" ".join(one[1][:2]))))


def classes_of(found: Iterable[Listed]) -> list[str]:
    """Return the classes that a person chooses from."""
    return list(dict.fromkeys(name for one in found for name in one.prompt.classes))


def label_of(unit: Unit, codes: Codes) -> str:
    """Return what a unit is called on the timeline."""
    named = {(system, code): label for label, (system, code, _) in codes.items()}
    return named[unit.system, unit.code]


def interface(found: Sequence[Listed]) -> str:
    """Return Label Studio's labelling interface for these answers, as XML."""
    view = ET.Element("View")
    ET.SubElement(view, "Header", value="$title")
    ET.SubElement(view, "Video", name="video", value="$video", frameRate="$fps", muted="true")
    timeline = ET.SubElement(view, "TimelineLabels", name="units", toName="video")
    for label in codes_of(found):
        ET.SubElement(timeline, "Label", value=label)
    choices = ET.SubElement(
        view, "Choices", name="label", toName="video", choice="single-radio", required="true"
    )
    for name in (*classes_of(found), ABSTAINED):
        ET.SubElement(choices, "Choice", value=name)
    ET.SubElement(
        view, "TextArea", name="rationale", toName="video", editable="true", rows="6",
        maxSubmissions="1", placeholder="Why",
    )  # fmt: skip
    ET.indent(view)
    return ET.tostring(view, encoding="unicode") + "\n"


def tasks(
    found: Sequence[Listed], videos: str, fps: float, own_fps: Mapping[tuple[str, str], float]
) -> list[dict[str, Any]]:
    """Return Label Studio's tasks for these answers, one per item; see `export_review`."""
    codes = codes_of(found)
    made: dict[tuple[str, str], dict[str, Any]] = {}
    marks: dict[tuple[str, str], dict[str, None]] = {}
    for one in found:
        name = (one.dataset, one.item)
        rate = own_fps.get(name, fps)
        task = made.setdefault(name, _task(one, videos, rate))
        marks.setdefault(name, {}).update(dict.fromkeys(one.marks))
        if one.answer.label is not None:
            task["predictions"].append(_prediction(one, one.answer.label, codes, rate))
    for name, task in made.items():
        task["data"]["title"] += f" ({', '.join(marks[name])})" if marks[name] else ""
    return list(made.values())


def region_name(key: QuestionKey, unit: int | str) -> str:
    """Return the id under which a unit of an answer goes out."""
    return f"{key.prompt[:8]}{key.labeler[:8]}-{key.sample}-{unit}"


def frames(unit: Unit, fps: float) -> tuple[int, int]:
    """Return the first and the last frame of a unit, counted from 1."""
    first = math.floor(unit.start_s * fps) + 1
    return first, max(first, math.ceil(unit.end_s * fps))


def _task(one: Listed, videos: str, fps: float) -> dict[str, Any]:
    address = videos.replace("{item}", quote(one.item)).replace("{clip}", one.answer.key.clip)
    told = {"dataset": one.dataset, "item": one.item, "clip": one.answer.key.clip, "fps": fps}
    return {
        "data": {"video": address, "title": f"{one.dataset} {one.item}", **told},
        "predictions": [],
    }


def _prediction(one: Listed, label: WeakLabel, codes: Codes, fps: float) -> dict[str, Any]:
    key = one.answer.key
    name = f"{one.labeler.name} {prompt_name(one.prompt)} {key.sample}"
    return {
        "model_version": ", ".join((name, *one.marks)),
        "score": max(label.confidence or (0.0,)),
        "result": _result(key, label, codes, fps),
    }


def _result(key: QuestionKey, label: WeakLabel, codes: Codes, fps: float) -> list[dict[str, Any]]:
    choice = ABSTAINED if label.label is None else label.classes[label.label]
    result = [
        _region("label", "choices", region_name(key, "class"), {"choices": [choice]}),
        _region("rationale", "textarea", region_name(key, "why"), {"text": [label.rationale]}),
    ]
    for n, unit in enumerate(label.units):
        first, last = frames(unit, fps)
        ranges = [{"start": first, "end": last}]
        value = {"ranges": ranges, "timelinelabels": [label_of(unit, codes)]}
        result.append(_region("units", "timelinelabels", region_name(key, n), value))
    return result


def _region(control: str, kind: str, name: str, value: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": name, "from_name": control, "to_name": "video", "type": kind, "value": value}


def _counting(text: str) -> list[tuple[bool, int, str]]:
    """Return what puts texts with numbers in them into the order of the numbers."""
    parts = re.split(r"([0-9]+)", text)
    return [(one.isdecimal(), int(one) if one.isdecimal() else 0, one) for one in parts]


def _label(system: str, code: str, name: str) -> str:
    text = f"{system} {code} {name}".strip()
    return "".join(letter if letter.isprintable() else " " for letter in text)

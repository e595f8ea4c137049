"""What people corrected in Label Studio, read from its JSON export and kept as gold.

Decided here: an annotation is taken whole or not at all, and what cannot be taken is told, task by
task; skipped ones are nobody's judgement. Each is kept under its reviewer and its time, so that an
export imported twice is there once, and a later correction by the same person is the one that
counts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Gt
from pydantic import BaseModel, Field, ValidationError

from emoframe.core.errors import DataError
from emoframe.labelling import Unit
from emoframe.weak_labels.exchange.listing import Listed, listing
from emoframe.weak_labels.exchange.review import (
    ABSTAINED,
    Codes,
    classes_of,
    codes_of,
    frames,
    label_of,
    region_name,
    reviewable,
)
from emoframe.weak_labels.plain import mistakes
from emoframe.weak_labels.store import LabelStore, Review


@dataclass(frozen=True)
class Reviewed:
    """What came back.

    Attributes:
        new: How many reviews were new.
        there: How many were there already.
        refused: What could not be taken, a sentence each.
    """

    new: int
    there: int
    refused: tuple[str, ...]


class _Range(BaseModel):
    start: Annotated[float, Gt(0)]
    end: float


class _Value(BaseModel):
    choices: list[str] = Field(default_factory=list[str])
    text: list[str] | str = Field(default_factory=list[str])
    ranges: list[_Range] = Field(default_factory=list[_Range])
    timelinelabels: list[str] = Field(default_factory=list[str])


class _Region(BaseModel):
    id: str = ""
    from_name: str = ""
    value: _Value = Field(default_factory=_Value)


class _Annotation(BaseModel):
    result: list[_Region]
    completed_by: Any = None
    was_cancelled: bool = False
    updated_at: datetime | None = None
    created_at: datetime | None = None


class _Data(BaseModel):
    dataset: str
    item: str
    fps: Annotated[float, Gt(0)]


class _Task(BaseModel):
    id: Any = None
    data: _Data
    annotations: list[_Annotation]


def import_review(store: LabelStore, file: Path) -> Reviewed:
    """Keep the corrections of a JSON export of Label Studio.

    Args:
        store: The store that the tasks came from.
        file: What Label Studio exports as JSON.

    Raises:
        DataError: It is no such export.
    """
    answers = reviewable(listing(store))
    desk = _Desk(answers, codes_of(answers), classes_of(answers), set(store.items()))
    new = there = 0
    refused: list[str] = []
    for number, data in enumerate(_tasks(file), 1):
        try:
            for review in desk.reviews(data):
                is_new = store.add_review(review)
                new, there = new + is_new, there + (not is_new)
        except DataError as error:
            refused.append(f"{file}, task {number}: {error}")
    return Reviewed(new, there, tuple(refused))


def _tasks(file: Path) -> Sequence[Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file}: cannot be read as JSON ({error})") from error
    if not isinstance(found, list):
        raise DataError(f"{file}: is no list of tasks; export as JSON from Label Studio")
    return found


@dataclass(frozen=True)
class _Desk:
    """Turns tasks into reviews.

    Attributes:
        answers: What was asked, with the units that went out.
        codes: Every label of the timeline.
        classes: What a person could choose.
        items: Every (data set, item) that the store knows.
    """

    answers: Sequence[Listed]
    codes: Codes
    classes: Sequence[str]
    items: set[tuple[str, str]]

    def reviews(self, data: Any) -> list[Review]:
        """Read the annotations of one task.

        Raises:
            DataError: It is no task of this store, or an annotation does not fit the interface.
        """
        try:
            task = _Task.model_validate(data)
        except ValidationError as error:
            raise DataError(
                f"is no annotated task of an export as JSON ({mistakes(error)})"
            ) from error
        if (task.data.dataset, task.data.item) not in self.items:
            raise DataError(f"the store knows no item {task.data.item!r} of {task.data.dataset!r}")
        return [self._review(task.data, one) for one in task.annotations if not one.was_cancelled]

    def _review(self, data: _Data, annotation: _Annotation) -> Review:
        by_control: dict[str, list[_Region]] = {}
        for region in annotation.result:
            by_control.setdefault(region.from_name, []).append(region)
        when = annotation.updated_at or annotation.created_at
        if when is None:
            raise DataError("an annotation says neither `updated_at` nor `created_at`")
        return Review(
            data.dataset,
            data.item,
            self._class(by_control.get("label", [])),
            self._units(data, by_control.get("units", [])),
            _reviewer(annotation.completed_by),
            when.astimezone(UTC).isoformat(timespec="microseconds"),
            "\n".join(_text(region) for region in by_control.get("rationale", [])),
        )

    def _class(self, regions: Sequence[_Region]) -> str | None:
        chosen = [name for region in regions for name in region.value.choices]
        if len(chosen) != 1 or chosen[0] not in (*self.classes, ABSTAINED):
            raise DataError(
                f"the class is {', '.join(chosen) or 'not chosen'}; it must be one of "
                f"{', '.join((*self.classes, ABSTAINED))}"
            )
        return None if chosen[0] == ABSTAINED else chosen[0]

    def _units(self, data: _Data, regions: Sequence[_Region]) -> tuple[Unit, ...]:
        sent = self._sent(data)
        units = [
            self._unit(label, span, sent.get(region.id.partition("#")[0]), data.fps)
            for region in regions
            for label in region.value.timelinelabels
            for span in region.value.ranges
        ]
        return tuple(sorted(units, key=lambda unit: (unit.start_s, unit.end_s)))

    def _sent(self, data: _Data) -> Mapping[str, Unit]:
        """Return the units that went out about an item, by the name of their region."""
        return {
            region_name(one.answer.key, n): unit
            for one in self.answers
            if (one.dataset, one.item) == (data.dataset, data.item) and one.answer.label
            for n, unit in enumerate(one.answer.label.units)
        }

    def _unit(self, label: str, span: _Range, sent: Unit | None, fps: float) -> Unit:
        """Return the unit that went out where nothing was changed; else what was made of it."""
        if label not in self.codes:
            raise DataError(f"{label!r} is no label of the interface that was exported")
        if span.end < span.start:
            raise DataError(f"{label!r} ends in frame {span.end}, before it begins")
        times = ((span.start - 1) / fps, span.end / fps)
        system, code, name = self.codes[label]
        if sent is None or label_of(sent, self.codes) != label:
            return Unit(system, code, name, *times, confidence=1.0)
        if frames(sent, fps) == (span.start, span.end):
            return sent
        return replace(sent, start_s=times[0], end_s=times[1], confidence=1.0)


def _reviewer(who: Any) -> str:
    """Name who annotated: by mail address where the export tells it, else by number."""
    if isinstance(who, Mapping):
        who = who.get("email") or who.get("id")
    return "" if who is None else str(who)


def _text(region: _Region) -> str:
    text = region.value.text
    return text if isinstance(text, str) else "\n".join(text)

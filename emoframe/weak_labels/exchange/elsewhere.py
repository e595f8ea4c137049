"""Labels that were made elsewhere, in a spreadsheet or by another program, as answers of a store.

Decided here: a row needs an item (or the key of its clip) and a class, or a confidence for each
class that its file names; a confidence that was not given is never made up. Whatever else it brings
is kept. Who made it becomes a labeler of type `imported`, whose key is a hash of the
name given and the model, so that two sources never mix. A file that an `export` for spreadsheets
wrote is refused: it has lost what a JSONL export keeps.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, Json, ValidationError

from emoframe.core.errors import DataError
from emoframe.labelling import Prompt, Reply, Unit, WeakLabel
from emoframe.weak_labels.plain import as_json, mistakes
from emoframe.weak_labels.rows import Answer, Contents, Kept, LabelerRecord, QuestionKey

CONFIDENCE = "confidence."
"""Begin of the columns of a table that hold the confidence of one class each."""


class Row(BaseModel):
    """One label that was made elsewhere.

    Attributes:
        item: Item of the data set; its clip is looked up in the store.
        clip: `Clip.key`, where the row says it itself.
        dataset: Name of the data set.
        label: Name of the class; None, with confidences, takes the highest.
        confidence: Of each class, in [0, 1].
        rationale: Why.
        rationale_no_verdict: The same without any word about the classes.
        units: What was seen; in a table, as JSON.
        text: The answer as it was sent.
        model: Which model answered.
        prompt: What it was asked.
        sample: Number of the answer.
        at: When, ISO.
        simulated: Whether no model ever saw the clip.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, coerce_numbers_to_str=True)

    item: str = ""
    clip: str = ""
    dataset: str = ""
    label: str | None = None
    confidence: dict[str, Annotated[float, Ge(0), Le(1)]] | None = None
    rationale: str = ""
    rationale_no_verdict: str = ""
    units: tuple[Unit, ...] | Json[tuple[Unit, ...]] = ()
    text: str = ""
    model: str = ""
    prompt: str = ""
    sample: Annotated[int, Ge(0)] = 0
    at: datetime | None = None
    simulated: bool = False


@dataclass
class Elsewhere:
    """Rows that were made elsewhere, read one by one.

    Attributes:
        source: Name of who made them.
        dataset: The data set of rows that name none.
        clips: `Clip.key` of each known (data set, item).
        at: When rows were made that do not say it.
        rows: What could be read, with its clip.
    """

    source: str
    dataset: str
    clips: Mapping[tuple[str, str], str]
    at: datetime
    rows: list[tuple[Row, str]] = field(default_factory=list[tuple[Row, str]])

    def add(self, data: Mapping[str, Any], where: str) -> None:
        """Read one row.

        Raises:
            DataError: It is none, or its item is not known.
        """
        if "prompt_hash" in data:
            raise DataError(
                f"{where}: comes from an export for spreadsheets, which loses much; export that "
                "store as .jsonl, or import the store itself"
            )
        try:
            row = Row.model_validate(_nested(data))
        except ValidationError as error:
            raise DataError(f"{where}: is no label ({mistakes(error)})") from error
        clip = row.clip or self.clips.get((row.dataset or self.dataset, row.item))
        if clip is None:
            raise DataError(
                f"{where}: the store knows no item {row.item!r} of data set "
                f"{row.dataset or self.dataset!r}; name the data set with --dataset, or give the "
                "key of the clip; `emoframe label` adds the items of a data set"
            )
        self.rows.append((row, clip))

    def contents(self) -> Contents:
        """Return what was read as records of a store."""
        classes = tuple(dict.fromkeys(name for row, _ in self.rows for name in _classes(row)))
        prompts, labelers, answers = {}, {}, []
        for row, clip in self.rows:
            prompt = Prompt(row.prompt or self.source, "", row.prompt or self.source, {}, classes)
            labeler = _labeler(self.source, row)
            prompts[prompt.hash], labelers[labeler.key] = prompt, labeler
            key = QuestionKey(clip, prompt.hash, labeler.key, row.sample)
            answers.append(Kept(_answer(key, row, classes, row.at or self.at)))
        return Contents(
            prompts=tuple(prompts.values()),
            labelers=tuple(labelers.values()),
            answers=tuple(answers),
        )


def _nested(data: Mapping[str, Any]) -> dict[str, Any]:
    """Drop empty cells, and gather the columns of confidences of a table."""
    filled = {name: value for name, value in data.items() if not _empty(value)}
    stated = {
        name.removeprefix(CONFIDENCE): filled.pop(name)
        for name in list(filled)
        if name.startswith(CONFIDENCE)
    }
    return {**filled, "confidence": stated} if stated else filled


def _empty(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _classes(row: Row) -> Iterable[str]:
    yield from row.confidence or ()
    if row.label is not None:
        yield row.label


def _labeler(source: str, row: Row) -> LabelerRecord:
    config = {"type": "imported", "name": source, "model": row.model, "simulated": row.simulated}
    key = hashlib.sha256(as_json(config).encode()).hexdigest()
    return LabelerRecord(key, config, {}, row.model, uploads=False, simulated=row.simulated)


def _answer(key: QuestionKey, row: Row, classes: tuple[str, ...], at: datetime) -> Answer:
    when = at.astimezone(UTC).isoformat(timespec="microseconds")
    lacking = [name for name in classes if name not in (row.confidence or classes)]
    reply = Reply(row.text, model=row.model) if row.text else None
    reason = ""
    if row.label is None and row.confidence is None:
        reason = "neither a class nor confidences were given"
    elif row.label is None and lacking:
        reason = f"confidences lack the class {lacking[0]!r}, which other rows of the file name"
    label = None if reason else _weak_label(row, classes, lacking)
    status = "unparsable" if reason else "ok"
    return Answer(key, status, reason, reply, label, 0.0, 0, when, when, {})


def _weak_label(row: Row, classes: tuple[str, ...], lacking: Sequence[str]) -> WeakLabel:
    stated = None if lacking else row.confidence
    confidence = None if stated is None else tuple(stated[name] for name in classes)
    label = None if row.label is None else classes.index(row.label)
    if label is None and confidence:
        highest = max(confidence)
        label = confidence.index(highest) if confidence.count(highest) == 1 else None
    notes = [f"confidences lack the class {name!r} and were left out" for name in lacking[:1]]
    if row.rationale and not row.rationale_no_verdict:
        notes.append("it came without a rationale that tells no verdict")
    return WeakLabel(
        classes, confidence, label, row.rationale, row.rationale_no_verdict, row.units,
        notes=tuple(notes), simulated=row.simulated,
    )  # fmt: skip

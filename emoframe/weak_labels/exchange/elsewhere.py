"""Labels that were made elsewhere, in a spreadsheet or by another program, as answers of a store.

Decided here: a row needs an item (or the key of its clip) and a class, or a confidence for each
class; a confidence that was not given is never made up, and whatever else a row brings is kept. A
class that the data set does not have is refused, and labels are kept in the order of its classes,
whatever the order in the file; only where a store knows no class yet are they those of the file.
Who made labels becomes a labeler of type `imported`, whose key is a hash of the name given and the
model, so that two sources never mix. A file that an `export` for spreadsheets wrote is refused: it
has lost what a JSONL export keeps.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, Json, ValidationError

from emoframe.core.errors import DataError, suggest
from emoframe.labelling import Prompt, Reply, Unit, WeakLabel
from emoframe.weak_labels.exchange.names import is_probe
from emoframe.weak_labels.plain import as_json, mistakes
from emoframe.weak_labels.rows import Answer, Contents, Kept, LabelerRecord, QuestionKey
from emoframe.weak_labels.store import LabelStore

IMPORTED = "imported"
"""Type of a labeler whose labels were made elsewhere."""
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


@dataclass(frozen=True)
class Known:
    """What is known of data sets.

    Attributes:
        clips: `Clip.key` of each (data set, item).
        classes: Names of the classes of each data set, in its order.
    """

    clips: Mapping[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])

    @classmethod
    def of(cls, store: LabelStore) -> Known:
        """Return what a store knows: the classes are those of the last prompt that was asked."""
        clips, classes = store.items(), dict[str, tuple[str, ...]]()
        ours = {one.key for one in store.labelers() if one.config.get("type") != IMPORTED}
        for dataset in {name for name, _ in clips}:
            asked = {one.key.prompt for one in store.answers(dataset) if one.key.labeler in ours}
            for one in store.prompts():
                if one.hash in asked and not is_probe(one.prompt):
                    classes[dataset] = one.prompt.classes
        return cls(clips, classes)

    def more(self, dataset: str, clips: Mapping[str, str], classes: Sequence[str]) -> Known:
        """Add a data set; what is said of it here counts."""
        told = {(dataset, item): clip for item, clip in clips.items()}
        return Known({**self.clips, **told}, {**self.classes, dataset: tuple(classes)})


class _Taken(NamedTuple):
    """A row that can be used, its clip, and the data set whose classes count; empty for none."""

    row: Row
    clip: str
    dataset: str


@dataclass
class Elsewhere:
    """Rows that were made elsewhere, read one by one.

    Attributes:
        source: Name of who made them.
        dataset: The data set of rows that name none.
        known: What is known of data sets.
        at: When rows were made that do not say it.
        rows: What could be read.
    """

    source: str
    dataset: str
    known: Known
    at: datetime
    rows: list[_Taken] = field(default_factory=list[_Taken])

    def add(self, data: Mapping[str, Any], where: str) -> None:
        """Read one row.

        Raises:
            DataError: It is none, its item is not known, or its data set has no such class.
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
        dataset = row.dataset or self.dataset
        clip = row.clip or self.known.clips.get((dataset, row.item))
        if clip is None:
            raise DataError(
                f"{where}: the store knows no item {row.item!r} of data set {dataset!r}; name the "
                "data set with --dataset or --config, or give the key of the clip"
            )
        dataset = dataset or self._dataset_of(clip)
        allowed = self.known.classes.get(dataset, ())
        for name in _classes(row):
            if allowed and name not in allowed:
                raise DataError(
                    f"{where}: {name!r} is no class of {dataset!r}{suggest(name, allowed)} "
                    f"(its classes are {', '.join(allowed)})"
                )
        self.rows.append(_Taken(row, clip, dataset if allowed else ""))

    def contents(self) -> Contents:
        """Return what was read as records of a store."""
        classes = {**self.known.classes, "": self.unchecked}
        prompts, labelers, answers = {}, {}, []
        for row, clip, dataset in self.rows:
            name = row.prompt or self.source
            prompt = Prompt(name, "", name, {}, classes[dataset])
            labeler = _labeler(self.source, row)
            prompts[prompt.hash], labelers[labeler.key] = prompt, labeler
            key = QuestionKey(clip, prompt.hash, labeler.key, row.sample)
            answers.append(Kept(_answer(key, row, prompt.classes, row.at or self.at)))
        return Contents(
            prompts=tuple(prompts.values()),
            labelers=tuple(labelers.values()),
            answers=tuple(answers),
        )

    @property
    def unchecked(self) -> tuple[str, ...]:
        """Classes that are those of the file, since nothing else is known of them."""
        unknown = (name for one in self.rows if not one.dataset for name in _classes(one.row))
        return tuple(dict.fromkeys(unknown))

    def _dataset_of(self, clip: str) -> str:
        """Return the data set that a clip belongs to, where it is one."""
        found = {dataset for (dataset, _), one in self.known.clips.items() if one == clip}
        return found.pop() if len(found) == 1 else ""


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
    config = {"type": IMPORTED, "name": source, "model": row.model, "simulated": row.simulated}
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
        reason = f"confidences lack the class {lacking[0]!r}"
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

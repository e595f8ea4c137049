"""What the label files of iMiGUE say, with every row held against what the release promises.

Decided here: a wrong row is collected, not raised, so that a check tells all of them at once; a
training refuses the first. The label of a video is that of any of its rows, so all must agree.
MiGA's own label files name neither subjects nor gestures, and only `win` and `lose` are taken from
them: which number would stand for which is published nowhere, and is not guessed.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from emoframe.core.errors import DataError
from emoframe.learning.datasets.imigue_files import Tree

COLUMNS = (
    "video_id", "label_id", "start_time", "start_frame", "end_time", "end_frame", "class",
    "subject_id", "subject_gender", "subject_nationality", "win_or_lose",
)  # fmt: skip
NEEDED = ("video_id", "start_frame", "end_frame", "class", "subject_id", "win_or_lose")
OUTCOMES = {"win": "Win", "lose": "Lose"}
GESTURES = frozenset([*range(1, 32), 99])
T = TypeVar("T", int, str)


@dataclass(frozen=True)
class Gesture:
    """One annotated clip.

    Attributes:
        video: Id of its video.
        start: Number of its first frame.
        end: Number of its last frame.
        code: Class in the release's own numbers: 1 to 31, or 99 for no micro-gesture.
    """

    video: int
    start: int
    end: int
    code: int


@dataclass
class Labels:
    """What is known of each video.

    Attributes:
        outcome: `Win` or `Lose`, by video id.
        subject: Who is seen, by video id; empty in the MiGA packaging.
        gestures: The annotated clips, in the file's order; empty in the MiGA packaging.
        problems: A sentence for each row that breaks what the release promises.
        gesture_problems: The same for its clip, which is nothing to who goes by match outcome.
        tells_test: Whether the file names the outcomes of test videos, as the release's own does.
    """

    outcome: dict[int, str] = field(default_factory=dict)
    subject: dict[int, int] = field(default_factory=dict)
    gestures: list[Gesture] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    gesture_problems: list[str] = field(default_factory=list)
    tells_test: bool = False


def read_labels(tree: Tree) -> Labels:
    """Read the release's label file, or MiGA's where that is all there is.

    Raises:
        DataError: There is none, there are several, or one cannot be read or lacks columns.
    """
    if len(tree.labels) > 1:
        raise DataError(
            f"{tree.root}: holds {len(tree.labels)} label files, {tree.labels[0]} and "
            f"{tree.labels[1]} among them; keep one"
        )
    labels = Labels()
    if tree.labels:
        labels.tells_test = True
        _read_release(tree.labels[0], labels)
    elif tree.miga_labels:
        for path in tree.miga_labels:
            _read_miga(path, labels)
    else:
        raise DataError(
            f"{tree.root}: holds no label file; put the release's labels_20200831.csv into Label/, "
            "or MiGA's train_label.csv beside the data"
        )
    return labels


def table(path: Path, needed: tuple[str, ...]) -> list[dict[str, str]]:
    """Read a CSV with a header as text, one mapping per row.

    Raises:
        DataError: It cannot be read, has no row or a ragged one, or lacks a column.
    """
    try:
        # not pandas: it takes the first column for an index where each row ends with a comma
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, *rows = [row for row in csv.reader(file) if row] or [[]]
    except (ValueError, csv.Error, OSError) as error:
        raise DataError(f"{path}: cannot be read as a table: {error}") from error
    columns = [column.strip() for column in header]
    lacking = [column for column in needed if column not in columns]
    if lacking or not rows:
        raise DataError(f"{path}: lacks {', '.join(lacking) or 'rows'}; it has {columns}")
    ragged = [line for line, row in enumerate(rows, 2) if len(row) != len(columns)]
    if ragged:
        raise DataError(f"{path}, line {ragged[0]}: does not have the {len(columns)} columns")
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _read_release(path: Path, labels: Labels) -> None:
    """Read one row per gesture; what a row says of its video must be what the others say."""
    for line, row in enumerate(table(path, NEEDED), 2):
        where = f"{path}, line {line}"
        try:
            video = _whole(row["video_id"])
            subject = _whole(row["subject_id"]) if row["subject_id"].strip() else None
        except ValueError:
            labels.problems.append(f"{where}: video_id and subject_id must be whole numbers")
            continue
        _note(labels, where, video, row["win_or_lose"], subject)
        try:
            start, end, code = (_whole(row[column]) for column in NEEDED[1:4])
        except ValueError:
            labels.gesture_problems.append(
                f"{where}: start_frame, end_frame and class must be whole numbers"
            )
            continue
        wrong = _wrong_gesture(start, end, code)
        if wrong:
            labels.gesture_problems.append(f"{where}: {wrong}")
        else:
            labels.gestures.append(Gesture(video, start, end, code))


def _whole(text: str) -> int:
    """Read a whole number, which a spreadsheet may have written as `3.0`."""
    number = float(text)
    if not number.is_integer():
        raise ValueError(text)
    return int(number)


def _read_miga(path: Path, labels: Labels) -> None:
    for line, row in enumerate(table(path, ("video_id", "label")), 2):
        try:
            video = _whole(row["video_id"])
        except ValueError:
            labels.problems.append(
                f"{path}, line {line}: video_id {row['video_id']!r} is no whole number"
            )
            continue
        _note(labels, f"{path}, line {line}", video, row["label"], None)


def _note(labels: Labels, where: str, video: int, text: str, subject: int | None) -> None:
    """Keep what a row says of its video, unless another row says otherwise."""
    outcome = OUTCOMES.get(text.strip().lower())
    if outcome is None and text.strip():
        # a row may be of a test video, so what it says instead is not shown
        labels.problems.append(f"{where}: the match outcome is neither 'Win' nor 'Lose'")
    _agree(labels, where, labels.outcome, video, outcome, "match outcome")
    _agree(labels, where, labels.subject, video, subject, "subject")


def _agree(
    labels: Labels, where: str, known: dict[int, T], video: int, value: T | None, what: str
) -> None:
    if value is not None and known.setdefault(video, value) != value:
        labels.problems.append(f"{where}: gives video {video:04d} a second {what}")


def _wrong_gesture(start: int, end: int, code: int) -> str:
    if code not in GESTURES:
        return f"class {code} is none of 1 to 31 and 99"
    if not 0 <= start <= end:
        return f"the clip of frames {start} to {end} ends before it starts, or starts before 0"
    return ""

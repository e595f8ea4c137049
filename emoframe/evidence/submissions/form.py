"""The form of a submission file: texts of ids and classes, order and expected ids, as data.

Decided here: a form is a YAML file, never code, so that a text may name a few fields and can ask
nothing of them. What the ids do not fit is refused before anybody spends a submission on it.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal

from annotated_types import Gt

from emoframe.core import config
from emoframe.core.errors import DataError, Problem
from emoframe.core.schema import is_mapping
from emoframe.evidence.tables.judged import some
from emoframe.records import Prediction

ID_FIELDS, FIELDS = ("id", "number"), ("id", "label", "class", "prob_CLASS")


@dataclass(frozen=True)
class Format:
    """The form of a submission file.

    Attributes:
        id: How an item is called: `{id}` is its id here, `{number}` the digits in it as a number,
            so that `{number}` makes `54` of `0054`, and `{number:04d}` the reverse.
        labels: Text of each class, by its name; empty writes the names.
        columns: Text of a cell by the column's head, in order: of `{id}` (as above), `{label}`,
            `{class}` (the class's name) and `{prob_CLASS}`, the probability of a class.
        header: Whether the heads are the first line.
        separator: Between cells.
        order: Of the lines: as in `dataset`, by `id`, or as in the file `ids`.
        ids: File of the expected ids, one a line, as they stand in the submission; null for none.
        count: Number of expected items; null where it is not known.
        protocol: The beginning of the only protocol that this is for; empty for any.
        note: What is not known of the form, told with each submission.
    """

    id: str = "{id}"
    labels: dict[str, str] = field(default_factory=lambda: {})
    columns: dict[str, str] = field(default_factory=lambda: {"id": "{id}", "label": "{label}"})
    header: bool = True
    separator: str = ","
    order: Literal["dataset", "id", "ids"] = "dataset"
    ids: Path | None = None
    count: Annotated[int, Gt(0)] | None = None
    protocol: str = ""
    note: str = ""

    @staticmethod
    def relations(data: Mapping[str, Any]) -> list[Problem]:
        """Find texts with fields that there are not, in unchecked data."""
        columns = data.get("columns")
        cells = columns.items() if is_mapping(columns) else ()
        texts = [("id", data.get("id"), ID_FIELDS)]
        texts += [(f"columns.{head}", cell, FIELDS) for head, cell in cells]
        found = [p for path, text, known in texts for p in _strange(path, text, known)]
        if len(str(data.get("separator", ","))) != 1:
            found.append(Problem("separator", "must be a single character"))
        if data.get("order") == "ids" and not data.get("ids"):
            found.append(Problem("order", "is 'ids', which needs the file `ids`"))
        return found


def load_format(name: str | Path) -> Format:
    """Read the form of a submission.

    Args:
        name: A YAML file, or the name of a shipped one, as `submissions/csv`.

    Raises:
        ConfigError: With everything that is wrong.
    """
    return config.check(Format, config.load(name))


def render(predictions: Sequence[Prediction], classes: Sequence[str], form: Format) -> str:
    """Return the text of a submission.

    Args:
        predictions: In the order of the data set.
        classes: Names of the classes.
        form: The form.

    Raises:
        DataError: A class has no text, an id has no number, or the ids are not those expected.
    """
    labels = form.labels or {name: name for name in classes}
    if set(labels) != set(classes):
        raise DataError(
            f"the format has texts for {', '.join(labels)}, and the classes of the runs are "
            f"{', '.join(classes)}; write `labels` for each of them"
        )
    rows = [(_named(one.id, form.id), one) for one in predictions]
    expected = _expected(form)
    check_ids([name for name, _ in rows], expected, form.count)
    if form.order == "id":
        rows.sort(key=lambda row: row[0])
    elif form.order == "ids" and expected:
        place = {name: n for n, name in enumerate(expected)}
        rows.sort(key=lambda row: place[row[0]])
    text = io.StringIO()
    writer = csv.writer(text, delimiter=form.separator, lineterminator="\n")
    if form.header:
        writer.writerow(form.columns)
    for name, one in rows:
        chosen = classes[one.predicted]
        shares = {f"prob_{c}": float(p) for c, p in zip(classes, one.probability, strict=True)}
        cells = {"id": name, "label": labels[chosen], "class": chosen, **shares}
        writer.writerow([_filled(cell, cells) for cell in form.columns.values()])
    return text.getvalue()


def check_ids(given: Sequence[str], expected: Sequence[str] | None, count: int | None) -> None:
    """Refuse ids that are not those expected, each once.

    Args:
        given: As they would stand in the file.
        expected: What the challenge expects; None where that is not known.
        count: How many it expects; None where that is not known.

    Raises:
        DataError: With how many are missing, unexpected or double, and which.
    """
    expected = expected if expected is None else list(expected)
    twice = [name for name, times in Counter(given).items() if times > 1]
    listed = [name for name, times in Counter(expected or ()).items() if times > 1]
    found = [(twice, "there more than once"), (listed, "more than once in the file of ids")]
    if expected is not None:
        found.append((sorted(set(expected) - set(given)), "missing"))
        found.append((sorted(set(given) - set(expected)), "not expected"))
    wrong = [f"{some(names)} {what}" for names, what in found if names]
    if count is not None and len(given) != count:
        wrong.append(f"{len(given)} items where the format expects {count}")
    if wrong:
        raise DataError(
            f"the submission is not written: {'; '.join(wrong)}; look at the data set's test "
            "items, and at `id`, `ids` and `count` of the format"
        )


def _expected(form: Format) -> list[str] | None:
    if form.ids is None:
        return None
    try:
        lines = form.ids.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the expected ids cannot be read from {form.ids}: {error}") from error
    return [line.strip() for line in lines if line.strip()]


def _named(item: str, text: str) -> str:
    """Return what an item is called in the file."""
    digits = re.findall(r"\d+", item)
    if "{number" in text and len(digits) != 1:
        raise DataError(
            f"{item!r} holds {len(digits)} numbers, so that `{{number}}` is not known; write `id` "
            "of the format with {id}"
        )
    return _filled(text, {"id": item} | ({"number": int(digits[0])} if digits else {}))


def _filled(text: str, values: Mapping[str, Any]) -> str:
    try:
        return text.format_map(values)
    except (KeyError, ValueError) as error:
        raise DataError(
            f"the text {text!r} of the format cannot be filled ({type(error).__name__}: {error}); "
            f"there are {', '.join(values)}"
        ) from error


def _strange(path: str, text: Any, known: Sequence[str]) -> list[Problem]:
    """Find what a text asks for that there is not; attributes and indices are asked of nothing."""
    if not isinstance(text, str):
        return []
    try:
        asked = [name for _, name, _, _ in Formatter().parse(text) if name is not None]
    except ValueError as error:
        return [Problem(path, f"{text!r} is no template: {error}")]
    wrong = [
        name for name in asked
        if name not in known and not (re.fullmatch(r"prob_[^.\[\]]+", name) and len(known) > 2)
    ]  # fmt: skip
    allowed = ", ".join(f"{{{name}}}" for name in known)
    return [Problem(path, f"{{{name}}} is not known (there are {allowed})") for name in wrong]

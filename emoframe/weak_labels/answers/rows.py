"""Turns the lists of an answer into units, evidence and corrections that hold against the prompt.

Decided here: an entry of which a needed field cannot be read, or that names what the prompt does
not know (a code, a class, a rule), is left out whole, words included, and noted; citations follow
those that stay. What was left out is still in the stored reply. A unit's name is the codebook's; an
entry whose code and name belong to two different codes of a system is left out, since either may be
the slip. Times beyond the video are clipped to it; a unit that lies outside, or ends before it
begins, is left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from emoframe.labelling import Correction, Evidence, Prompt, Unit
from emoframe.weak_labels.answers.fields import NONE, CorrectionRow, EvidenceRow, Notes, UnitRow
from emoframe.weak_labels.words import folded

R = TypeVar("R", bound=BaseModel)
Moved = Mapping[int, int]
"""Where entries went, by where the model had them."""


class Rows(NamedTuple):
    """The lists of an answer, as records.

    Attributes:
        units: What was seen, in the order of time.
        evidence: Arguments for the classes.
        corrections: What reflection changed.
    """

    units: tuple[Unit, ...]
    evidence: tuple[Evidence, ...]
    corrections: tuple[Correction, ...]


def read_rows(
    data: Mapping[str, Any], asked: Sequence[str], prompt: Prompt, duration_s: float, notes: Notes
) -> Rows:
    """Read the lists that a prompt asked for.

    Args:
        data: The answer.
        asked: Names of the fields that were asked for.
        prompt: Knows codes, classes and rules.
        duration_s: Length of the video in seconds; 0 where it is not known.
        notes: Takes up what had to be mended or left out.
    """
    seen = _entries(UnitRow, data, "units", asked, notes)
    units, moved = _units(seen, prompt, duration_s, notes)
    argued = _entries(EvidenceRow, data, "evidence", asked, notes)
    evidence, kept = _evidence(argued, prompt, moved, notes)
    found = _entries(CorrectionRow, data, "corrections", asked, notes)
    corrections = [_correction(row, prompt.rules, kept, notes) for row in found.values()]
    return Rows(units, evidence, tuple(row for row in corrections if row))


def match(name: str, choices: Sequence[str], notes: Notes) -> str | None:
    """Find a name among those that were asked for, whatever its case, spaces and quotes."""
    if name in choices:
        return name
    wanted = folded(name.strip(" \"'`.:"))
    found = next((choice for choice in choices if folded(choice) == wanted), None)
    if found is not None:
        notes.add(f"{name[:60]!r} was read as {found!r}")
    return found


def problem(error: ValidationError) -> str:
    """Say what is wrong with an entry, its first mistake."""
    first = error.errors()[0]
    text = "is missing" if first["type"] == "missing" else first["msg"]
    where = ".".join(str(step) for step in first["loc"])
    return f"{where} {text.removeprefix('Value error, ')}".strip()


def _entries(
    model: type[R], data: Mapping[str, Any], field: str, asked: Sequence[str], notes: Notes
) -> dict[int, R]:
    """Read those entries of a list that can be read, by their number."""
    if field not in asked:
        return {}
    given = data.get(field)
    if not isinstance(given, list):
        notes.add(f"{field} is {'missing' if given is None else 'no list and was left out'}")
        return {}
    found: dict[int, R] = {}
    for number, entry in enumerate(given):
        try:
            found[number] = model.model_validate(entry, context=notes)
        except ValidationError as error:
            notes.add(f"an entry of {field} was left out: {problem(error)}")
    return found


def _units(
    rows: Mapping[int, UnitRow], prompt: Prompt, duration_s: float, notes: Notes
) -> tuple[tuple[Unit, ...], Moved]:
    found: list[tuple[int, Unit]] = []
    for number, row in rows.items():
        unit = _coded(row, prompt.codes, notes)
        unit = unit and _timed(unit, duration_s, notes)
        if unit:
            found.append((number, unit))
    found.sort(key=lambda entry: (entry[1].start_s, entry[1].end_s))
    moved = {number: place for place, (number, _) in enumerate(found)}
    return tuple(unit for _, unit in found), moved


def _coded(row: UnitRow, books: Mapping[str, Mapping[str, str]], notes: Notes) -> Unit | None:
    """Find the code that a unit means."""
    system = match(row.system, [*books], notes)
    if system is None:
        known = ", ".join(books)
        notes.add(f"a unit was left out: {row.system[:40]!r} is no codebook asked for ({known})")
        return None
    names = books[system]
    code, side, intensity = _code(row, system, names)
    if code is None:
        notes.add(f"a unit was left out: {system} has no code {row.code[:40]!r} ({row.name[:60]})")
        return None
    meant = [key for key, name in names.items() if _key(name) == _key(row.name)]
    if meant and code not in meant:
        notes.add(f"a unit was left out: {system} {code} is {names[code]}, not {row.name[:60]}")
        return None
    if code != row.code:
        notes.add(f"{system} {row.code[:40]!r} was read as {code!r}")
    return Unit(
        **row.model_dump(include={"start_s", "end_s", "confidence", "evidence"}),
        system=system,
        code=code,
        name=names[code],
        side=side if row.side == NONE else row.side,
        intensity=intensity if row.intensity == NONE else row.intensity,
        emotions=tuple(word for word in row.emotions if word),
    )


def _code(row: UnitRow, system: str, names: Mapping[str, str]) -> tuple[str | None, Any, Any]:
    """Return the code with the side and intensity that are written into it, as in `L12C`."""
    by_key = {_key(code): code for code in names}
    written = _key(row.code).removeprefix(_key(system))
    if (code := by_key.get(written)) is not None:
        return code, "", ""
    parts = re.fullmatch(r"(?:au|ad|mg|class)?([lr]?)(?:au|ad)?0*(\d+)([a-e]?)", written)
    if parts and parts[2] in by_key:
        side = {"l": "left", "r": "right"}.get(parts[1], "")
        return by_key[parts[2]], side, parts[3].upper()
    named = [code for code, name in names.items() if _key(name) in (written, _key(row.name))]
    several = written.isdigit() or "+" in written
    return (named[0] if len(named) == 1 and not several else None), "", ""


def _key(text: str) -> str:
    """Return what of a code or name counts when two are compared; `1+2` is not `12`."""
    apart = re.sub(r"(?<=\d)[\W_]+(?=\d)", "+", folded(text))
    return re.sub(r"[^\w+]|_|(?<!\d)\+|\+(?!\d)", "", apart)


def _timed(unit: Unit, duration_s: float, notes: Notes) -> Unit | None:
    """Keep a unit within the video, if its length is known."""
    last_s = duration_s if duration_s > 0 else math.inf
    if unit.end_s < unit.start_s:
        notes.add("a unit was left out: it ends before it begins")
        return None
    if unit.start_s >= last_s or unit.end_s < 0:
        notes.add(f"a unit was left out: it lies outside the video of {duration_s:.1f} s")
        return None
    inside = replace(unit, start_s=max(unit.start_s, 0.0), end_s=min(unit.end_s, last_s))
    if inside != unit:
        notes.add(f"the times of a unit were clipped to the video of {duration_s:.1f} s")
    return inside


def _evidence(
    rows: Mapping[int, EvidenceRow], prompt: Prompt, moved: Moved, notes: Notes
) -> tuple[tuple[Evidence, ...], Moved]:
    found: dict[int, Evidence] = {}
    for number, row in rows.items():
        label = match(row.label, prompt.classes, notes)
        if label is None:
            known = ", ".join(prompt.classes)
            notes.add(f"evidence was left out: {row.label[:60]!r} is no class ({known})")
            continue
        units = tuple(dict.fromkeys(moved[unit] for unit in row.units if unit in moved))
        rules = [_rule(rule, prompt.rules) for rule in row.rules]
        if len(units) < len(set(row.units)):
            notes.add("evidence cited a unit that is not there; the citation was left out")
        if None in rules and prompt.rules:
            notes.add("evidence cited a rule that is not there; the citation was left out")
        cited = tuple(dict.fromkeys(rule for rule in rules if rule))
        found[number] = Evidence(label, row.text, units, cited, row.weight)
    return tuple(found.values()), {number: place for place, number in enumerate(found)}


def _correction(
    row: CorrectionRow, rules: Mapping[str, str], kept: Moved, notes: Notes
) -> Correction | None:
    rule = _rule(row.rule, rules)
    if rule is None or row.evidence not in kept:
        what = "a rule" if rule is None else "evidence"
        notes.add(f"a correction was left out: it names {what} that is not there")
        return None
    return Correction(rule, kept[row.evidence], row.text)


def _rule(text: str, rules: Mapping[str, str]) -> str | None:
    """Read `R1`, `r1`, `1` or `Rule 1`."""
    number = re.fullmatch(r"(?:rule|r)?\s*0*(\d{1,4})", folded(text))
    return f"R{number[1]}" if number and f"R{number[1]}" in rules else None

"""Puts a parsed answer into words, with the verdict and without.

The text branch reads these, never what a model wrote as a whole, so that equal fields give equal
texts whoever answered. Decided here: units stand in the order of time, class arguments in the order
of the classes; confidences of single units are left out; the times of a unit are said once, before
it, and taken out of its words where these repeat them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from emoframe.labelling import Correction, Evidence, Unit
from emoframe.weak_labels.words import STOPS, without_verdict

BRIEF_S = 0.3
"""Length below which times are told with two digits, in seconds."""
NEAR_S = 0.06
"""Distance within which two times are the same as told, in seconds."""
_TIMES = re.compile(r" from (\d+(?:\.\d+)?) s to (\d+(?:\.\d+)?) s\b")


def compose(
    classes: Sequence[str],
    units: Sequence[Unit] = (),
    evidence: Sequence[Evidence] = (),
    corrections: Sequence[Correction] = (),
    confidence: Sequence[float] | None = None,
    label: int | None = None,
    note: str = "",
) -> tuple[str, str]:
    """Return the rationale in full, and without its verdict (W2S-27).

    The second leaves out confidences, every argument for a class, and of the model's remaining
    words each sentence that names a class or holds a word of a verdict. It may betray the verdict
    all the same, by what was found worth telling and by the words chosen for it; how much it does
    is measured, not assumed, see `emoframe labels agree`.

    Args:
        classes: Names of the classes.
        units: What was seen.
        evidence: Arguments for the classes.
        corrections: What reflection changed.
        confidence: Of each class as stated.
        label: Index of the verdict; None for an abstention.
        note: What the model added.
    """

    def neutral(text: str) -> str:
        return without_verdict(text, classes)

    full = [_seen(unit, unit.evidence, unit.emotions) for unit in units]
    bare = [
        _seen(unit, neutral(unit.evidence), [word for word in unit.emotions if neutral(word)])
        for unit in units
    ]
    for name in classes:
        full += [
            _line(f"For {name} (weight {row.weight:.2f}{_cited(row, units)})", row.text)
            for row in evidence
            if row.label == name
        ]
    full += [_line(f"Corrected by {row.rule}", row.text) for row in corrections]
    bare += [
        _line(f"Corrected by {row.rule}", text)
        for row in corrections
        if (text := neutral(row.text))
    ]
    if confidence is not None:
        stated = zip(classes, confidence, strict=True)
        full.append(
            "Confidence: " + ", ".join(f"{name} {value:.2f}" for name, value in stated) + "."
        )
    full.append("Verdict: " + (f"{classes[label]}." if label is not None else "none."))
    return "\n".join([*full, *_given(note)]), "\n".join([*bare, *_given(neutral(note))])


def _seen(unit: Unit, evidence: str, emotions: Sequence[str]) -> str:
    marks = [unit.side, f"intensity {unit.intensity}" if unit.intensity else ""]
    marks.append(f"goes along with {', '.join(emotions)}" if emotions else "")
    said = "; ".join(mark for mark in marks if mark)
    digits = 1 if unit.end_s - unit.start_s >= BRIEF_S else 2
    times = f"{unit.start_s:.{digits}f} to {unit.end_s:.{digits}f} s"
    start = f"{times}: {' '.join(filter(None, (unit.system, unit.code, unit.name)))}"
    return _line(f"{start} ({said})" if said else start, untimed(unit, evidence))


def untimed(unit: Unit, evidence: str) -> str:
    """Take the unit's own times out of its words; other times stay."""

    def without(found: re.Match[str]) -> str:
        near = zip(map(float, found.groups()), (unit.start_s, unit.end_s), strict=True)
        return "" if all(abs(told - own) <= NEAR_S for told, own in near) else found[0]

    return _TIMES.sub(without, evidence).strip()


def _cited(row: Evidence, units: Sequence[Unit]) -> str:
    names = ", ".join(units[index].name for index in row.units)
    return "".join(f"; {part}" for part in (names, ", ".join(row.rules)) if part)


def _line(start: str, text: str) -> str:
    """End with a full stop, whatever the model wrote."""
    whole = f"{start}: {text}" if text else start
    return whole if whole[-1] in STOPS else f"{whole}."


def _given(note: str) -> list[str]:
    return [_line("Note", note)] if note else []

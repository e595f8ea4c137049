"""The report of `emoframe labels probe`: a verdict in words for each way to know too much.

Decided here: LEAK is said where an interval lies above its baseline, or where there is nothing to
weigh (a name in a rationale). Where it does not, the sentence says so and how much may still be
there; that nothing was found is no proof that nothing is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from emoframe.evidence.labels.labelled import Material, TrainingItems, asked_or_error
from emoframe.evidence.labels.pages import Report, Section, both, cell, clear, row_of
from emoframe.evidence.probe.names import Recognition, recognition
from emoframe.evidence.probe.probe import (
    Claim,
    Elsewhere,
    Split,
    Variant,
    Words,
    claim,
    elsewhere,
    split,
    variant,
    words,
)
from emoframe.evidence.probe.prompts import FULL, STILL, Questions, questions, same_names
from emoframe.evidence.stats import Interval
from emoframe.weak_labels.store import LabelStore

LEAK, CLEAR, UNCLEAR = "LEAK", "no leak seen", "cannot be told"
SMALL = 0.1
"""A difference of accuracies that is excluded where none is said to be seen."""
MOST_NAMED = 10
"""Most items that a line names."""
_BETRAYS = {
    "identity": "that somebody was recognised",
    "result": "a known result",
    "screen": "that text in the picture was read",
    "name": "the name that the labeler gave when asked",
}
NOT_LOOKING = (
    "This labeler does not look at the video, so it can recognise nobody, and hiding more of the "
    "video changes nothing: it was not asked."
)


def probe_report(items: TrainingItems, store: LabelStore) -> Report:
    """Report what the store holds of the questions of a probe.

    Raises:
        DataError: There are no weak labels of the config's prompt to judge.
    """
    asked = questions(items)
    labels = items.material(store, asked.labels[FULL])
    asked_or_error(labels, store)
    person = items.material(store, asked.person[FULL])
    found = recognition(person)
    sections: list[Section] = []
    if items.reads_video:
        event, result = (items.material(store, one) for one in (asked.event, asked.result))
        answered = [row.item for row in person.answered.rows]
        sections = [
            _person(found, person),
            _event(recognition(event), event),
            _claims(claim(result), result),
            _split(split(labels, found.names, answered)),
            _shown(items, store, asked, labels),
        ]
    else:
        sections = [Section("Does it recognise anybody?", (NOT_LOOKING,))]
    sections += [
        _words(words(labels, found.names)),
        _elsewhere(elsewhere(items, store, asked.probes)),
    ]
    about = (
        f"{labels.name} on {len(labels.rows)} labelled training videos of {labels.dataset}. What "
        "was claimed is compared with gold of training items alone. Names stay in the label store."
    )
    verdicts = tuple(f"{one.title} {one.lines[0]}" for one in sections)
    whole = (Section("Verdicts", verdicts), *sections)
    return Report("What the labeler knows beyond what it should", about, whole, labels.marks)


def _person(found: Recognition, material: Material) -> Section:
    rows = (
        row_of("the person is named with confidence", found.named, 0.0, found.count),
        row_of(
            "the same name over clips of a subject, and not of others (baseline: names shuffled, "
            "mean and 95 % quantile)",
            found.consistent,
            f"{found.shuffled[0]:.3f}, {found.shuffled[1]:.3f}",
            found.judged,
        ),
    )
    verdict = _person_verdict(found)
    return Section("Does it recognise the person?", (verdict, *_failed(material)), rows)


def _person_verdict(found: Recognition) -> str:
    if not isinstance(found.named, Interval) or not found.names:
        return _unnamed("the person", found)
    share = f"it names the person in {len(found.names)} of {found.count} videos, {found.named}"
    if found.goes_with_subjects:
        return (
            f"{LEAK}: {share}, and names go with the subjects: {found.consistent} of the clips "
            "of subjects with several get their subject's own name, "
            f"{found.shuffled[0]:.3f} by chance."
        )
    if isinstance(found.consistent, Interval):
        return (
            f"{UNCLEAR}: {share}, but names do not go with the subjects more than by chance "
            f"({found.consistent} against {found.shuffled[0]:.3f}): they may be guesses."
        )
    return f"{LEAK}: {share}; whether names go with the subjects is {found.consistent}."


def _event(found: Recognition, material: Material) -> Section:
    """Report events; many people are seen at one, so names need not go with subjects."""
    row = row_of("the event is named with confidence", found.named, 0.0, found.count)
    if not isinstance(found.named, Interval) or not found.names:
        verdict = _unnamed("the event", found)
    else:
        different = len(set(same_names([*found.names.values()])))
        verdict = (
            f"{LEAK}: it names the event in {len(found.names)} of {found.count} videos, "
            f"{found.named}, {different} different; nothing here tells whether they are right."
        )
    return Section("Does it recognise the event?", (verdict, *_failed(material)), (row,))


def _unnamed(what: str, found: Recognition) -> str:
    if not isinstance(found.named, Interval):
        return f"{UNCLEAR}: {found.named}."
    return (
        f"{CLEAR}: it names {what} in 0 of {found.count} videos, {found.named}; up to "
        f"{found.named.high:.0%} may still be recognised, and a model may know without telling."
    )


def _claims(found: Claim, material: Material) -> Section:
    rows = (
        row_of("a result is claimed", found.claims, 0.0, found.count),
        row_of("the claimed result is right", found.right, found.majority, found.claimed),
    )
    share = f"it claims to know the result of {found.claimed} of {found.count} videos"
    against = f"{cell(found.right)}, and the most frequent class would be in {found.majority:.3f}"
    if not isinstance(found.claims, Interval):
        verdict = f"{UNCLEAR}: {found.claims}."
    elif not found.claimed:
        verdict = f"{CLEAR}: {share}; a model may know without telling."
    elif clear(found.right, found.majority):
        verdict = f"{LEAK}: {share}, and is right in {against}."
    else:
        verdict = f"{UNCLEAR}: {share}; right are {against}, so chance may explain it."
    return Section("Does it know the result?", (verdict, *_failed(material)), rows)


def _split(found: Split) -> Section:
    one, other = found.counts
    rows = (
        row_of("accuracy of identified videos", found.identified, found.majorities[0], one),
        row_of("accuracy of unidentified videos", found.unidentified, found.majorities[1], other),
        row_of("the first less the second", found.gap, 0.0, one + other),
    )
    return Section("Are labels better where it knows the person?", (_split_verdict(found),), rows)


def _split_verdict(found: Split) -> str:
    told = both(found.identified, found.unidentified)
    if not isinstance(found.gap, Interval):
        return f"{UNCLEAR}: {told}; their difference is {found.gap}."
    if clear(found.gap):
        return f"{LEAK}: labels are right in {told} of the others; the difference is {found.gap}."
    word = CLEAR if found.gap.high < SMALL else UNCLEAR
    return (
        f"{word}: labels are right in {told} of the others; the difference is {found.gap}, so up "
        f"to {max(found.gap.high, 0):.3f} may be there."
    )


def _shown(items: TrainingItems, store: LabelStore, asked: Questions, labels: Material) -> Section:
    found = {
        name: variant(
            labels,
            items.material(store, asked.labels[name]),
            items.material(store, asked.person[name]),
        )
        for name in asked.labels
    }
    rows = tuple(_variant(name, one) for name, one in found.items())
    lines = [_still_verdict(found.get(STILL), found[FULL])]
    lines += [f"{name}: {one.why}." for name, one in found.items() if one.why]
    lines += [f"{name}: {_split_verdict(one.split)}" for name, one in found.items() if name != FULL]
    return Section("What is left where less is shown?", tuple(lines), rows)


def _variant(name: str, one: Variant) -> dict[str, Any]:
    return {
        "shown": name,
        "accuracy": one.accuracy,
        "majority": one.majority if one.count else "",
        "n": one.count,
        "as shown less this": "" if name == FULL else one.loss,
        "named": one.named,
        "identified": one.split.identified,
        "unidentified": one.split.unidentified,
        "their difference": one.split.gap,
    }


def _still_verdict(still: Variant | None, full: Variant) -> str:
    """Judge a single picture: near is what keeps half of what the whole has above the majority."""
    if still is None:
        return (
            f"{UNCLEAR}: the config shows one frame only, so there is nothing to compare it with."
        )
    if not isinstance(still.accuracy, Interval) or not isinstance(full.accuracy, Interval):
        return f"{UNCLEAR}: one frame scores {cell(still.accuracy)}, all {cell(full.accuracy)}."
    told = (
        f"one frame scores {still.accuracy}, the whole video {full.accuracy}, the most frequent "
        f"class {full.majority:.3f}; the loss is {cell(still.loss)}"
    )
    if not clear(full.accuracy, full.majority):
        return f"{UNCLEAR}: {told}. The whole video is not above the majority for certain."
    gained, kept = full.accuracy.value - full.majority, still.accuracy.value - full.majority
    if kept >= gained / 2:
        return (
            f"{LEAK}: {told}. One picture keeps {kept / gained:.0%} of what the video has above "
            "the majority, so most of it needs no movement: who or where it is, or text, may tell."
        )
    return f"{CLEAR}: {told}. Most of the score needs the video."


def _words(found: Words) -> Section:
    rows = tuple(
        {
            "betrays": _BETRAYS[kind],
            "items": len(items),
            "of rationales": found.rationales,
            "which": _listed(items),
        }
        for kind, items in found.items.items()
    )
    count = len({item for items in found.items.values() for item in items})
    said = f"{count} items have words of identity, result or screen in a rationale"
    share = f"{said}; share of rationales {cell(found.share)}"
    if not found.rationales:
        verdict = f"{UNCLEAR}: there is no rationale."
    elif count:
        verdict = f"{LEAK}: {share}."
    else:
        verdict = f"{CLEAR}: {share}. The lists are English, and silence proves nothing."
    return Section("Do rationales betray it?", (verdict,), rows)


def _elsewhere(found: Elsewhere) -> Section:
    places: dict[str, Sequence[str]] = {"validation": found.validation, "test": found.test}
    rows = tuple(
        {"split": name, "items with a weak label": len(items), "which": _listed(items)}
        for name, items in places.items()
    )
    lines = [
        (
            f"{LEAK if found.test else CLEAR}: {len(found.validation)} validation items and "
            f"{len(found.test)} test items have a weak label. As targets they may be learnt from "
            "only in the transductive setting, which every result has to say."
        )
    ]
    if found.why:
        lines.append(f"Validation items are not known: {found.why}.")
    return Section("Are there labels where nothing may be learnt?", tuple(lines), rows)


def _failed(material: Material) -> list[str]:
    """Say how many questions brought no answer that can be read."""
    lost = [row for row in material.rows if row.answers and row.label is None]
    never = sum(not row.answers for row in material.rows)
    lines: list[str] = []
    if lost:
        lines.append(
            f"{len(lost)} questions brought nothing; the first: {lost[0].status}, "
            f"{lost[0].answers[0].reason}."
        )
    if never:
        lines.append(f"{never} videos were not asked about.")
    return lines


def _listed(items: Sequence[str]) -> str:
    more = f" and {len(items) - MOST_NAMED} more" if len(items) > MOST_NAMED else ""
    return ", ".join(items[:MOST_NAMED]) + more

"""What a probe asks: who is this, where is this, how did it end.

The opposite of a labeler's prompt, which forbids all three (`emoframe.weak_labels.prompt.GUARD`);
so these are made here, from nothing but the classes and the task. Decided here: each question is a
call of its own, since one that knows the person is tempted to deduce the rest; the answer has the
fields of the common answer, where `recognised` and `not recognised` are the classes, so that it is
judged, stored and counted as every other; a name stands beside it. A name that is not given with
confidence is no name.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from emoframe.evidence.labels.labelled import TrainingItems
from emoframe.labelling import Prompt, Show
from emoframe.weak_labels.answers.parse import answer_schema, outline
from emoframe.weak_labels.answers.text import find_object
from emoframe.weak_labels.store import Answer

Asks = Literal["person", "event", "result"]
KNOWN = ("recognised", "not recognised")
SURE = 0.5
"""Least confidence with which somebody counts as named."""
_NOBODY = {"", "unknown", "none", "n/a", "na", "no", "nobody", "not recognised", "unidentified"}
_SYSTEM = """\
You take part in a test of how much can be known about a video beyond what the person in it does.
Say what you know. Do not be polite, and do not guess: what you do not know is a valid answer."""
_NAME = (
    "Give the name in `name`, empty if you do not recognise {it}. In `confidences` say how sure "
    "you are that you recognise {it}, and that you do not. Set `abstain` to true if you cannot say."
)
_TEXTS: dict[Asks, str] = {
    "person": "Who is the person in this video? " + _NAME.format(it="them"),
    "event": "At which event, tournament or place, and in which year, was this video taken? "
    + _NAME.format(it="it"),
    "result": """\
Do you know, from anything but how the person behaves, which of the classes is true of this video?
It may be that you know the person, the event or its outcome, or that something in the picture tells
it. Do not judge behaviour. In `confidences` say how sure you are of each class. Set `abstain` to
true if you know nothing but behaviour.""",
}
FULL, BLURRED, MASKED, STILL = "as shown", "face blurred", "background masked", "one frame"
_NAMED = {"type": "string", "description": "the name; empty if there is none to give"}


def probe_prompt(
    asks: Asks, classes: Sequence[str], task: str = "", show: Show | None = None
) -> Prompt:
    """Make a question that a labeler's prompt forbids.

    Args:
        asks: For what.
        classes: Names of the classes of the data set.
        task: What was filmed and what the classes mean.
        show: What of the clip is shown along.
    """
    judged = tuple(classes) if asks == "result" else KNOWN
    schema: dict[str, Any] = answer_schema(("judge",), judged, (), ())
    if asks != "result":
        schema["properties"] = {"name": _NAMED, **schema["properties"]}
        schema["required"] = ["name", *schema["required"]]
    about = f"{task.strip()}\n\n" if task.strip() else ""
    text = (
        f"{about}{_TEXTS[asks]}\n\nAnswer with one JSON object and nothing else. It has these "
        f"fields, all of them required:\n{outline(schema)}"
    )
    return Prompt(f"probe_{asks}", _SYSTEM, text, schema, judged, show=show or Show())


@dataclass(frozen=True)
class Questions:
    """Every prompt of a probe.

    Attributes:
        labels: The config's own prompt, by what is shown.
        person: Who it is, by what is shown.
        event: Which event it is, all shown.
        result: How it ended, all shown.
    """

    labels: Mapping[str, Prompt]
    person: Mapping[str, Prompt]
    event: Prompt
    result: Prompt

    def all(self) -> dict[str, Prompt]:
        """Return them by what they ask for, in the order of asking."""
        found = {f"labels, {name}": one for name, one in self.labels.items()}
        found |= {f"person, {name}": one for name, one in self.person.items()}
        return {**found, "event": self.event, "result": self.result}

    @property
    def probes(self) -> list[str]:
        """Hashes of those whose answers are no weak labels."""
        return [one.hash for one in (*self.person.values(), self.event, self.result)]


def questions(items: TrainingItems) -> Questions:
    """Return what a probe asks about the items of an experiment."""
    own, task = items.prompt(), items.settings.task
    shown = variants(own.show)
    return Questions(
        {name: replace(own, show=one) for name, one in shown.items()},
        {name: probe_prompt("person", items.classes, task, one) for name, one in shown.items()},
        probe_prompt("event", items.classes, task, own.show),
        probe_prompt("result", items.classes, task, own.show),
    )


def variants(show: Show) -> dict[str, Show]:
    """Return what may be hidden beyond what a prompt hides already, by name; all of it first."""
    less = {
        FULL: show,
        BLURRED: replace(show, faces="blur"),
        MASKED: replace(show, background="mask"),
        STILL: replace(show, frames="one"),
    }
    return {name: one for name, one in less.items() if name == FULL or one != show}


def name_in(answer: Answer) -> str:
    """Return who or what an answer names with confidence; empty where it does not."""
    label = answer.label
    sure = label is not None and label.label == 0 and bool(label.confidence)
    if label is None or answer.reply is None or not sure or (label.confidence or (0.0,))[0] < SURE:
        return ""
    data = find_object(answer.reply.text, ("name",), cut=False).data or {}
    name = data.get("name")
    said = " ".join(name.split()) if isinstance(name, str) else ""
    return "" if said.casefold().strip(".") in _NOBODY else said


def same_names(names: Sequence[str]) -> list[str]:
    """Spell names alike: without case and accents; a part of one name of all is that name."""
    plain = [_words(name) for name in names]
    long = {one for one in plain if len(one) > 1}
    found: list[str] = []
    for one in plain:
        wider = [other for other in long if set(one) < set(other)]
        found.append(" ".join(wider[0] if one and len(wider) == 1 else one))
    return found


def _words(name: str) -> tuple[str, ...]:
    letters = unicodedata.normalize("NFKD", name.casefold())
    kept = "".join(c if c.isalnum() else " " for c in letters if not unicodedata.combining(c))
    return tuple(kept.split())

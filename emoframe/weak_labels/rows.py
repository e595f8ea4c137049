"""The records of a label store: one frozen dataclass per sort of row.

Decided here: a row, a line of JSON and a program hold the same record, so that two stores are the
same where their `Contents` are equal. Times are text in one form (`now`), so that they compare.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple

from annotated_types import Ge, Lt

from emoframe.labelling import Prompt, Reply, Status, Unit, WeakLabel

Count = Annotated[int, Ge(0), Lt(1 << 53)]
Dollars = Annotated[float, Ge(0), Lt(1e9)]
"""Never less than nothing: a sum of them is held against a budget."""
CallState = Literal["open", "done", "failed", "unknown"]
"""A call in flight; one with an answer; one that was not paid; one that may have been paid."""
FINAL: frozenset[Status] = frozenset({"ok", "blocked", "unparsable", "refused"})
"""How a question ends that is never asked again."""


class QuestionKey(NamedTuple):
    """What makes two questions the same.

    Attributes:
        clip: `Clip.key`.
        prompt: `Prompt.hash`.
        labeler: `LabelerRecord.key`.
        sample: Number of the answer, from 0.
    """

    clip: str
    prompt: str
    labeler: str
    sample: Count


@dataclass(frozen=True)
class LabelerRecord:
    """Who is asked.

    Attributes:
        key: Sha256 in hex over everything that decides its answers.
        config: Its `type` and all its parameters.
        versions: Versions of the packages that it needs.
        model: What the price table calls the model; empty where nothing is charged.
        uploads: Whether anything of a clip leaves the machine.
        simulated: Whether no model ever sees the clip.
    """

    key: str
    config: Mapping[str, Any]
    versions: Mapping[str, str]
    model: str
    uploads: bool
    simulated: bool

    @property
    def name(self) -> str:
        """How people are told of it: its type, and the beginning of its key."""
        return f"{self.config.get('type', 'labeler')}@{self.key[:8]}"


@dataclass(frozen=True)
class Answer:
    """How one question ended.

    Attributes:
        key: The question.
        status: How it ended.
        reason: A sentence where that is not `ok`.
        reply: What came back; None where nothing did.
        label: What was made of it; None where nothing could be.
        usd: What the call cost in US dollars; None where no price or no count of tokens is known.
        calls: Calls that were made for it.
        asked_at: When, UTC, as `now` writes it.
        answered_at: When, UTC, as `now` writes it.
        versions: Versions of the packages that asked and parsed.
    """

    key: QuestionKey
    status: Status
    reason: str
    reply: Reply | None
    label: WeakLabel | None
    usd: Dollars | None
    calls: Count
    asked_at: str
    answered_at: str
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Kept:
    """An answer as it lies in a store.

    Attributes:
        answer: The answer.
        call: `Call.uid` of the call that brought it; empty where it came from elsewhere.
    """

    answer: Answer
    call: str = ""


@dataclass(frozen=True)
class Call:
    """One call, from before it was sent.

    Attributes:
        uid: Its name in every store.
        key: The question.
        state: How it ended; `open` while it is in flight.
        reserved_usd: The most that it may cost, US dollars.
        usd: What it cost; None while that is not known, and then it counts as `reserved_usd`.
        reason: Why there is no answer.
        at: When it was reserved, UTC.
        ended_at: When it ended; empty while it is in flight.
        host: Machine of the process that sends it.
        pid: That process.
        started: When that process began, in the words of its machine.
        id: Its number in this store, for `settle` and `fail`; not part of what it is.
    """

    uid: str
    key: QuestionKey
    state: CallState
    reserved_usd: Dollars
    usd: Dollars | None
    reason: str
    at: str
    ended_at: str
    host: str
    pid: Count
    started: str
    id: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Item:
    """Which clip an item of a data set stands for, from a time on."""

    dataset: str
    item: str
    clip: str
    at: str


@dataclass(frozen=True)
class Batch:
    """Questions that a service works through later.

    Attributes:
        name: Name that it was submitted under, unique in the store.
        labeler: `LabelerRecord.key`.
        keys: The questions, in the order of submission.
        job: What the service calls it; None while it is not known to be submitted.
        at: When it was recorded, UTC; before it was submitted.
        closed_at: When it was collected or given up; empty while it is open.
    """

    name: str
    labeler: str
    keys: tuple[QuestionKey, ...]
    job: str | None
    at: str
    closed_at: str


@dataclass(frozen=True)
class Review:
    """What a person found right after looking at a clip: gold.

    Attributes:
        dataset: Name of the data set.
        item: Its item.
        label: Name of the class; None where it cannot be told.
        units: What is seen, in the order of time.
        reviewer: Who.
        at: When, UTC.
        rationale: Why, as corrected.
    """

    dataset: str
    item: str
    label: str | None
    units: tuple[Unit, ...]
    reviewer: str
    at: str
    rationale: str = ""


@dataclass(frozen=True)
class Opening:
    """A look at the test labels of a data set.

    Attributes:
        dataset: Name of the data set.
        run: Folder or name of the run that looked.
        prompt: `Prompt.hash` of the weak labels that it had learnt from; None where it had none.
        at: When, UTC.
    """

    dataset: str
    run: str
    prompt: str | None
    at: str


@dataclass(frozen=True)
class Consent:
    """That somebody read the terms of a data set and allowed its upload."""

    dataset: str
    terms: str
    at: str


@dataclass(frozen=True)
class Measure:
    """Something that was found out about the labels of a prompt and a labeler.

    Attributes:
        dataset: On whose training items.
        prompt: `Prompt.hash`.
        labeler: `LabelerRecord.key`.
        what: What was measured, such as `noise_matrix`.
        content: JSON, as whoever measured it reads it.
        at: When, UTC.
    """

    dataset: str
    prompt: str
    labeler: str
    what: str
    content: str
    at: str


@dataclass(frozen=True)
class PromptUse:
    """A stored prompt.

    Attributes:
        prompt: The prompt, whole.
        hash: `Prompt.hash`.
        first_used: When it was first asked, UTC; None where it never was.
    """

    prompt: Prompt
    hash: str
    first_used: str | None


@dataclass(frozen=True)
class Contents:
    """Everything in a store; two stores with equal contents are the same."""

    prompts: tuple[Prompt, ...] = ()
    labelers: tuple[LabelerRecord, ...] = ()
    items: tuple[Item, ...] = ()
    calls: tuple[Call, ...] = ()
    answers: tuple[Kept, ...] = ()
    reviews: tuple[Review, ...] = ()
    openings: tuple[Opening, ...] = ()
    consents: tuple[Consent, ...] = ()
    batches: tuple[Batch, ...] = ()
    measures: tuple[Measure, ...] = ()


def now() -> str:
    """Return the time in UTC, in the one form in which times can be compared as text."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def is_time(text: str) -> bool:
    """Say whether a text is a time in that form."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return False
    return at.tzinfo is UTC and at.isoformat(timespec="microseconds") == text

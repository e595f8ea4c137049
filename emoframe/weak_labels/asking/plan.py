"""What is left to ask, and what that would cost, before anything is sent.

Decided here: what is answered is not asked again unless its status is named, nor is what waits in a
batch; a question that ended in `quota` or `error` was not answered. A plan is an upper bound: each
clip is opened without its pictures, for its length, and the labeler says the most tokens that a
question about it can take; no key and no service is needed. What was spent before stands beside it,
since a budget counts both.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from emoframe.labelling import Prompt, Question, Status, Usage
from emoframe.weak_labels.asking.calls import add, sentence
from emoframe.weak_labels.asking.inquiry import Asked
from emoframe.weak_labels.asking.price import Table, cost, find, no_price
from emoframe.weak_labels.rows import FINAL, LabelerRecord, QuestionKey
from emoframe.weak_labels.store import LabelStore


@dataclass(frozen=True)
class Plan:
    """What is left to ask one model, and the most that it can cost.

    Attributes:
        labeler: Who would be asked.
        model: What the price table calls the model; empty where nothing is charged.
        prompt: Hash of what would be asked.
        videos: Clips about which something is left to ask.
        questions: Questions that are left.
        answered: Questions that have ended, and are not asked again.
        waiting: Questions in batches.
        usage: The most tokens.
        usd: The most US dollars; None where the price is not known.
        batch_usd: The same in a batch; None where the labeler takes none.
        spent: US dollars that the store has spent, calls in flight and unknown ones included.
        unknown: Calls of before that may have been paid without an answer.
        price: By which row of the price table, of when.
        warnings: Things to know, a sentence each.
    """

    labeler: str
    model: str
    prompt: str
    videos: int = 0
    questions: int = 0
    answered: int = 0
    waiting: int = 0
    usage: Usage = field(default_factory=Usage)
    usd: float | None = None
    batch_usd: float | None = None
    spent: float = 0.0
    unknown: int = 0
    price: str = ""
    warnings: tuple[str, ...] = ()


def left(
    questions: Iterable[Asked],
    store: LabelStore,
    record: LabelerRecord,
    prompt: Prompt,
    retry: Collection[Status] = (),
) -> list[Asked]:
    """Return what of some questions is to be asked.

    Args:
        questions: All that are wanted.
        store: What is known.
        record: Who is asked.
        prompt: What.
        retry: Statuses that are asked again all the same.
    """
    ended = store.statuses(prompt.hash, record.key)
    done = {key for key, status in ended.items() if status in FINAL.difference(retry)}
    done |= {call.key for call in store.calls("open")}
    found = list[Asked]()
    for asked in questions:
        keys = [QuestionKey(asked.clip, prompt.hash, record.key, n) for n in asked.samples]
        if open_ := tuple(key.sample for key in keys if key not in done):
            found.append(replace(asked, samples=open_))
    return found


def plan(
    questions: Sequence[Asked],
    labeler: Any,
    record: LabelerRecord,
    prompt: Prompt,
    prices: Table | None = None,
) -> Plan:
    """Sum up what is left, without any call.

    Args:
        questions: What would be asked.
        labeler: Who would be.
        record: What the store calls it.
        prompt: What.
        prices: Price table; None takes the shipped one.

    Returns:
        The plan; what a store knows of before is for its reader to fill in.
    """
    usage, usd, batch_usd, warnings = Usage(), 0.0, 0.0, list[str]()
    for asked in questions:
        try:
            with asked.glimpsed() as clip:
                one = labeler.tokens(Question(clip, prompt))
        except Exception as error:  # a broken file, or the code of a plugin: the rest is summed up
            warnings.append(f"{asked.item}: is not in the sums: {sentence(error)}")
            continue
        for _ in asked.samples:
            usage = add(usage, one)
        usd += (cost(record.model, one, False, prices) or 0.0) * len(asked.samples)
        batch_usd += (cost(record.model, one, True, prices) or 0.0) * len(asked.samples)
    match = find(record.model, prices) if record.model else None
    known = match is not None or not record.model
    if not known:
        warnings.insert(0, no_price(record.model, prices))
    return Plan(
        record.name,
        record.model,
        prompt.hash,
        videos=len(questions),
        questions=sum(len(asked.samples) for asked in questions),
        usage=usage,
        usd=usd if known else None,
        batch_usd=batch_usd if known and hasattr(labeler, "submit") else None,
        price=match.said if match else "" if record.model else "nothing is charged",
        warnings=tuple(warnings),
    )

"""Batches: questions that a service works through later, at a lower price.

Decided here: a batch is in the store, under a name of its own, before anything of it is reserved
or sent. So after a kill it is known what to look for: a batch that the service knows by its name is
taken over, one that it does not know was never submitted, and its questions are free again. Nothing
is submitted twice. Uploads of a batch are left to the service to drop, since who collects it may be
another process than who sent it. A service may list a new batch a little late: one that was not
seen to arrive counts as never submitted only after a while (`How.grace_s`).
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from emoframe.core.errors import ComponentError, DataError
from emoframe.labelling import CallError, Clip, Question, Reply
from emoframe.weak_labels.asking.ask import Summary, counted, shut
from emoframe.weak_labels.asking.calls import (
    broken,
    check_price,
    give_up,
    judged,
    price,
    sentence,
)
from emoframe.weak_labels.asking.inquiry import Asked, Inquiry, Listener
from emoframe.weak_labels.rows import Answer, Batch, QuestionKey
from emoframe.weak_labels.store import BudgetError

MOST_QUESTIONS, MOST_BYTES = 100, 2 << 30
"""Of one batch: its clips are rendered all at once, so many, and so large on the disk."""
METHODS = ("submit", "find", "collect")


def check_batches(labeler: Any) -> None:
    """See that a labeler works in batches.

    Raises:
        DataError: It does not.
    """
    if lacking := [name for name in METHODS if not hasattr(labeler, name)]:
        raise DataError(
            f"{type(labeler).__name__} takes no batches (it has no {', '.join(lacking)}); leave "
            "--batch out"
        )


def collect(
    questions: Mapping[str, Asked], inquiry: Inquiry, listener: Listener | None = None
) -> Summary:
    """Fetch the answers of every batch that is done, and say which are not.

    Args:
        questions: What is known of each clip, by its key.
        inquiry: Whom and what.
        listener: Who is told of each question as it ends.

    Raises:
        DataError: The labeler takes no batches.
        EmoframeError: The store cannot be written.
    """
    check_batches(inquiry.labeler)
    desk = _Desk(inquiry, listener or Listener())
    for batch in inquiry.store.batches(open_only=True):
        prompts = {key.prompt for key in batch.keys}
        if batch.labeler == inquiry.record.key and prompts == {inquiry.prompt.hash}:
            desk.fetch(batch, questions)
    return desk.done


def submit(
    questions: Iterable[Asked], inquiry: Inquiry, listener: Listener | None = None
) -> Summary:
    """Send questions in batches, up to the budget; `collect` fetches the answers another time.

    Args:
        questions: What to ask; nothing that waits in a batch already.
        inquiry: Whom and what; the labeler is closed at the end.
        listener: Who is told of each question that could not be put.

    Raises:
        DataError: The labeler takes no batches, or there is a budget and no price.
        EmoframeError: The store cannot be written.
    """
    check_batches(inquiry.labeler)
    check_price(inquiry.record, inquiry.how)
    inquiry.store.add_prompt(inquiry.prompt)
    inquiry.store.add_labeler(inquiry.record)
    desk = _Desk(inquiry, listener or Listener())
    waiting = deque((asked, sample) for asked in questions for sample in asked.samples)
    while waiting and not desk.done.stopped:
        desk.send(waiting)
    return desk.done + Summary(notes=shut(inquiry.labeler))


@dataclass
class _Desk:
    """Sends and fetches batches, and counts what became of their questions."""

    inquiry: Inquiry
    listener: Listener
    done: Summary = field(default_factory=Summary)

    def send(self, waiting: deque[tuple[Asked, int]]) -> None:
        """Submit one batch of the first questions that can be put and paid for."""
        with ExitStack() as stack:
            questions, prices = self._opened(waiting, stack)
            name, keys = self._reserve(questions, prices)
            if not keys:
                return
            try:
                job = self._call("submit", name, questions[: len(keys)])
            except ComponentError as error:  # it cannot work at all, so nothing was sent
                self._not_sent(name, keys, CallError(str(error)))
                raise
            if isinstance(job, CallError):
                self._not_sent(name, keys, job)
                return
            self.inquiry.store.set_job(name, job)
            said = f"batch {name}: {len(keys)} questions were submitted as {job}"
            self.done += Summary(notes=(said,), pending=len(keys))

    def _call(self, method: str, *given: Any) -> Any:
        """Call a labeler; what goes wrong is returned, unless it cannot work at all."""
        labeler = self.inquiry.labeler
        try:
            return getattr(labeler, method)(*given)
        except ComponentError:
            raise
        except CallError as error:
            return error
        except Exception as error:  # the code of a plugin may break after it was paid, too
            return CallError(str(broken(labeler, method, error)), paid=True)

    def _opened(
        self, waiting: deque[tuple[Asked, int]], stack: ExitStack
    ) -> tuple[list[Question], list[float]]:
        """Take as many questions as make a batch, render their clips and count the dollars.

        What cannot be put is an answer of its own.
        """
        clips: dict[str, Clip] = {}
        questions, dollars, size = list[Question](), list[float](), 0
        while waiting and len(questions) < MOST_QUESTIONS:
            asked, sample = waiting[0]
            if size >= MOST_BYTES and asked.clip not in clips:
                break
            waiting.popleft()
            try:
                if asked.clip not in clips:
                    clips[asked.clip] = clip = stack.enter_context(asked.opened())
                    size += clip.path.stat().st_size if clip.path else 0
                question = Question(clips[asked.clip], self.inquiry.prompt, sample)
                usd = price(self.inquiry, question, batch=True)
            except Exception as error:  # a broken file costs its own questions alone
                key = self.inquiry.key(asked.clip, sample)
                self._tell(asked, give_up(self.inquiry, key, CallError(sentence(error))))
                continue
            questions.append(question)
            dollars.append(usd or 0.0)
        return questions, dollars

    def _reserve(
        self, questions: Sequence[Question], dollars: Sequence[float]
    ) -> tuple[str, list[QuestionKey]]:
        """Enter a batch, then each of its calls as far as the budget goes; say what is in it."""
        store, labeler = self.inquiry.store, self.inquiry.record.key
        keys = [self.inquiry.key(one.clip.key, one.sample) for one in questions]
        name, fits = _new_name(), 0
        if not keys:
            return name, keys
        store.add_batch(name, labeler, keys)
        try:
            for key, usd in zip(keys, dollars, strict=True):
                store.reserve(key, usd, self.inquiry.how.budget)
                fits += 1
        except BudgetError as error:
            self.done += Summary(stopped=str(error))
        if fits == len(keys):
            return name, keys
        shorter = _new_name()
        if fits:
            store.add_batch(shorter, labeler, keys[:fits])
        store.close_batch(name)
        return shorter, keys[:fits]

    def _not_sent(self, name: str, keys: Sequence[QuestionKey], error: CallError) -> None:
        why = f"batch {name} could not be submitted: {error}"
        if error.paid:  # it may have arrived; the next run asks the service for it
            why += "; run again with --batch, which looks whether it arrived"
            self.done += Summary(stopped=why, pending=len(keys))
            return
        self.done += Summary(stopped=why)
        self._free(name, keys, str(error))

    def _free(self, name: str, keys: Sequence[QuestionKey], reason: str) -> None:
        """End a batch whose questions never were put, and their calls."""
        for call in self._calls(keys).values():
            self.inquiry.store.fail(call, reason, False)
        self.inquiry.store.close_batch(name)

    def _calls(self, keys: Sequence[QuestionKey]) -> dict[QuestionKey, int]:
        """Return the call in flight of each question."""
        wanted, calls = set(keys), self.inquiry.store.calls("open")
        return {one.key: one.id for one in calls if one.key in wanted}

    def fetch(self, batch: Batch, questions: Mapping[str, Asked]) -> None:
        """Take the answers of a batch in, if it is done."""
        job = batch.job or self._arrived(batch)
        if job is None:
            return
        replies = self._call("collect", job)
        if isinstance(replies, CallError):
            if not self._is_lost(batch, replies):
                self._wait(batch, f"cannot be asked for now ({replies})")
                return
            replies = [replies] * len(batch.keys)
        if replies is None:
            self._wait(batch, "is not done")
            return
        self._take(batch, replies, questions)

    def _arrived(self, batch: Batch) -> str | None:
        """Look for a batch that was not seen to arrive; one that never did is given up."""
        job = self._call("find", batch.name)
        age_s = (datetime.now(UTC) - datetime.fromisoformat(batch.at)).total_seconds()
        if isinstance(job, CallError):
            self._wait(batch, f"cannot be asked for now ({job})")
        elif job is not None:
            self.inquiry.store.set_job(batch.name, job)
            return job
        elif (left_s := self.inquiry.how.grace_s - age_s) > 0:
            why = "was not seen to arrive, and the service does not list it yet"
            self._wait(batch, f"{why}; unless it does, it is given up in {left_s / 60:.0f} minutes")
        else:
            why = f"batch {batch.name} never reached the service"
            self._free(batch.name, batch.keys, why)
            self.done += Summary(notes=(f"{why}; its questions are asked anew",))
        return None

    def _is_lost(self, batch: Batch, error: CallError) -> bool:
        """Say whether what was paid for is known to be lost.

        It is not where trying again may help, nor where the service does not talk to us at all.
        """
        if error.retry or error.paid:
            return False
        return not isinstance(self._call("find", batch.name), CallError)

    def _wait(self, batch: Batch, why: str) -> None:
        said = (
            f"batch {batch.name} of {len(batch.keys)} questions, {batch.at[:16]}, {why}; run again "
            "later with --batch"
        )
        self.done += Summary(notes=(said,), pending=len(batch.keys))

    def _take(
        self, batch: Batch, replies: Sequence[Reply | CallError], questions: Mapping[str, Asked]
    ) -> None:
        calls = self._calls(batch.keys)
        lacking = CallError("the service sent no answer for this question of the batch")
        for n, key in enumerate(batch.keys):
            if key not in calls:
                continue  # it was taken in before a kill
            reply = replies[n] if n < len(replies) else lacking
            asked = questions.get(key.clip)
            if isinstance(reply, Reply):
                answer = judged(self.inquiry, key, reply, _duration_s(asked), batch=True)
                self.inquiry.store.settle(calls[key], answer)
            else:
                self.inquiry.store.fail(calls[key], str(reply), reply.paid)
                answer = give_up(self.inquiry, key, reply, 1)
            self._tell(asked, answer)
        self.inquiry.store.close_batch(batch.name)

    def _tell(self, asked: Asked | None, answer: Answer) -> None:
        self.done += counted(answer)
        if asked:  # a clip may have left its data set since it was asked about
            self.listener.on_row(asked, answer)


def _new_name() -> str:
    return f"emoframe-{uuid.uuid4().hex}"


def _duration_s(asked: Asked | None) -> float:
    """Return the length of a clip; 0, not known, where it cannot be opened any more."""
    try:
        with asked.glimpsed() if asked else nullcontext() as clip:
            return clip.duration_s if clip else 0.0
    except Exception:  # the answer was paid, and comes without a length rather than not at all
        return 0.0

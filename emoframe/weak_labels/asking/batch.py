"""Batches: questions that a service works through later, at a lower price.

Decided here: a batch is in the store, under a name of its own, before anything of it is reserved
or sent. So after a kill it is known what to look for: a batch that the service knows by its name is
taken over, one that it does not know was never submitted, and its questions are free again. Nothing
is submitted twice. Uploads of a batch are left to the service to drop, since who collects it may be
another process than who sent it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from emoframe.core.errors import ComponentError, DataError
from emoframe.labelling import CallError, Clip, Prompt, Question, Reply
from emoframe.weak_labels.asking.ask import Asked, OnRow, Summary, counted, shut
from emoframe.weak_labels.asking.calls import Caller, broken, check_price, judged, price, sentence
from emoframe.weak_labels.asking.limits import Halt, How
from emoframe.weak_labels.rows import Answer, Batch, LabelerRecord, QuestionKey
from emoframe.weak_labels.store import BudgetError, LabelStore

MOST_QUESTIONS = 100
"""Of one batch: so many clips are rendered at a time."""
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
    questions: Mapping[str, Asked],
    labeler: Any,
    record: LabelerRecord,
    prompt: Prompt,
    store: LabelStore,
    how: How | None = None,
    on_row: OnRow = lambda asked, answer: None,
) -> Summary:
    """Fetch the answers of every batch that is done, and say which are not.

    Args:
        questions: What is known of each clip, by its key.
        labeler: Who was asked.
        record: What the store calls it.
        prompt: What was asked.
        store: Where answers go.
        how: Limits.
        on_row: Told of each question as it ends.

    Raises:
        DataError: The labeler takes no batches.
        EmoframeError: The store cannot be written.
    """
    check_batches(labeler)
    desk = _Desk(Caller(labeler, record, prompt, store, how or How(), Halt()), on_row)
    for batch in store.batches(open_only=True):
        if batch.labeler == record.key and {key.prompt for key in batch.keys} == {prompt.hash}:
            desk.fetch(batch, questions)
    return desk.done


def submit(
    questions: Iterable[Asked],
    labeler: Any,
    record: LabelerRecord,
    prompt: Prompt,
    store: LabelStore,
    how: How | None = None,
    on_row: OnRow = lambda asked, answer: None,
) -> Summary:
    """Send questions in batches, up to the budget; `collect` fetches the answers another time.

    Args:
        questions: What to ask; nothing that waits in a batch already.
        labeler: Who is asked; closed at the end.
        record: What the store calls it.
        prompt: What is asked.
        store: Where the batches are remembered.
        how: Limits.
        on_row: Told of each question that could not be put.

    Raises:
        DataError: The labeler takes no batches.
        EmoframeError: The store cannot be written.
    """
    check_batches(labeler)
    check_price(record, how := how or How())
    store.add_prompt(prompt)
    store.add_labeler(record)
    desk = _Desk(Caller(labeler, record, prompt, store, how, Halt()), on_row)
    pairs = ((asked, sample) for asked in questions for sample in asked.samples)
    while not desk.done.stopped and (chunk := list(islice(pairs, MOST_QUESTIONS))):
        desk.send(chunk)
    return desk.done + Summary(notes=shut(labeler))


@dataclass
class _Desk:
    """Sends and fetches batches, and counts what became of their questions."""

    caller: Caller
    on_row: OnRow
    done: Summary = field(default_factory=Summary)

    def send(self, chunk: Sequence[tuple[Asked, int]]) -> None:
        """Submit one batch of the questions that can be put and paid for."""
        with ExitStack() as stack:
            questions, prices = self._opened(chunk, stack)
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
            self.caller.store.set_job(name, job)
            said = f"batch {name}: {len(keys)} questions were submitted as {job}"
            self.done += Summary(notes=(said,), pending=len(keys))

    def _call(self, method: str, *given: Any) -> Any:
        """Call a labeler; what goes wrong is returned, unless it cannot work at all."""
        labeler = self.caller.labeler
        try:
            return getattr(labeler, method)(*given)
        except ComponentError:
            raise
        except CallError as error:
            return error
        except Exception as error:  # the code of a plugin may break after it was paid, too
            return CallError(str(broken(labeler, method, error)), paid=True)

    def _opened(
        self, chunk: Sequence[tuple[Asked, int]], stack: ExitStack
    ) -> tuple[list[Question], list[float]]:
        """Render the clips and count the dollars; what cannot be put is an answer of its own."""
        clips: dict[str, Clip] = {}
        questions, dollars = list[Question](), list[float]()
        for asked, sample in chunk:
            try:
                if asked.clip not in clips:
                    clips[asked.clip] = stack.enter_context(asked.opened())
                question = Question(clips[asked.clip], self.caller.prompt, sample)
                usd = price(self.caller.labeler, question, self.caller.how.prices, batch=True)
            except Exception as error:  # a broken file costs its own questions alone
                key = self.caller.key(asked.clip, sample)
                self._tell(asked, self.caller.give_up(key, CallError(sentence(error))))
                continue
            questions.append(question)
            dollars.append(usd or 0.0)
        return questions, dollars

    def _reserve(
        self, questions: Sequence[Question], dollars: Sequence[float]
    ) -> tuple[str, list[QuestionKey]]:
        """Enter a batch, then each of its calls as far as the budget goes; say what is in it."""
        store, labeler = self.caller.store, self.caller.record.key
        keys = [self.caller.key(one.clip.key, one.sample) for one in questions]
        name, fits = _new_name(), 0
        if not keys:
            return name, keys
        store.add_batch(name, labeler, keys)
        try:
            for key, usd in zip(keys, dollars, strict=True):
                store.reserve(key, usd, self.caller.how.budget)
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
            self.caller.store.fail(call, reason, False)
        self.caller.store.close_batch(name)

    def _calls(self, keys: Sequence[QuestionKey]) -> dict[QuestionKey, int]:
        """Return the call in flight of each question."""
        wanted = set(keys)
        return {one.key: one.id for one in self.caller.store.calls("open") if one.key in wanted}

    def fetch(self, batch: Batch, questions: Mapping[str, Asked]) -> None:
        """Take the answers of a batch in, if it is done."""
        job = batch.job or self._call("find", batch.name)
        if isinstance(job, CallError):
            self._wait(batch, f"cannot be asked for now ({job})")
            return
        if job is None:
            why = f"batch {batch.name} never reached the service"
            self._free(batch.name, batch.keys, why)
            self.done += Summary(notes=(f"{why}; its questions are asked anew",))
            return
        if batch.job is None:
            self.caller.store.set_job(batch.name, job)
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
                answer = judged(self.caller, key, reply, _duration_s(asked), batch=True)
                self.caller.store.settle(calls[key], answer)
            else:
                self.caller.store.fail(calls[key], str(reply), reply.paid)
                answer = self.caller.give_up(key, reply, 1)
            self._tell(asked, answer)
        self.caller.store.close_batch(batch.name)

    def _tell(self, asked: Asked | None, answer: Answer) -> None:
        self.done += counted(answer)
        if asked:  # a clip may have left its data set since it was asked about
            self.on_row(asked, answer)


def _new_name() -> str:
    return f"emoframe-{uuid.uuid4().hex}"


def _duration_s(asked: Asked | None) -> float:
    """Return the length of a clip; 0, not known, where it cannot be opened any more."""
    try:
        with asked.glimpsed() if asked else nullcontext() as clip:
            return clip.duration_s if clip else 0.0
    except Exception:  # the answer was paid, and comes without a length rather than not at all
        return 0.0

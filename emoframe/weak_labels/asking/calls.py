"""One question to its end: reserve, call, wait and try again, judge, settle.

Decided here: each attempt is reserved at the most that it can cost before it is sent and settled
after it, so that a budget holds whatever happens in between. A reservation that does not fit waits
for calls in flight, which cost less than their bound, before it gives up. A server that says "too
many" slows everybody down: the pause is one for all threads.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import Any, cast

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential_jitter,
)

from emoframe.core.errors import ComponentError, DataError, EmoframeError
from emoframe.labelling import CallError, Clip, Question, Reply, Status, Usage
from emoframe.weak_labels.answers.parse import parse
from emoframe.weak_labels.asking.inquiry import Inquiry
from emoframe.weak_labels.asking.limits import Halt, How, Pause, StoppedError
from emoframe.weak_labels.asking.price import cost, no_price
from emoframe.weak_labels.rows import Answer, Contents, Kept, LabelerRecord, QuestionKey, now
from emoframe.weak_labels.store import BudgetError

LONGEST_WAIT_S = 600.0
"""A server that asks to wait longer is asked again by the next run."""
MOST_BACKOFF_S = 60.0


@dataclass
class Caller:
    """Puts questions, from several threads.

    Args:
        inquiry: Whom and what.
        halt: Tells when to stop.
    """

    inquiry: Inquiry
    halt: Halt
    pause: Pause = field(default_factory=Pause)
    _room: threading.Condition = field(default_factory=threading.Condition)
    _flying: int = 0

    def ask(self, clip: Clip, sample: int) -> Answer:
        """Put one question until there is an answer, a reason why not, or a halt; it is stored.

        Raises:
            StoppedError: There was a halt before there was an answer.
            ComponentError: The labeler cannot work at all.
            EmoframeError: The store cannot be written.
        """
        question = Question(clip, self.inquiry.prompt, sample)
        key, asked_at = self.inquiry.key(clip.key, sample), now()
        attempts = 0

        def attempt() -> tuple[int, Reply]:
            nonlocal attempts
            self.pause.wait(self.halt)
            call = self._reserve(key, price(self.inquiry, question) or 0.0)
            attempts += 1
            return call, self._call(call, question)

        backoff = wait_exponential_jitter(
            self.inquiry.how.backoff_s, MOST_BACKOFF_S, jitter=self.inquiry.how.backoff_s
        )
        retrying = Retrying(
            stop=stop_after_attempt(self.inquiry.how.attempts),
            wait=lambda state: self._wait(backoff(state), state),
            retry=retry_if_exception(_may_succeed_later),
            sleep=self.halt.sleep,
            reraise=True,
        )
        try:
            call, reply = retrying(attempt)
        except CallError as error:
            return give_up(self.inquiry, key, error, attempts, asked_at)
        try:
            answer = judged(self.inquiry, key, reply, clip.duration_s)
            answer = replace(answer, calls=attempts, asked_at=asked_at)
            self.inquiry.store.settle(call, answer)
        finally:
            self._landed()
        return answer

    def _call(self, call: int, question: Question) -> Reply:
        """Put a question once; a call that brings no reply is entered as such."""
        try:
            self.pause.wait(self.halt)  # it may have begun while the call was entered
            reply = self.inquiry.labeler.ask(question)
            if not isinstance(reply, Reply):
                raise TypeError(f"it returned {type(reply).__name__}, which is no Reply")
        except (StoppedError, ComponentError) as error:  # a halt, or what it needs is missing
            self._failed(call, f"was not sent: {error}", paid=False)
            raise
        except CallError as error:
            if error.status == "quota" and _may_succeed_later(error):
                self.pause.extend(error.after_s or self.inquiry.how.backoff_s)
            self._failed(call, str(error), error.paid)
            raise
        except Exception as error:  # whatever the code of a plugin does; nobody else may suffer
            fault = broken(self.inquiry.labeler, "ask", error)
            unsent = isinstance(error, DataError)  # the clip could not be read
            self._failed(call, str(fault), paid=bool(self.inquiry.record.model) and not unsent)
            raise fault from error
        except BaseException as error:  # whoever waits for room would wait for ever
            self._failed(call, f"was broken off ({error!r})", paid=bool(self.inquiry.record.model))
            raise
        return reply

    def _failed(self, call: int, reason: str, paid: bool) -> None:
        try:
            self.inquiry.store.fail(call, reason, paid)
        finally:
            self._landed()

    def _reserve(self, key: QuestionKey, usd: float) -> int:
        """Enter a call; where it does not fit, wait for those in flight, whose bounds are high."""
        with self._room:
            while True:
                self.halt.sleep(0)
                try:
                    call = self.inquiry.store.reserve(key, usd, self.inquiry.how.budget)
                except BudgetError as error:
                    if not self._flying:
                        self.halt.call(str(error))
                        raise StoppedError(str(error)) from error
                    self._room.wait()
                else:
                    self._flying += 1
                    return call

    def _landed(self) -> None:
        with self._room:
            self._flying -= 1
            self._room.notify_all()

    def _wait(self, backoff_s: float, state: RetryCallState) -> float:
        """Say how long to wait before the next attempt, and hold the others up as well at a 429."""
        error = state.outcome.exception() if state.outcome else None
        assert isinstance(error, CallError)  # nothing else is tried again
        seconds = max(backoff_s, error.after_s or 0.0)
        if error.status == "quota":
            self.pause.extend(seconds)
        return seconds


def give_up(
    inquiry: Inquiry, key: QuestionKey, error: CallError, calls: int = 0, asked_at: str = ""
) -> Answer:
    """Store that a question ended without a reply; what its calls cost is entered already."""
    asked_at, versions = asked_at or now(), inquiry.record.versions
    status = cast("Status", error.status)
    lost = Answer(key, status, str(error), None, None, 0.0, calls, asked_at, now(), versions)
    inquiry.store.merge(Contents(answers=(Kept(lost),)))  # it belongs to no call
    return lost


def judged(
    inquiry: Inquiry, key: QuestionKey, reply: Reply, duration_s: float, *, batch: bool = False
) -> Answer:
    """Make an answer of a reply; what was paid for is kept, whatever it holds."""
    try:
        status, reason, label = parse(
            reply, inquiry.prompt, duration_s, simulated=inquiry.record.simulated
        )
    except Exception as error:  # a reply is from outside, and no fault in reading it may lose it
        status, label = "unparsable", None
        reason = f"the answer could not be read ({type(error).__name__}: {error}); it is kept"
    model, stamp, versions = inquiry.record.model, now(), inquiry.record.versions
    usd = cost(model, reply.usage, batch, inquiry.how.prices)
    if model and reply.usage == Usage():
        usd = None  # tokens that nobody counted are not free: the call stays at its bound
    return Answer(key, status, reason, reply, label, usd, 1, stamp, stamp, versions)


def price(inquiry: Inquiry, question: Question, *, batch: bool = False) -> float | None:
    """Return the most US dollars that a question can cost; None where nobody knows.

    Raises:
        CallError: The labeler cannot say of how many tokens.
    """
    labeler = inquiry.labeler
    if not labeler.model:
        return 0.0
    try:
        usage = labeler.tokens(question)
    except Exception as error:  # as for `ask`
        raise broken(labeler, "tokens", error) from error
    return cost(labeler.model, usage, batch, inquiry.how.prices)


def check_price(record: LabelerRecord, how: How) -> None:
    """See that a budget can be kept.

    Raises:
        DataError: There is a budget, and nobody knows what the model costs.
    """
    if how.budget is not None and cost(record.model, Usage(), False, how.prices) is None:
        text = no_price(record.model, how.prices)
        raise DataError(f"a budget of ${how.budget:g} cannot be kept: {text}, or give no --budget")


def add(one: Usage, other: Usage) -> Usage:
    """Sum tokens up."""
    return Usage(
        one.input + other.input,
        one.output + other.output,
        one.thoughts + other.thoughts,
        one.cached + other.cached,
    )


def broken(labeler: Any, method: str, error: Exception) -> CallError:
    """Make a sentence of what the code of a labeler raised."""
    ours = isinstance(error, EmoframeError)
    return CallError(
        ("" if ours else f"{type(labeler).__name__}.{method} broke: ") + sentence(error)
    )


def sentence(error: BaseException) -> str:
    """Say what went wrong, whoever raised it."""
    return str(error) if isinstance(error, EmoframeError) else f"{type(error).__name__}: {error}"


def _may_succeed_later(error: BaseException) -> bool:
    wait_s = error.after_s or 0.0 if isinstance(error, CallError) else 0.0
    return isinstance(error, CallError) and error.retry and wait_s <= LONGEST_WAIT_S

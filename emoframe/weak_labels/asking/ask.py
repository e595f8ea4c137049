"""Asking many questions: who is opened when, by how many threads, and when to stop.

Decided here: a clip is rendered when its first question is taken and let go after its last, and
questions about one clip follow one another, so that no more clips than threads are open and an
upload is shared. Nothing is asked that the caller did not list: what is answered already is left
out there. The first signal lets calls in flight finish; the second ends at once, which harms
nothing, since a reservation precedes each call.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import InitVar, dataclass, field
from typing import Any

from emoframe.labelling import CallError, Clip, Status, Usage
from emoframe.weak_labels.asking.calls import Caller, add, check_price, give_up, sentence
from emoframe.weak_labels.asking.inquiry import Asked, Inquiry, Listener, OnRow
from emoframe.weak_labels.asking.limits import Halt, StoppedError, heeding_signals
from emoframe.weak_labels.rows import Answer

MOST_IN_A_ROW = 5
"""After so many questions in a row that end the same way without an answer, asking stops."""


@dataclass(frozen=True)
class Summary:
    """What became of the questions.

    Attributes:
        statuses: Number of questions by how they ended.
        calls: Number of calls that were made.
        usage: Tokens as billed.
        usd: US dollars for answers; calls that are `unknown` come on top, see the store.
        stopped: Why asking stopped before its end; empty where it did not.
        notes: Things to know, a sentence each.
        pending: Number of questions that wait in a batch.
    """

    statuses: Mapping[Status, int] = field(default_factory=dict)
    calls: int = 0
    usage: Usage = field(default_factory=Usage)
    usd: float = 0.0
    stopped: str = ""
    notes: tuple[str, ...] = ()
    pending: int = 0

    def __add__(self, other: Summary) -> Summary:
        """Sum what was done first, and then."""
        return Summary(
            dict(Counter(self.statuses) + Counter(other.statuses)),
            self.calls + other.calls,
            add(self.usage, other.usage),
            self.usd + other.usd,
            "; ".join(filter(None, (self.stopped, other.stopped))),
            self.notes + other.notes,
            self.pending + other.pending,
        )


def counted(answer: Answer) -> Summary:
    """Sum one question up."""
    usage = answer.reply.usage if answer.reply else Usage()
    return Summary({answer.status: 1}, answer.calls, usage, answer.usd or 0.0)


def ask(questions: Iterable[Asked], inquiry: Inquiry, listener: Listener | None = None) -> Summary:
    """Ask, and store every answer as soon as it is there.

    Args:
        questions: What to ask, taken one after the other as threads become free.
        inquiry: Whom and what; the labeler is closed at the end.
        listener: Who is told how it goes.

    Raises:
        DataError: There is a budget and no price.
        ComponentError: The labeler cannot work at all.
        EmoframeError: The store cannot be written.
    """
    listener = listener or Listener()
    halt = Halt(listener.on_halt)
    check_price(inquiry.record, inquiry.how)
    inquiry.store.add_prompt(inquiry.prompt)
    inquiry.store.add_labeler(inquiry.record)
    work = _Work(questions, Caller(inquiry, halt), listener.on_row)
    with heeding_signals(halt):
        work.run(inquiry.how.concurrency)
    if work.broken:
        for other in list(dict.fromkeys(map(str, work.broken)))[1:]:
            listener.on_halt(other)
        raise work.broken[0]
    return work.done + Summary(stopped=halt.why)


class _OpenClip:
    """One clip while questions about it are asked, possibly from several threads."""

    def __init__(self, asked: Asked) -> None:
        self.asked, self.left = asked, len(asked.samples)
        self._lock, self._stack = threading.Lock(), ExitStack()
        self._clip: Clip | None = None
        self._failed: Exception | None = None

    def clip(self) -> Clip:
        """Render it, once."""
        with self._lock:
            if self._failed:
                raise self._failed
            if self._clip is None:
                try:
                    self._clip = self._stack.enter_context(self.asked.opened())
                except Exception as error:  # a broken file costs its own questions alone
                    self._failed = error
                    raise
            return self._clip

    def close(self, labeler: Any) -> tuple[str, ...]:
        """Let go of it, here and at the service; return what went wrong, if anything did."""
        wrong: list[str] = []
        with self._lock:
            clip, self._clip = self._clip, None
            try:
                if clip and hasattr(labeler, "release"):
                    labeler.release(clip)
            except Exception as error:  # the answers are there; only what was uploaded is left
                wrong.append(f"what was uploaded could not be deleted ({sentence(error)})")
            try:
                self._stack.close()
            except Exception as error:  # nor is a file that stays a reason to end everything
                wrong.append(f"the file that was shown could not be deleted ({sentence(error)})")
        return tuple(f"{self.asked.item}: {what}" for what in wrong)


@dataclass
class _Work:
    """What the threads share."""

    questions: InitVar[Iterable[Asked]]
    caller: Caller
    on_row: OnRow
    broken: list[BaseException] = field(default_factory=list[BaseException])
    done: Summary = field(default_factory=Summary)
    _open: set[_OpenClip] = field(default_factory=set[_OpenClip])
    _same: list[str] = field(default_factory=list[str])
    _taking: threading.Lock = field(default_factory=threading.Lock)
    _telling: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self, questions: Iterable[Asked]) -> None:
        """Take nothing yet."""
        self._waiting = self._opened(questions)

    def run(self, concurrency: int) -> None:
        """Ask until all is done; nothing is let go of while somebody still asks."""
        threads = [
            threading.Thread(target=self._ask, name=f"ask-{n}", daemon=True)
            for n in range(concurrency)
        ]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():  # a signal that reached another thread is heeded between
                    thread.join(0.5)
        except BaseException as error:  # no room for a thread
            self.caller.halt.call(f"stopped: {sentence(error)}")
            for thread in threads:
                if thread.ident is not None:
                    thread.join()
            raise
        finally:
            self._close_all()

    def _opened(self, questions: Iterable[Asked]) -> Iterator[tuple[_OpenClip, int]]:
        """Yield the questions one by one, those about one clip together."""
        for asked in questions:
            if asked.samples:
                shared = _OpenClip(asked)
                self._open.add(shared)
                for sample in asked.samples:
                    yield shared, sample

    def _ask(self) -> None:
        """Ask one after the other until there is nothing left, or a halt."""
        halt = self.caller.halt
        try:
            while not halt.called.is_set():
                with self._taking:
                    one = next(self._waiting, None)
                if one is None:
                    return
                self._question(*one)
        except StoppedError:
            return
        except BaseException as error:  # carried over to the thread that waits
            self.broken.append(error)
            halt.call(f"stopped: {sentence(error)}")

    def _question(self, shared: _OpenClip, sample: int) -> None:
        try:
            try:
                clip = shared.clip()
            except Exception as error:
                key = self.caller.inquiry.key(shared.asked.clip, sample)
                answer = give_up(self.caller.inquiry, key, CallError(sentence(error)))
            else:
                answer = self.caller.ask(clip, sample)
        finally:
            with self._taking:
                shared.left -= 1
                last = not shared.left
                self._open -= {shared} if last else set()
            if last:
                self._close(shared)
        self._tell(shared.asked, answer)

    def _tell(self, asked: Asked, answer: Answer) -> None:
        with self._telling:
            self.done += counted(answer)
            self._look_for_a_row(answer)
            self.on_row(asked, answer)

    def _look_for_a_row(self, answer: Answer) -> None:
        """Stop instead of hammering at a service that answers nobody."""
        quota = answer.status == "quota"
        tried = answer.calls > (
            0 if self.caller.inquiry.record.uploads else 1
        )  # or it is of this clip
        if not quota and not (answer.status == "error" and tried):
            self._same.clear()
            return
        sort = "quota" if quota else answer.reason
        self._same = [*(self._same if self._same[:1] == [sort] else []), sort]
        if len(self._same) == MOST_IN_A_ROW:
            self.caller.halt.call(
                f"stopped: {MOST_IN_A_ROW} questions in a row ended in {answer.status}: "
                f"{answer.reason}; run again later, what is answered is kept"
            )

    def _close(self, shared: _OpenClip) -> None:
        if wrong := shared.close(self.caller.inquiry.labeler):
            with self._telling:
                self.done += Summary(notes=wrong)

    def _close_all(self) -> None:
        """Let go of all that is still open, and of the labeler."""
        for shared in list(self._open):
            self._close(shared)
        self.done += Summary(notes=shut(self.caller.inquiry.labeler))


def shut(labeler: Any) -> tuple[str, ...]:
    """Close a labeler; every answer is stored by now, so what went wrong is only returned."""
    try:
        if hasattr(labeler, "close"):
            labeler.close()
    except Exception as error:
        return (f"the labeler could not be closed ({sentence(error)})",)
    return ()

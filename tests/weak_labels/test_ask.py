"""What asking promises: paid once, within the budget, not too fast, and whole or with a reason."""

from __future__ import annotations

import importlib.util
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from emoframe.core.errors import ComponentError, DataError
from emoframe.labelling import CallError, Clip, Question, Reply, Usage
from emoframe.weak_labels.asking.ask import MOST_IN_A_ROW, Summary, ask
from emoframe.weak_labels.asking.inquiry import Asked, Inquiry, Listener
from emoframe.weak_labels.asking.limits import How
from emoframe.weak_labels.store import Answer, LabelStore, LabelStoreError

_spec = importlib.util.spec_from_file_location("scripted", Path(__file__).with_name("scripted.py"))
assert _spec
assert _spec.loader
scripted = importlib.util.module_from_spec(_spec)
sys.modules["scripted"] = scripted
_spec.loader.exec_module(scripted)
Clips, Scripted = scripted.Clips, scripted.Scripted
COST, PROMPT, RECORD, said = scripted.COST, scripted.PROMPT, scripted.RECORD, scripted.said
FAST = How(concurrency=3, attempts=4, backoff_s=0.01)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LabelStore]:
    with LabelStore(tmp_path / "labels.sqlite") as store:
        yield store


def put(
    store: LabelStore,
    labeler: object,
    clips: object = 6,
    how: How = FAST,
    **more: object,
) -> Summary:
    """Ask about so many clips, or about these."""
    asked = Clips().asked(clips) if isinstance(clips, int) else clips
    return ask(asked, Inquiry(labeler, RECORD, PROMPT, store, how), Listener(**more))


def statuses(store: LabelStore) -> list[str]:
    return [one.status for one in store.answers()]


def busy(reason: str = "busy", **how: object) -> CallError:
    return CallError(reason, retry=True, **how)


def test_every_answer_is_stored_with_what_it_cost(store: LabelStore) -> None:
    labeler, rows = Scripted(), []
    summary = put(store, labeler, on_row=lambda asked, answer: rows.append((asked.item, answer)))
    assert (summary.statuses, summary.calls, summary.stopped) == ({"ok": 6}, 6, "")
    assert summary.usd == pytest.approx(6 * COST)
    assert summary.usage.input == 6000
    assert store.spent() == pytest.approx(6 * COST)
    assert sorted(item for item, _ in rows) == [f"item-{n}" for n in range(6)]
    one = store.answers()[0]
    assert one.label is not None
    assert (one.label.label, one.label.confidence, one.calls) == (1, (0.3, 0.8), 1)
    assert one.reply == said()
    assert one.asked_at <= one.answered_at
    assert not store.calls("open")
    assert labeler.closed == 1


def test_no_more_calls_than_allowed_are_in_flight(store: LabelStore) -> None:
    meeting = threading.Barrier(3, timeout=20)
    labeler = Scripted(lambda *_: said() if meeting.wait() < 3 else None)
    assert put(store, labeler, 9).statuses == {"ok": 9}
    assert labeler.most == 3


def test_a_clip_is_opened_once_just_before_it_is_asked_about_and_released_after(
    store: LabelStore,
) -> None:
    clips, labeler = Clips(), Scripted(seconds=0.01)
    put(store, labeler, clips.asked(7, samples=3))
    assert set(clips.opened.values()) == {1}
    assert clips.most <= 3
    assert clips.now == 0
    assert sorted(labeler.released) == sorted(clips.opened)
    alone = Scripted()
    put(store, alone, Clips().asked(4, samples=3), replace(FAST, concurrency=1))
    order = [clip for clip, _ in alone.asked]
    assert order == [one for n in range(0, 12, 3) for one in [order[n]] * 3]


def test_questions_are_taken_one_by_one(store: LabelStore) -> None:
    taken, labeler = [], Scripted(seconds=0.02)

    def stream() -> Iterator[object]:
        for n, asked in enumerate(Clips().asked(40)):
            taken.append(n)
            assert n <= len(labeler.asked) + 3
            yield asked

    assert put(store, labeler, stream()).statuses == {"ok": 40}


def test_a_clip_that_cannot_be_opened_is_an_error_for_it_alone(store: LabelStore) -> None:
    labeler = Scripted()
    summary = put(store, labeler, Clips(broken=[1]).asked(4, samples=2))
    assert summary.statuses == {"ok": 6, "error": 2}
    lost = [one for one in store.answers() if one.status == "error"]
    assert {one.reason for one in lost} == {"clip-1.mp4: is truncated or damaged"}
    assert {one.calls for one in lost} == {0}
    assert store.spent() == pytest.approx(6 * COST)


def test_a_bug_in_a_labeler_ends_that_question_with_a_sentence(store: LabelStore) -> None:
    first = Clips().asked(1)[0].clip

    def script(question: Question, attempt: int) -> Reply:
        if question.clip.key == first:
            raise KeyError("candidates")
        return said()

    summary = put(store, Scripted(script))
    assert summary.statuses == {"ok": 5, "error": 1}
    (lost,) = store.answers(status="error")
    assert lost.reason == "Scripted.ask broke: KeyError: 'candidates'"
    assert len(store.calls("unknown")) == 1  # it may have been paid


@pytest.mark.parametrize("breaks", [lambda: None, lambda: sys.exit(3)])
def test_nobody_waits_for_room_that_a_broken_call_never_gives_back(
    store: LabelStore, breaks: Callable[[], None]
) -> None:
    """The budget has room for one call at a time, so that all others wait for the first."""

    def script(question: Question, attempt: int) -> object:
        time.sleep(0.1)
        return breaks()

    ended = list[str]()

    def run() -> None:
        try:
            ended.append(put(store, Scripted(script), 9, replace(FAST, budget=15 * COST)).stopped)
        except SystemExit as error:
            ended.append(str(error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(20)
    assert ended == ["3"] or "the budget of" in ended[0]
    assert [one.state for one in store.calls()] == ["unknown"]  # it may have been paid


def test_what_returns_no_reply_is_told_so(store: LabelStore) -> None:
    put(store, Scripted(lambda *_: None), 1)
    (one,) = store.answers()
    assert one.reason == "Scripted.ask broke: TypeError: it returned NoneType, which is no Reply"


def test_a_clip_that_breaks_while_it_is_read_was_not_sent_and_is_not_paid(
    store: LabelStore,
) -> None:
    broken = DataError("clip.mp4: is damaged at its end")
    assert put(store, Scripted(lambda *_: _raise(broken)), 1).statuses == {"error": 1}
    assert ([one.state for one in store.calls()], store.spent()) == (["failed"], 0)


def test_tokens_that_nobody_counted_are_not_free(store: LabelStore) -> None:
    """A server that reports no usage would never use the budget up."""
    labeler = Scripted(lambda *_: replace(said(), usage=Usage()))
    summary = put(store, labeler, 20, replace(FAST, budget=22 * COST))
    assert (summary.statuses, "the budget of" in summary.stopped) == ({"ok": 2}, True)
    assert store.spent() == pytest.approx(20 * COST)
    assert {one.usd for one in store.answers()} == {None}


def test_a_labeler_that_cannot_work_at_all_ends_everything(store: LabelStore) -> None:
    def script(question: Question, attempt: int) -> Reply:
        raise ComponentError("the weights are not here")

    labeler = Scripted(script)
    with pytest.raises(ComponentError, match="the weights are not here"):
        put(store, labeler, 50)
    assert len(labeler.asked) <= 3
    assert store.spent() == 0


def test_what_may_succeed_a_little_later_is_tried_again(store: LabelStore) -> None:
    labeler = Scripted(lambda question, attempt: said() if attempt > 2 else _raise(busy()))
    summary = put(store, labeler)
    assert (summary.statuses, summary.calls) == ({"ok": 6}, 18)
    assert {one.calls for one in store.answers()} == {3}
    assert store.spent() == pytest.approx(6 * COST)
    assert len(store.calls("failed")) == 12


def test_what_will_not_succeed_later_is_not(store: LabelStore) -> None:
    labeler = Scripted(lambda question, attempt: _raise(CallError("the video is too long")))
    assert put(store, labeler, 2).statuses == {"error": 2}
    assert len(labeler.asked) == 2
    assert {one.reason for one in store.answers()} == {"the video is too long"}


def test_a_time_out_stays_spent_and_is_listed(store: LabelStore) -> None:
    late = busy("no answer in time", paid=True)
    labeler = Scripted(lambda question, attempt: said() if attempt > 1 else _raise(late))
    put(store, labeler, 2)
    assert statuses(store) == ["ok", "ok"]
    assert [one.reason for one in store.calls("unknown")] == ["no answer in time"] * 2
    assert store.spent() == pytest.approx(2 * (10 * COST + COST))


def test_a_reply_that_cannot_be_read_is_kept(store: LabelStore) -> None:
    broken = replace(said(), text="I would rather not say {")
    assert put(store, Scripted(lambda *_: broken), 1).statuses.keys() <= {"unparsable", "refused"}
    (one,) = store.answers()
    assert one.reason
    assert one.reply == broken
    assert one.usd == pytest.approx(COST)


def test_a_fault_of_our_own_in_reading_loses_nothing(
    store: LabelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emoframe.weak_labels.asking.calls.parse", lambda *_, **__: 1 / 0)
    put(store, Scripted(), 1)
    (one,) = store.answers()
    assert one.status == "unparsable"
    assert "ZeroDivisionError" in one.reason
    assert one.reply == said()


def test_when_there_are_too_many_calls_everybody_waits(store: LabelStore) -> None:
    turned_down: list[float] = []

    def script(question: Question, attempt: int) -> Reply:
        if not turned_down:
            turned_down.append(time.monotonic())
            raise busy("429", status="quota", after_s=0.6)
        return said()

    labeler = Scripted(script)
    assert put(store, labeler, 20, replace(FAST, concurrency=4)).statuses == {"ok": 20}
    early = [at for at in labeler.at if at < turned_down[0] + 0.6]
    assert len(early) <= 4  # who was under way already


def test_what_the_server_asks_to_wait_is_waited(store: LabelStore) -> None:
    labeler = Scripted(
        lambda question, attempt: said() if attempt > 1 else _raise(busy(after_s=0.3))
    )
    put(store, labeler, 1)
    assert labeler.at[1] - labeler.at[0] >= 0.3


def test_a_server_that_asks_for_hours_is_left_for_the_next_run(store: LabelStore) -> None:
    labeler = Scripted(
        lambda question, attempt: _raise(busy("today's share is used up", status="quota",
                                              after_s=7200.0))
    )  # fmt: skip
    assert put(store, labeler, 1).statuses == {"quota": 1}
    assert len(labeler.asked) == 1


@pytest.mark.parametrize("status", ["quota", "error"])
def test_a_service_that_turns_everybody_down_is_not_hammered(
    store: LabelStore, status: str
) -> None:
    labeler = Scripted(lambda *_: _raise(CallError("the key is not valid", status=status)))
    summary = put(store, labeler, 20)
    assert MOST_IN_A_ROW <= len(labeler.asked) <= MOST_IN_A_ROW + 3
    assert f"{MOST_IN_A_ROW} questions in a row ended in {status}: the key is not valid" in (
        summary.stopped
    )
    assert put(store, Scripted(), 20).statuses == {"ok": 20}


def test_different_failures_in_a_row_are_no_reason_to_stop(store: LabelStore) -> None:
    labeler = Scripted(lambda question, _: _raise(CallError(f"no room for {question.clip.key}")))
    assert put(store, labeler, 20).statuses == {"error": 20}


def test_the_budget_is_never_exceeded_and_is_used_up(store: LabelStore) -> None:
    """Each call may cost ten times what it does, so reservations fill the budget early."""
    budget, seen, done = 22 * COST, [], threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            seen.append(store.spent())

    watcher = threading.Thread(target=watch)
    watcher.start()
    labeler = Scripted(seconds=0.01)
    summary = put(store, labeler, 50, replace(FAST, concurrency=8, budget=budget))
    done.set()
    watcher.join()
    assert max(seen) <= budget + 1e-9
    assert labeler.most <= 2
    assert len(labeler.asked) == 13  # of the fourteenth the bound does not fit any more
    assert store.spent() == pytest.approx(13 * COST)
    assert "the budget of" in summary.stopped
    assert not store.calls("open")
    more = put(store, labeler, 3, replace(FAST, budget=budget))
    assert (more.calls, "the budget of" in more.stopped) == (0, True)


def test_without_a_price_there_is_no_budget(store: LabelStore) -> None:
    labeler, record = Scripted(), replace(RECORD, model="oracle-1")
    labeler.model = "oracle-1"
    asked = Clips().asked(2)
    with pytest.raises(DataError, match=r"a budget of \$5 cannot be kept.*oracle-1.*--prices"):
        ask(asked, Inquiry(labeler, record, PROMPT, store, replace(FAST, budget=5.0)))
    assert labeler.asked == []
    assert ask(asked, Inquiry(labeler, record, PROMPT, store, FAST)).statuses == {"ok": 2}
    assert {one.usd for one in store.answers()} == {None}


def test_a_store_that_cannot_be_written_stops_everything(
    store: LabelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise LabelStoreError("the disk is full")

    labeler = Scripted(seconds=0.02)
    monkeypatch.setattr(store, "settle", full)
    with pytest.raises(LabelStoreError, match="the disk is full"):
        put(store, labeler, 50)
    assert len(labeler.asked) <= 3


def test_every_answer_that_could_not_be_stored_is_told(
    store: LabelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each error says where its answer is: who is told only the first loses the others."""
    meeting = threading.Barrier(3, timeout=20)

    def full(call: int, answer: Answer) -> None:
        meeting.wait()
        raise LabelStoreError(f"the answer about {answer.key.clip} is told here")

    monkeypatch.setattr(store, "settle", full)
    told = list[str]()
    with pytest.raises(LabelStoreError) as first:
        put(store, Scripted(), 3, on_halt=told.append)
    text = "\n".join([str(first.value), *told])
    assert all(one.clip in text for one in Clips().asked(3))


def test_a_file_that_cannot_be_deleted_is_told_and_ends_nothing(store: LabelStore) -> None:
    def stuck(asked: Asked) -> Asked:
        @contextmanager
        def opened() -> Iterator[Clip]:
            with asked.opened() as clip:
                yield clip
            raise OSError("it is in use")

        return replace(asked, opened=opened)

    rows, labeler = list[str](), Scripted()
    summary = put(
        store,
        labeler,
        map(stuck, Clips().asked(2)),
        on_row=lambda asked, _: rows.append(asked.item),
    )
    assert (summary.statuses, sorted(rows)) == ({"ok": 2}, ["item-0", "item-1"])
    assert sorted(summary.notes) == [
        f"item-{n}: the file that was shown could not be deleted (OSError: it is in use)"
        for n in range(2)
    ]
    assert labeler.closed == 1


@pytest.mark.parametrize("breaks", ["on_row", "questions"])
def test_what_breaks_around_it_ends_it_with_that_error_and_loses_no_answer(
    store: LabelStore, breaks: str
) -> None:
    clips, labeler = Clips(), Scripted(seconds=0.01)

    def stream() -> Iterator[Asked]:
        yield from clips.asked(8)
        if breaks == "questions":
            raise ZeroDivisionError
        yield from Clips().asked(20)[8:]

    def told(asked: Asked, answer: Answer) -> None:
        if breaks == "on_row":
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        put(store, labeler, stream(), on_row=told)
    assert len(store.answers(status="ok")) == len(labeler.asked) <= 8
    assert (clips.now, labeler.closed, store.calls("open")) == (0, 1, [])


def test_nothing_is_let_go_of_while_somebody_still_asks(store: LabelStore) -> None:
    """A signal's reason cannot be told, as where a pipe is closed: calls in flight still end."""

    def answered(question: Question, attempt: int) -> Reply:
        if question.clip.key == first:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        time.sleep(0.3)
        return said()

    first = Clips().asked(1)[0].clip
    labeler, closed_with = Scripted(answered), list[int]()

    def told(why: str) -> None:
        raise BrokenPipeError

    def close() -> None:
        closed_with.append(labeler.now)

    labeler.close = close
    with pytest.raises(BrokenPipeError):
        put(store, labeler, 20, on_halt=told)
    assert closed_with == [0]
    assert len(store.answers(status="ok")) == len(labeler.asked) < 20


def test_a_server_of_ones_own_that_is_down_is_not_waited_for_clip_by_clip(
    store: LabelStore,
) -> None:
    labeler = Scripted(lambda *_: _raise(busy("could not be reached")))
    here = replace(RECORD, uploads=False)
    summary = ask(Clips().asked(20), Inquiry(labeler, here, PROMPT, store, FAST))
    assert "5 questions in a row ended in error: could not be reached" in summary.stopped
    assert len(labeler.asked) < 20 * FAST.attempts / 2
    sealed = Scripted(lambda *_: _raise(CallError("the truth is sealed")))  # no fault of a server
    other = replace(here, key="cd" * 32)
    inquiry = Inquiry(sealed, other, PROMPT, store, FAST)
    assert ask(Clips().asked(20), inquiry).statuses == {"error": 20}


def test_what_cannot_be_deleted_at_the_service_is_told(store: LabelStore) -> None:
    class Sticky(Scripted):
        def release(self, clip: Clip) -> None:
            raise CallError("the server said 500")

    summary = put(store, Sticky(), 2)
    assert summary.statuses == {"ok": 2}
    assert sorted(summary.notes) == [
        f"item-{n}: what was uploaded could not be deleted (the server said 500)" for n in range(2)
    ]


@pytest.mark.parametrize("count", [40, pytest.param(200, marks=pytest.mark.slow)])
def test_with_a_third_of_all_calls_failing_in_many_ways_everything_is_answered(
    store: LabelStore, count: int
) -> None:
    faults = [
        busy("500"), busy("503"), busy("408", paid=True), busy("connection reset", paid=True),
        busy("429", status="quota"), busy("429", status="quota", after_s=0.02),
    ]  # fmt: skip

    def script(question: Question, attempt: int) -> Reply:
        draw = scripted.share(question.clip.key, attempt)
        if draw < 0.3:
            raise faults[int(draw * 1000) % len(faults)]
        return said()

    labeler = Scripted(script, seconds=0.001)
    summary = put(store, labeler, count, How(concurrency=4, attempts=12, backoff_s=0.002))
    assert summary.statuses == {"ok": count}
    assert labeler.most <= 4
    assert len(store.answers(status="ok")) == count
    assert len(store.calls("done")) == count
    assert len(store.calls()) == len(labeler.asked) == summary.calls
    assert len(labeler.asked) > 1.2 * count


def _raise(error: Exception) -> Reply:
    raise error

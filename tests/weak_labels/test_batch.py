"""What batches promise: submitted once, within the budget, and collected after any kill."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from emoframe.core.errors import ComponentError, DataError
from emoframe.labelling import CallError, Question, Reply, Usage
from emoframe.weak_labels.asking import batch as module
from emoframe.weak_labels.asking.ask import Summary
from emoframe.weak_labels.asking.batch import collect, submit
from emoframe.weak_labels.asking.inquiry import Asked, Inquiry
from emoframe.weak_labels.asking.limits import How
from emoframe.weak_labels.store import LabelStore, LabelStoreError

_spec = importlib.util.spec_from_file_location("scripted", Path(__file__).with_name("scripted.py"))
assert _spec
assert _spec.loader
scripted = importlib.util.module_from_spec(_spec)
sys.modules["scripted"] = scripted
_spec.loader.exec_module(scripted)
Clips = scripted.Clips
COST, PROMPT, RECORD, said = scripted.COST, scripted.PROMPT, scripted.RECORD, scripted.said
HOW = How(grace_s=0.0)


class Killed(BaseException):
    """Ends everything at once, as a kill does; nothing may catch it."""


class Service(scripted.Scripted):
    """A service that takes batches and works through them when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.jobs: dict[str, list[Question]] = {}
        self.done: set[str] = set()
        self.failing: dict[int, CallError] = {}
        self.dies = ""
        self.refuses: Exception | None = None
        self.gone: Exception | None = None
        self.locked = False

    def submit(self, name: str, questions: Sequence[Question]) -> str:
        if self.dies == "before":
            raise Killed
        if self.refuses:
            raise self.refuses
        self.names.append(name)
        job = f"jobs/{len(self.names)}"
        self.jobs[job] = list(questions)
        if self.dies == "after":
            raise Killed
        return job

    def find(self, name: str) -> str | None:
        if self.locked:
            raise CallError("the key is not valid")
        return f"jobs/{self.names.index(name) + 1}" if name in self.names else None

    def collect(self, job: str) -> list[Reply | CallError] | None:
        if self.gone:
            raise self.gone
        if job not in self.done:
            return None
        return [self.failing.get(n) or said() for n in range(len(self.jobs[job]))]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LabelStore]:
    with LabelStore(tmp_path / "labels.sqlite") as store:
        yield store


CLIPS = Clips().asked(4)


def sent(
    store: LabelStore, service: Service, how: How = HOW, clips: list[Asked] = CLIPS
) -> Summary:
    return submit(clips, Inquiry(service, RECORD, PROMPT, store, how))


def fetched(store: LabelStore, service: Service, how: How = HOW) -> Summary:
    """Look again, as another process would."""
    known = {one.clip: one for one in CLIPS}
    return collect(known, Inquiry(service, RECORD, PROMPT, store, how))


def test_a_batch_is_reserved_submitted_and_collected_at_its_own_price(store: LabelStore) -> None:
    service = Service()
    summary = sent(store, service)
    assert (summary.pending, summary.calls) == (4, 0)
    assert "4 questions were submitted as jobs/1" in summary.notes[0]
    assert store.spent() == pytest.approx(4 * 10 * COST / 2)
    waits = fetched(store, service)
    assert (waits.pending, waits.statuses) == (4, {})
    assert "of 4 questions" in waits.notes[0]
    assert "is not done; run again later with --batch" in waits.notes[0]
    service.done = {"jobs/1"}
    done = fetched(store, service)
    assert (done.statuses, done.pending) == ({"ok": 4}, 0)
    assert done.usd == store.spent() == pytest.approx(4 * COST / 2)
    assert fetched(store, service) == Summary()
    assert not store.calls("open")


def test_a_name_tells_nothing(store: LabelStore) -> None:
    service = Service()
    sent(store, service)
    sent(store, service, clips=Clips().asked(5)[4:])
    assert len(set(service.names)) == 2
    assert not [one.item for one in CLIPS if any(one.item in name for name in service.names)]


@pytest.mark.parametrize("dies", ["before", "after"])
def test_a_kill_around_the_submission_neither_loses_nor_doubles_a_batch(
    store: LabelStore, dies: str
) -> None:
    service = Service()
    service.dies = dies
    with pytest.raises(Killed):
        sent(store, service)
    service.dies, service.done = "", {"jobs/1"}
    found = fetched(store, service)
    if dies == "after":
        assert found.statuses == {"ok": 4}
        assert store.batches(open_only=False)[0].job == "jobs/1"
    else:
        assert "never reached the service" in found.notes[0]
        assert store.spent() == 0
        sent(store, service)
        assert fetched(store, service).statuses == {"ok": 4}
    assert len(service.names) == 1


@pytest.mark.parametrize("dies", ["before", "after"])
def test_a_batch_that_is_listed_late_is_not_submitted_a_second_time(
    store: LabelStore, dies: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until a while has passed since it was begun, not to be listed does not mean not to be."""
    service, patient = Service(), replace(HOW, grace_s=600.0)
    service.dies = dies
    with pytest.raises(Killed):
        sent(store, service)
    service.dies, service.done = "", {"jobs/1"}
    with monkeypatch.context() as late:
        late.setattr(service, "find", lambda name: None)
        found = fetched(store, service, patient)
        assert (found.pending, found.statuses) == (4, {})
        assert "the service does not list it yet; unless it does, it is given up" in found.notes[0]
        assert "in 10 minutes; run again later with --batch" in found.notes[0]
    assert len(store.calls("open")) == 4, "its questions are not to be asked by anybody else"
    found = fetched(store, service, patient)
    assert found.statuses == ({"ok": 4} if dies == "after" else {})


def test_a_kill_while_answers_are_taken_in_stores_each_once(
    store: LabelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service()
    sent(store, service)
    service.done = {"jobs/1"}
    settle, count = store.settle, 0

    def deadly(*args: object) -> None:
        nonlocal count
        count += 1
        if count == 3:
            raise Killed
        settle(*args)

    with monkeypatch.context() as patched:
        patched.setattr(store, "settle", deadly)
        with pytest.raises(Killed):
            fetched(store, service)
    assert fetched(store, service).statuses == {"ok": 2}
    assert len(store.answers(status="ok")) == 4
    assert len(store.calls()) == 4
    assert store.spent() == pytest.approx(4 * COST / 2)


def test_what_failed_in_a_batch_ends_in_a_status_and_is_free_again(store: LabelStore) -> None:
    service = Service()
    service.failing = {1: CallError("too busy", status="quota"), 3: CallError("lost", paid=True)}
    sent(store, service)
    service.done = {"jobs/1"}
    assert fetched(store, service).statuses == {"ok": 2, "quota": 1, "error": 1}
    assert [one.reason for one in store.calls("unknown")] == ["lost"]
    ended = store.statuses(PROMPT.hash, RECORD.key)
    assert sorted(ended.values()) == ["error", "ok", "ok", "quota"]


def test_a_batch_that_the_service_gave_up_ends_its_questions(store: LabelStore) -> None:
    service = Service()
    sent(store, service)
    service.gone = CallError("the server said 503", retry=True)
    assert "cannot be asked for now (the server said 503)" in fetched(store, service).notes[0]
    service.gone = KeyError("dest")
    assert "Service.collect broke: KeyError: 'dest'" in fetched(store, service).notes[0]
    service.gone, service.locked = CallError("the key is not valid"), True
    assert "cannot be asked for now (the key is not valid)" in fetched(store, service).notes[0]
    service.locked, service.gone = False, ComponentError("no key is set")
    with pytest.raises(ComponentError, match="no key is set"):
        fetched(store, service)
    assert len(store.batches()) == 1
    service.gone = CallError("the job has expired")
    assert fetched(store, service).statuses == {"error": 4}
    assert {one.reason for one in store.answers()} == {"the job has expired"}
    assert (store.batches(), store.spent()) == ([], 0)


def test_a_batch_that_is_turned_down_leaves_its_questions_free(store: LabelStore) -> None:
    service = Service()
    service.refuses = CallError("the key is not valid")
    summary = sent(store, service)
    assert "could not be submitted: the key is not valid" in summary.stopped
    assert (store.spent(), store.batches(), store.answers()) == (0, [], [])
    assert not store.calls("open")
    service.refuses = ComponentError("no key is set")
    with pytest.raises(ComponentError, match="no key is set"):
        sent(store, service)
    assert (store.spent(), store.batches()) == (0, [])


@pytest.mark.parametrize(
    "error", [CallError("no answer in time", retry=True, paid=True), KeyError("name")]
)
def test_a_submission_that_may_have_arrived_is_looked_for(
    store: LabelStore, error: Exception
) -> None:
    service = Service()
    service.refuses = error
    summary = sent(store, service)
    assert summary.pending == 4
    assert "run again with --batch, which looks whether it arrived" in summary.stopped
    (waiting,) = store.batches()
    service.names, service.jobs["jobs/1"], service.done = [waiting.name], [None] * 4, {"jobs/1"}
    assert fetched(store, service).statuses == {"ok": 4}


@pytest.mark.parametrize(("budget", "fits"), [(2.5, 2), (0.5, 0)])
def test_as_much_is_submitted_as_the_budget_allows(
    store: LabelStore, budget: float, fits: int
) -> None:
    service, each = Service(), 10 * COST / 2
    summary = sent(store, service, replace(HOW, budget=budget * each))
    assert summary.pending == fits
    assert "the budget of" in summary.stopped
    assert [len(one) for one in service.jobs.values()] == [fits] * bool(fits)
    assert store.spent() == pytest.approx(fits * each)
    service.done = {"jobs/1"}
    assert sum(fetched(store, service).statuses.values()) == fits


def test_long_lists_are_cut_and_no_more_clips_are_open_at_a_time(
    store: LabelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_QUESTIONS", 4)
    service, clips = Service(), Clips(broken=[0])
    summary = sent(store, service, clips=clips.asked(5, samples=2))
    assert [len(one) for one in service.jobs.values()] == [4, 4]
    assert (summary.pending, summary.statuses) == (8, {"error": 2})
    assert (clips.most, clips.now) == (2, 0)


def test_no_more_is_rendered_for_a_batch_than_has_room(
    store: LabelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clips of 40 bytes where a batch may take 100: a third one is the last."""
    monkeypatch.setattr(module, "MOST_BYTES", 100)
    film = tmp_path / "film.mp4"
    film.write_bytes(b"x" * 40)
    clips = Clips(film=film)
    summary = sent(store, service := Service(), clips=clips.asked(7, samples=2))
    assert [len(one) for one in service.jobs.values()] == [6, 6, 2]
    assert (summary.pending, clips.most, clips.now) == (14, 3, 0)


def test_a_question_that_cannot_be_counted_costs_itself_alone(store: LabelStore) -> None:
    class Sums(Service):
        def tokens(self, question: Question) -> Usage:
            if question.clip.key == CLIPS[2].clip:
                raise ZeroDivisionError("no frames")
            return super().tokens(question)

    summary = sent(store, service := Sums())
    assert (summary.statuses, summary.pending, summary.calls) == ({"error": 1}, 3, 0)
    assert [len(one) for one in service.jobs.values()] == [3]
    assert store.spent() == pytest.approx(3 * 10 * COST / 2)
    (lost,) = store.answers()
    assert lost.reason == "Sums.tokens broke: ZeroDivisionError: no frames"


def test_answers_are_taken_in_though_their_clips_cannot_be_opened_any_more(
    store: LabelStore,
) -> None:
    @contextmanager
    def gone() -> Iterator[None]:
        raise OSError("stale file handle")
        yield

    service = Service()
    sent(store, service)
    service.done = {"jobs/1"}
    known = {one.clip: replace(one, glimpsed=gone) for one in CLIPS}
    assert collect(known, Inquiry(service, RECORD, PROMPT, store)).statuses == {"ok": 4}


def test_a_store_that_cannot_be_written_is_no_trouble_of_the_service(
    store: LabelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise LabelStoreError("the disk is full")

    service = Service()
    service.dies = "before"
    with pytest.raises(Killed):
        sent(store, service)
    monkeypatch.setattr(store, "fail", full)
    with pytest.raises(LabelStoreError, match="the disk is full"):
        fetched(store, service)


def test_a_batch_is_not_given_up_because_its_name_could_not_be_looked_for(
    store: LabelStore,
) -> None:
    """Only who reaches the service, and knows the job, learns that its answers are lost."""
    service = Service()
    service.dies = "after"
    with pytest.raises(Killed):
        sent(store, service)
    service.dies, service.locked = "", True
    assert "cannot be asked for now (the key is not valid)" in fetched(store, service).notes[0]
    service.locked, service.done = False, {"jobs/1"}
    assert fetched(store, service).statuses == {"ok": 4}


def test_batches_of_others_are_left_alone(store: LabelStore) -> None:
    service = Service()
    sent(store, service)
    service.done = {"jobs/1"}
    other = replace(RECORD, key="cd" * 32)
    assert collect({}, Inquiry(service, other, PROMPT, store)) == Summary()
    assert collect({}, Inquiry(service, RECORD, replace(PROMPT, text="?"), store)) == Summary()
    assert collect({}, Inquiry(service, RECORD, PROMPT, store)).statuses == {"ok": 4}


def test_a_labeler_without_batches_says_so(store: LabelStore) -> None:
    with pytest.raises(DataError, match="takes no batches.*leave --batch out"):
        submit(CLIPS, Inquiry(scripted.Scripted(), RECORD, PROMPT, store))

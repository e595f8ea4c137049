"""The label store: no paid answer is lost, no budget exceeded, nothing asked twice."""

from __future__ import annotations

import json
import os
import resource
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from emoframe.core.errors import DataError, EmoframeError
from emoframe.weak_labels import database, ledger
from emoframe.weak_labels.asking import processes, unsaved
from emoframe.weak_labels.rows import Kept
from emoframe.weak_labels.store import (
    BudgetError,
    LabelStore,
    LabelStoreError,
    QuestionKey,
    UnsavedError,
)

Fill = Callable[[LabelStore], LabelStore]
KILLS = Path(__file__).with_name("store_kills.py")
SPEND = """
import sys
from emoframe.weak_labels.store import BudgetError, LabelStore, QuestionKey
store = LabelStore(sys.argv[1])
for n in range(20):
    try:
        store.reserve(QuestionKey(f"{n}", sys.argv[2], "ab" * 32, 0), 0.1, 1.0)
    except BudgetError:
        print("full")
"""


@pytest.fixture
def store(tmp_path: Path, parts: Any) -> LabelStore:
    made = LabelStore(tmp_path / "labels.sqlite")
    made.add_prompt(parts.prompt)
    made.add_labeler(parts.labeler)
    return made


def other(key: QuestionKey, number: int) -> QuestionKey:
    return key._replace(sample=number)


def edit(store: LabelStore, statement: str, *values: Any) -> None:
    db = sqlite3.connect(store.path)
    with db:
        db.execute(statement, values)
    db.close()


@contextmanager
def file_limit(size: int) -> Iterator[None]:
    """Let no file grow beyond a size, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def full_while(monkeypatch: pytest.MonkeyPatch, is_full: Callable[[], bool]) -> None:
    """Make SQLite find the disk full as long as it is told so."""
    connect = database.Database._connect

    def limited(self: database.Database, mode: str) -> sqlite3.Connection:
        db = connect(self, mode)
        if is_full():
            db.execute("PRAGMA max_page_count = 1")  # that is, not one page more than there are
        return db

    monkeypatch.setattr(database.Database, "_connect", limited)


def long_answer(parts: Any) -> Any:
    """Return an answer that does not fit into the pages that a store has."""
    from dataclasses import replace

    return parts.answer(reply=replace(parts.reply, text="x" * 100_000))


def test_what_was_stored_is_read_back_whole(store: LabelStore, parts: Any) -> None:
    answer = parts.answer()
    store.settle(store.reserve(parts.key, 0.05), answer)
    again = LabelStore(store.path, write=False)
    assert again.answers() == [answer]
    assert again.prompt(parts.prompt.hash) == parts.prompt
    assert again.prompt(parts.prompt.hash).hash == parts.prompt.hash
    assert again.labelers() == [parts.labeler]
    assert again.labeler("abab") == parts.labeler


def test_answers_are_chosen_and_come_in_a_stable_order(store: LabelStore, parts: Any) -> None:
    keys = [parts.key._replace(clip=clip, sample=n) for clip in ("b", "a") for n in (1, 0)]
    for key in keys:
        store.settle(store.reserve(key, 0), parts.answer(key))
    store.add_items("one", {"x": "a"})
    assert [one.key for one in store.answers()] == sorted(keys)
    assert {one.key.clip for one in store.answers("one")} == {"a"}
    assert {one.key.clip for one in store.answers(clips=["b"])} == {"b"}
    assert store.answers(prompt="00") == store.answers(labeler="00") == []
    assert store.answers(status="refused") == []
    with pytest.raises(DataError, match="prompt 'zz': there is none"):
        store.prompt("zz")


def test_an_answer_that_ended_its_question_beats_one_that_did_not(
    store: LabelStore, parts: Any
) -> None:
    quota = {"status": "quota", "reply": None, "label": None}
    store.settle(store.reserve(parts.key, 0), parts.answer(**quota))
    assert store.statuses(parts.prompt.hash, parts.labeler.key) == {parts.key: "quota"}
    store.settle(store.reserve(parts.key, 0), parts.answer())
    store.settle(store.reserve(parts.key, 0), parts.answer(**quota))
    assert [one.status for one in store.answers()] == ["ok"]
    assert store.statuses(parts.prompt.hash, parts.labeler.key) == {parts.key: "ok"}
    assert store.statuses(parts.prompt.hash, "00") == {}


def test_spent_is_what_was_settled_and_at_its_bound_what_is_open_or_unknown(
    store: LabelStore, parts: Any
) -> None:
    calls = [store.reserve(other(parts.key, n), 0.1) for n in range(5)]
    assert store.spent() == pytest.approx(0.5)
    store.settle(calls[0], parts.answer(usd=0.03))
    assert store.spent() == 0.43
    store.fail(calls[1], "refused before it was read", paid=False)
    assert store.spent() == 0.33
    store.fail(calls[2], "it took too long", paid=True)
    assert store.spent() == 0.33
    store.settle(calls[3], parts.answer(other(parts.key, 3), usd=None))
    assert store.spent() == 0.33
    assert [one.state for one in store.calls()] == ["done", "failed", "unknown", "done", "open"]
    store.settle(calls[2], parts.answer(other(parts.key, 2), usd=0.01))
    assert store.spent() == 0.24, "an answer that came late after all"


def test_a_call_that_was_dearer_than_reserved_is_seen_by_the_next(
    store: LabelStore, parts: Any
) -> None:
    store.settle(store.reserve(parts.key, 0.1, 1.0), parts.answer(usd=0.95))
    with pytest.raises(BudgetError, match=r"\$1\.0000 would be exceeded: \$0\.9500 are spent"):
        store.reserve(other(parts.key, 1), 0.1, 1.0)
    store.reserve(other(parts.key, 1), 0.05, 1.0)
    store.reserve(other(parts.key, 2), 0.0, 0.5)


@pytest.mark.parametrize("usd", [-0.1, float("nan"), float("inf")])
def test_a_cost_that_is_none_is_a_mistake_of_the_program(
    store: LabelStore, parts: Any, usd: float
) -> None:
    with pytest.raises(ValueError, match="cannot cost"):
        store.reserve(parts.key, usd)


def test_threads_together_never_exceed_the_budget(store: LabelStore, parts: Any) -> None:
    def ask(number: int) -> bool:
        with suppress(BudgetError):
            call = store.reserve(other(parts.key, number), 0.1, 1.0)
            store.settle(call, parts.answer(other(parts.key, number), usd=0.1))
            return True
        return False

    with ThreadPoolExecutor(8) as pool:
        done = Counter(pool.map(ask, range(24)))
    assert done == {True: 10, False: 14}
    assert store.spent() == 1.0
    assert len(store.answers()) == 10


def test_processes_together_never_exceed_the_budget(store: LabelStore, parts: Any) -> None:
    command = [sys.executable, "-c", SPEND, str(store.path), parts.prompt.hash]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    told = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert sum(text.count("full") for text in told) == 60 - 10
    assert store.spent() == 1.0
    assert len(store.orphaned()) == 10


def test_calls_of_dead_processes_become_unknown_and_stay_spent(
    store: LabelStore, parts: Any
) -> None:
    store.reserve(parts.key, 0.1)
    assert store.orphaned() == []
    edit(store, "UPDATE call SET started = 'this number was given to another process'")
    assert [one.state for one in store.calls()] == ["unknown"], "told before it is written"
    (lost,) = store.orphaned()
    assert (lost.key, lost.state, lost.reserved_usd) == (parts.key, "unknown", 0.1)
    assert store.orphaned() == []
    assert (
        store.calls("unknown")[0].reason
        == "the process that sent it is gone; it may have been paid"
    )
    assert store.spent() == 0.1


def test_calls_of_another_machine_are_given_up_after_a_day(store: LabelStore, parts: Any) -> None:
    store.reserve(parts.key, 0.1)
    edit(store, "UPDATE call SET host = 'elsewhere'")
    assert store.orphaned() == []
    edit(store, "UPDATE call SET at = '2020-01-01T00:00:00.000000+00:00'")
    assert len(store.orphaned()) == 1


def test_without_proc_a_process_is_its_number() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    me = processes.here()
    assert processes.Process(me.host, os.getpid(), "").lives("2020-01-01T00:00:00+00:00")
    assert not processes.Process(me.host, gone.pid, "").lives("2020-01-01T00:00:00+00:00")


def test_questions_of_an_open_batch_wait_although_their_process_is_gone(
    store: LabelStore, parts: Any
) -> None:
    store.add_batch("b", parts.labeler.key, [parts.key])
    store.add_batch("b", parts.labeler.key, [])
    call = store.reserve(parts.key, 0.1)
    edit(store, "UPDATE call SET started = 'gone'")
    store.set_job("b", "batches/1")
    (batch,) = store.batches()
    assert (batch.name, batch.keys, batch.job) == ("b", (parts.key,), "batches/1")
    assert store.orphaned() == []
    assert [(one.key, one.id) for one in store.calls("open")] == [(parts.key, call)]
    store.close_batch("b")
    assert store.batches() == []
    assert len(store.batches(open_only=False)) == 1
    assert len(store.orphaned()) == 1


def kills(folder: Path, step: int) -> list[dict[str, Any]]:
    command = [sys.executable, str(KILLS), str(folder), str(step)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check_kills(told: list[dict[str, Any]]) -> None:
    undisturbed = told[-1]["at_end"]
    assert not told[-1]["killed"]
    for one in told:
        after, end = one["after_kill"], one["at_end"]
        assert after["spent"] >= 0.01 * len(after["asked"]), "all that was sent counts as spent"
        assert end["answers"] == undisturbed["answers"]
        twice = len(end["asked"]) - len(set(end["asked"]))
        assert twice <= one["killed"]
        assert end["states"].count("unknown") >= twice
        assert not end["spare"]


def test_a_kill_between_two_statements_loses_at_most_the_call_in_flight(tmp_path: Path) -> None:
    check_kills(kills(tmp_path, 6))


@pytest.mark.slow
def test_a_kill_before_any_statement_loses_at_most_the_call_in_flight(tmp_path: Path) -> None:
    told = kills(tmp_path, 1)
    assert len(told) > 40
    check_kills(told)


def test_an_answer_finds_room_that_was_kept_for_it_when_the_disk_is_full(
    store: LabelStore, parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = store.reserve(parts.key, 0.1)
    spare = unsaved.spare_of(store.path)
    assert spare.stat().st_size == unsaved.SPARE_BYTES
    full_while(monkeypatch, spare.exists)
    answer = long_answer(parts)
    store.settle(call, answer)
    assert not spare.exists()
    assert store.answers() == [answer]
    assert store.calls()[0].state == "done"


def test_an_answer_that_the_store_cannot_take_waits_beside_it_for_the_next_run(
    store: LabelStore, parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, answer = store.reserve(parts.key, 0.1), long_answer(parts)
    is_full = [True]
    full_while(monkeypatch, lambda: is_full[0])
    with pytest.raises(UnsavedError, match="the disk is full.* run again: the next run takes it"):
        store.settle(call, answer)
    assert store.calls()[0].state == "open"
    is_full[0] = False
    assert LabelStore(store.path, write=False).answers() == []
    again = LabelStore(store.path)
    assert again.answers() == [answer]
    assert (again.spent(), again.calls()[0].state) == (0.0123, "done")
    assert unsaved.waiting(store.path) == []


def test_where_nothing_can_be_written_the_answer_is_told_whole(
    store: LabelStore, parts: Any, tmp_path: Path
) -> None:
    call, answer = store.reserve(parts.key, 0.1), parts.answer()
    with file_limit(10), pytest.raises(UnsavedError) as caught:
        store.settle(call, answer)
    assert caught.value.file is None
    assert caught.value.kept.answer == answer
    line = str(caught.value).splitlines()[-1]
    (tmp_path / "rescued.jsonl").write_text(line)
    from emoframe.weak_labels.exchange.intake import import_file

    assert import_file(store, tmp_path / "rescued.jsonl").new["answers"] == 1
    assert store.answers() == [answer]
    assert store.calls()[0].state == "done"


def test_nothing_is_asked_where_no_room_can_be_kept_for_the_answer(
    store: LabelStore, parts: Any
) -> None:
    with file_limit(300_000), pytest.raises(LabelStoreError, match="nothing was asked"):
        store.reserve(parts.key, 0.1)
    assert store.calls() == []
    store.reserve(parts.key, 0.1)


def test_the_room_is_given_back_when_nothing_is_in_flight(store: LabelStore, parts: Any) -> None:
    with store:
        call = store.reserve(parts.key, 0.1)
        LabelStore(store.path).close()
        assert unsaved.spare_of(store.path).exists()
        store.settle(call, parts.answer())
    assert [path.name for path in store.path.parent.iterdir()] == ["labels.sqlite"]


def test_the_room_cannot_be_given_back_while_a_call_is_entered(
    store: LabelStore, parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(path: Path) -> None:
        unsaved.make_spare(path)
        closing.start()
        closing.join(0.3)  # it has to wait until the call is entered

    closing = threading.Thread(target=LabelStore(store.path).close)
    monkeypatch.setattr(ledger, "make_spare", slow)
    store.reserve(parts.key, 0.1)
    closing.join()
    assert unsaved.spare_of(store.path).exists()


def test_an_answer_that_waits_may_be_taken_in_by_two_at_once(
    store: LabelStore, parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = unsaved.put_aside(store.path, Kept(parts.answer()))
    assert file is not None
    LabelStore(store.path)  # the other one was faster
    monkeypatch.setattr(ledger, "waiting", lambda path: [file])
    assert LabelStore(store.path).answers() == store.answers() != []


@pytest.mark.parametrize("content", [b'{"record": "answer"', b"\xff\xfe", b"{}", b"[1]"])
def test_an_answer_that_waits_and_is_damaged_is_a_sentence_and_stays(
    store: LabelStore, content: bytes
) -> None:
    file = store.path.with_name(f"{store.path.name}.unsaved-1.jsonl")
    file.write_bytes(content)
    with pytest.raises(DataError, match="was paid for waits here and cannot be read"):
        LabelStore(store.path)
    assert file.read_bytes() == content
    assert LabelStore(store.path, write=False).answers() == []


def test_settling_twice_stores_once(store: LabelStore, parts: Any) -> None:
    call, answer = store.reserve(parts.key, 0.1), parts.answer()
    store.settle(call, answer)
    store.settle(call, answer)
    assert len(store.contents().answers) == 1
    assert store.spent() == 0.0123


def test_what_names_an_unknown_prompt_or_call_is_refused_and_an_answer_kept(
    store: LabelStore, parts: Any
) -> None:
    with pytest.raises(DataError, match="add_prompt and add_labeler come first"):
        store.reserve(parts.key._replace(prompt="00"), 0.1)
    with pytest.raises(UnsavedError, match="has no call 7"):
        store.settle(7, parts.answer())
    assert LabelStore(store.path).answers() != []


def test_items_remember_which_clip_they_stand_for_now(store: LabelStore) -> None:
    store.add_items("d", {"x": "1", "y": "2"})
    store.add_items("d", {"x": "1", "y": "3"})
    store.add_items("e", {"x": "4"})
    assert store.items("d") == {("d", "x"): "1", ("d", "y"): "3"}
    assert len(store.items()) == 3
    assert len(store.contents().items) == 4


def test_a_prompt_that_was_first_used_after_test_was_opened_is_stamped(
    store: LabelStore, parts: Any
) -> None:
    from dataclasses import replace

    late = replace(parts.prompt, text="Better?")
    store.settle(store.reserve(parts.key, 0), parts.answer())
    store.add_prompt(late)
    store.add_opening("imigue", "runs/1", parts.prompt.hash)
    assert store.stamped("imigue") == set()
    store.settle(store.reserve(parts.key, 0), parts.answer())
    store.reserve(parts.key._replace(prompt=late.hash), 0)
    store.add_opening("imigue", "runs/2")
    assert store.stamped("imigue") == {late.hash}
    assert store.stamped("other") == set()
    assert [one.prompt.text for one in store.prompts()] == ["Won or lost? ½", "Better?"]
    assert [one.run for one in store.openings("imigue")] == ["runs/1", "runs/2"]


def test_consent_and_reviews_are_kept_and_the_last_word_counts(
    store: LabelStore, fill: Fill, parts: Any
) -> None:
    from dataclasses import replace

    assert store.consent("imigue") is None
    fill(store)
    consent = store.consent("imigue")
    assert consent is not None
    assert consent.terms == "upload: ask"
    (review,) = store.reviews("imigue")
    assert not store.add_review(review)
    assert store.add_review(replace(review, label="win", at=review.at.replace("20", "21", 1)))
    assert store.add_review(replace(review, reviewer="bob"))
    assert [(one.reviewer, one.label) for one in store.reviews()] == [
        ("ann", "win"),
        ("bob", "loss"),
    ]


def test_two_stores_merge_and_whatever_is_there_twice_is_there_once(
    tmp_path: Path, fill: Fill, parts: Any
) -> None:
    first, second = fill(LabelStore(tmp_path / "a")), LabelStore(tmp_path / "b")
    second.add_prompt(parts.prompt)
    new = second.merge(first.contents())
    assert (new["prompts"], new["answers"], new["calls"]) == (0, 2, 5)
    assert second.contents() == first.contents()
    assert second.spent() == first.spent()
    assert not any(second.merge(first.contents()).values())
    (lost,) = [one for one in first.calls() if one.state == "unknown"]
    first.settle(lost.id, parts.answer(lost.key))
    second.merge(first.contents())
    assert second.contents() == first.contents()


def test_a_kill_while_a_store_is_made_leaves_what_becomes_one(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert LabelStore(tmp_path / "empty").answers() == []


def refusal(path: Path, **options: bool) -> str:
    with pytest.raises(EmoframeError) as caught:
        LabelStore(path, **options).answers()
    return str(caught.value)


def test_what_is_no_label_store_is_refused_in_a_sentence_and_left_alone(tmp_path: Path) -> None:
    text, foreign, newer = tmp_path / "text", tmp_path / "foreign", tmp_path / "newer"
    text.write_text("no database, but long enough to be looked at as one " * 40)
    db = sqlite3.connect(foreign)
    db.execute("CREATE TABLE mine (a)")
    db.close()
    edit(LabelStore(newer), "PRAGMA user_version = 99")
    before = text.read_bytes(), foreign.read_bytes()
    assert "is no readable label store" in refusal(text)
    assert "is a SQLite database, but no label store" in refusal(foreign)
    assert "newer emoframe (format 99" in refusal(newer)
    assert "there is no such label store" in refusal(tmp_path / "missing", write=False)
    assert "cannot be opened (Is a directory)" in refusal(tmp_path) or "cannot be" in refusal(
        tmp_path
    )
    assert (text.read_bytes(), foreign.read_bytes()) == before
    assert not (tmp_path / "missing").exists()


def test_a_damaged_store_is_told_of(store: LabelStore, fill: Fill) -> None:
    fill(store)
    content = bytearray(store.path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    store.path.write_bytes(content)
    with pytest.raises(DataError, match="put a copy of it back"):
        store.answers()


def test_a_folder_that_cannot_be_written_is_a_sentence() -> None:
    assert "cannot be" in refusal(Path("/proc/labels.sqlite"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_store_can_be_read(store: LabelStore, fill: Fill) -> None:
    fill(store)
    store.path.chmod(0o400)
    store.path.parent.chmod(0o500)
    try:
        with LabelStore(store.path, write=False) as opened:
            assert len(opened.answers()) == 2
            with pytest.raises(LabelStoreError, match="may you write in it"):
                opened.add_consent("d", "terms")
    finally:
        store.path.parent.chmod(0o700)


def test_a_store_that_somebody_keeps_locked_is_a_sentence(
    store: LabelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "WAIT_S", 0.05)
    with (
        store.writing(),
        pytest.raises(LabelStoreError, match="another process has kept it locked"),
    ):
        store.add_consent("d", "terms")


def test_a_hand_that_changed_a_row_is_noticed(store: LabelStore, fill: Fill) -> None:
    fill(store)
    edit(store, "UPDATE answer SET label = '{}' WHERE label IS NOT NULL")
    with pytest.raises(DataError, match="was the store changed by hand"):
        store.answers()


def test_a_reason_with_half_a_letter_ends_its_call_and_no_more(
    store: LabelStore, parts: Any
) -> None:
    call = store.reserve(parts.key, 0.5)
    store.fail(call, "the server said \ud83d")
    assert store.spent() == 0 and not store.calls("open")


def test_closing_hides_no_answer_that_an_error_carries(
    store: LabelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: LabelStore) -> None:
        raise LabelStoreError("the disk is full")

    monkeypatch.setattr(LabelStore, "close", full)
    with pytest.raises(LabelStoreError, match="an answer"), store:
        raise LabelStoreError("an answer that could not be stored")

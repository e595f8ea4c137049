"""Batches: handed in once, found again after a restart, collected in order, cleared away."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from emoframe.labelling import CallError, Prompt, Question, Reply

Make = Callable[..., Any]


@pytest.fixture
def questions(make_clip: Make, prompt: Prompt) -> list[Question]:
    clips = [make_clip(bytes([n]) * 20) for n in range(3)]
    return [Question(clip, prompt, sample) for clip in clips for sample in (0, 1)]


def test_a_batch_asks_what_a_call_asks(
    server: Any, labeler: Make, questions: list[Question]
) -> None:
    one = labeler(seed=1, thinking=500, media_resolution="low")
    one.ask(questions[1])
    one.submit("b-1", questions)
    (batch,) = server.batches.values()
    asked, handed_in = server.bodies[0], batch["lines"][1]["request"]
    for body in (asked, handed_in):
        uri = body["contents"][0]["parts"][0]["fileData"].pop("fileUri")
        assert uri.startswith("https://generativelanguage.googleapis.com/v1beta/files/")
    assert handed_in == asked


def test_answers_come_in_order_after_a_restart_and_everything_is_cleared_away(
    server: Any, labeler: Make, questions: list[Question]
) -> None:
    server.reply = lambda body: json.dumps(
        {"seed": body["generationConfig"]["seed"], "of": server.question(body)}
    )
    first = labeler(seed=5)
    job = first.submit("emoframe-1", questions)
    first.release(questions[0].clip)
    first.close()
    assert len(server.files) == 4, "a batch needs its three clips and its file of questions"

    later = labeler(seed=5)
    assert later.find("emoframe-1") == job and later.find("emoframe-2") is None
    assert later.collect(job) is None
    replies = later.collect(job)
    assert replies is not None
    assert [json.loads(reply.text)["seed"] for reply in replies] == [5, 6] * 3
    assert len({json.loads(reply.text)["of"] for reply in replies}) == 6
    assert replies[0].usage.input == 700 and replies[0].model == "gemini-2.5-pro-preview-99"
    assert list(server.files) == [next(iter(server.batches.values()))["out"]]


def test_each_question_of_a_batch_may_fail_for_itself(
    server: Any, labeler: Make, questions: list[Question], fake: ModuleType
) -> None:
    server.script["line"] = ["", "error", "SAFETY", "skip", "garbage"]
    server.reply = lambda body: "a line\u2028that is none"
    server.batch_state, server.batch_polls = "JOB_STATE_PARTIALLY_SUCCEEDED", 0
    one = labeler()
    outcomes = one.collect(one.submit("b", questions))
    assert [type(outcome) for outcome in outcomes] == [
        Reply, CallError, Reply, CallError, CallError, Reply
    ]  # fmt: skip
    assert outcomes[0].text == outcomes[5].text == "a line\u2028that is none"
    assert outcomes[1].retry and "internal" in str(outcomes[1]) and fake.KEY not in str(outcomes[1])
    assert outcomes[2].finish == "blocked"
    assert "did not answer" in str(outcomes[3])


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("BATCH_STATE_FAILED", "failed"),
        ("BATCH_STATE_CANCELLED", "was cancelled"),
        ("BATCH_STATE_EXPIRED", "expired"),
    ],
)
def test_a_batch_that_ends_without_answers_says_so(
    server: Any, labeler: Make, questions: list[Question], state: str, says: str
) -> None:
    server.batch_state, server.batch_polls = state, 0
    one = labeler()
    job = one.submit("b", questions)
    with pytest.raises(CallError, match=says) as raised:
        one.collect(job)
    assert not raised.value.retry


def test_a_question_that_cannot_be_taken_holds_no_other_up(
    server: Any, labeler: Make, make_clip: Make, prompt: Prompt, questions: list[Question],
    caplog: Any,
) -> None:  # fmt: skip
    server.batch_polls = 0
    long = Question(make_clip(b"long", duration_s=1e5), prompt)
    one = labeler()
    outcomes = one.collect(one.submit("b", [long, *questions]))
    assert len(outcomes) == 7 and isinstance(outcomes[0], CallError)
    assert all(isinstance(outcome, Reply) for outcome in outcomes[1:])
    assert "left out of the batch" in caplog.text and "too long" in caplog.text
    with pytest.raises(CallError, match="too long"):
        one.submit("c", [long])


def test_a_batch_that_broke_off_is_handed_in_again_without_sending_the_clips_twice(
    server: Any, labeler: Make, questions: list[Question]
) -> None:
    server.script["batch"] = ["503", "reset"]
    for paid in (False, True):
        with pytest.raises(CallError, match="while a batch was handled") as raised:
            labeler().submit("b", questions)
        assert raised.value.retry and raised.value.paid is paid
        assert labeler().find("b") is None
    labeler().submit("b", questions)
    assert server.requests["upload"] == 3 + 3, "three clips, and the file of questions each time"
    assert len(server.batches) == 1


def test_a_batch_that_arrived_although_the_line_broke_is_found(
    server: Any, labeler: Make, questions: list[Question]
) -> None:
    server.script["batch"] = ["lost"]
    with pytest.raises(CallError) as raised:
        labeler().submit("b", questions)
    assert raised.value.paid, "its questions must not be handed in again before it was looked for"
    assert labeler().find("b") == next(iter(server.batches))


def test_vertex_takes_no_batches(labeler: Make, questions: list[Question]) -> None:
    with pytest.raises(CallError, match="without --batch"):
        labeler(service="vertex").submit("b", questions)

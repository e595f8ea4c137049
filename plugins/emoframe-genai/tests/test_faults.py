"""Every fault ends in a sentence that says whether to try again, and shows no key."""

from __future__ import annotations

import logging
import os
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from emoframe.core.errors import ComponentError
from emoframe.labelling import CallError, Prompt, Question

Make = Callable[..., Any]
Ask = Callable[..., Any]


@pytest.fixture
def failed(
    server: Any, labeler: Make, make_clip: Make, prompt: Prompt, fake: ModuleType
) -> Callable[..., CallError]:
    """Ask once and return the error; no text of it may hold the key."""

    def ask(operation: str, fault: str, **parameters: Any) -> CallError:
        server.script[operation] = [fault]
        with pytest.raises(CallError) as raised:
            labeler(**parameters).ask(Question(make_clip(), prompt))
        error = raised.value
        texts = [str(error), repr(error), *traceback.format_exception(error), repr(vars(error))]
        assert fake.KEY not in "".join(texts)
        assert error.__cause__ is None and error.__context__ is None
        assert fake.KEY.encode() not in pickle.dumps(error.args)
        assert len(str(error)) < 500 and "\n" not in str(error)
        return error

    return ask


@pytest.mark.parametrize(
    ("fault", "paid", "status", "says"),
    [
        ("408", True, "error", "408"),
        ("429", False, "quota", "429"),
        ("500", True, "error", "500"),
        ("502", True, "error", "502"),
        ("503", False, "error", "503"),
        ("504", True, "error", "504"),
        ("html", True, "error", "502"),
        ("reset", True, "error", "broke off"),
        ("lost", True, "error", "broke off"),
        ("hang", True, "error", "did not respond in time"),
        ("not json", True, "error", "no answer"),
        ("wrong count", True, "error", "no answer"),
        ("leak", True, "error", "[key]"),
    ],
)
def test_what_may_pass_is_worth_another_try(
    failed: Ask, server: Any, fault: str, paid: bool, status: str, says: str
) -> None:
    server.hang_s = 2.0
    error = failed("generate", fault, timeout_s=0.5 if fault == "hang" else 5.0)
    assert (error.retry, error.paid, error.status) == (True, paid, status)
    assert says in str(error)
    assert server.requests["generate"] == 1, "the SDK tried again by itself"


@pytest.mark.parametrize(
    ("fault", "status", "says"),
    [
        ("429 daily", "quota", "GenerateRequestsPerDay"),
        ("wrong key", "error", "does not take the key in GEMINI_API_KEY"),
        ("400", "error", "refused the question"),
        ("401", "error", "does not take the key"),
        ("403", "error", "denies access"),
        ("404", "error", "knows no model 'gemini-2.5-pro'"),
        ("413", "error", "inline_below_mb"),
    ],
)
def test_what_will_not_pass_is_not_tried_again(
    failed: Ask, fault: str, status: str, says: str
) -> None:
    error = failed("generate", fault)
    assert (error.retry, error.paid, error.status) == (False, False, status)
    assert says in str(error)


def test_the_service_says_how_long_to_wait(failed: Ask, server: Any) -> None:
    server.retry_s = 34.5
    assert failed("generate", "429").after_s == 34.5
    server.retry_s = None
    assert failed("generate", "429").after_s is None


@pytest.mark.parametrize(
    ("operation", "fault"),
    [
        ("start", "503"),
        ("start", "429"),
        ("start", "reset"),
        ("upload", "500"),
        ("upload", "reset"),
        ("upload", "hang"),
        ("get", "503"),
        ("get", "reset"),
    ],
)
def test_a_broken_upload_costs_nothing_and_the_next_try_goes_on(
    failed: Ask, server: Any, labeler: Make, make_clip: Make, prompt: Prompt,
    operation: str, fault: str,
) -> None:  # fmt: skip
    server.hang_s = 2.0
    error = failed(operation, fault, upload_timeout_s=0.5 if fault == "hang" else 5.0)
    assert error.retry and not error.paid
    assert labeler().ask(Question(make_clip(), prompt)).finish == "stop"


def test_a_large_upload_is_sent_in_parts_and_survives_a_reset_in_the_middle(
    server: Any, labeler: Make, make_clip: Make, prompt: Prompt
) -> None:
    clip, one = make_clip(bytes(9_000_000)), labeler()
    server.script["upload"] = ["", "reset"]
    with pytest.raises(CallError, match="while a clip was uploaded") as raised:
        one.ask(Question(clip, prompt))
    assert raised.value.retry and not raised.value.paid
    assert one.ask(Question(clip, prompt)).finish == "stop"
    (file,) = server.files.values()
    assert len(file["data"]) == 9_000_000


def test_an_upload_that_stays_in_processing_is_sent_once_more_then_given_up(
    server: Any, labeler: Make, make_clip: Make, prompt: Prompt
) -> None:
    one, clip = labeler(upload_timeout_s=0.2), make_clip()
    server.script["upload"] = ["stuck", "stuck"]
    for retry in (True, False):
        with pytest.raises(CallError, match="still PROCESSING.*upload_timeout_s") as raised:
            one.ask(Question(clip, prompt))
        assert (raised.value.retry, raised.value.paid) == (retry, False)
        assert not server.files, "what is stuck was left there"
    assert one.ask(Question(clip, prompt)).finish == "stop"


def test_a_clip_that_the_service_cannot_process_is_not_sent_again(failed: Ask, server: Any) -> None:
    error = failed("upload", "FAILED")
    assert not error.retry and "cannot decode" in str(error)
    assert not server.files


def test_an_upload_that_expired_is_sent_again(
    server: Any, labeler: Make, make_clip: Make, prompt: Prompt
) -> None:
    one, clip = labeler(), make_clip()
    one.ask(Question(clip, prompt))
    server.files.clear()
    with pytest.raises(CallError, match="may not exist") as raised:
        one.ask(Question(clip, prompt))
    assert raised.value.retry and not raised.value.paid
    assert one.ask(Question(clip, prompt)).finish == "stop"
    assert server.requests["upload"] == 2


def test_a_name_that_another_project_has_taken_is_no_obstacle(
    server: Any, labeler: Make, make_clip: Make, prompt: Prompt
) -> None:
    server.script["get"], server.script["start"] = ["403", "403"], ["409"]
    assert labeler().ask(Question(make_clip(), prompt)).finish == "stop"


def test_an_upload_that_another_process_finishes_first_is_used(
    server: Any, labeler: Make, make_clip: Make, prompt: Prompt
) -> None:
    labeler().ask(Question(make_clip(), prompt))
    server.script["get"] = ["403"]  # it was not there a moment ago
    labeler().ask(Question(make_clip(), prompt))
    assert len(server.files) == 1 and server.requests["upload"] == 1


@pytest.mark.parametrize(
    ("fault", "finish", "reason"),
    [
        ("SAFETY", "blocked", "SAFETY"),
        ("RECITATION", "blocked", "RECITATION"),
        ("PROHIBITED_CONTENT", "blocked", "PROHIBITED_CONTENT"),
        ("SPII", "blocked", "SPII"),
        ("BLOCKLIST", "blocked", "BLOCKLIST"),
        ("blocked prompt", "blocked", "PROHIBITED_CONTENT"),
        ("MAX_TOKENS", "length", "MAX_TOKENS"),
        ("thought out", "length", "MAX_TOKENS"),
        ("empty", "empty", "no candidates"),
        ("no parts", "empty", "STOP"),
        ("MALFORMED_RESPONSE", "stop", "MALFORMED_RESPONSE"),
        ("prose", "stop", ""),
        ("wrong types", "stop", ""),
    ],
)
def test_an_answer_that_is_of_no_use_is_an_answer_and_its_bill_is_kept(
    server: Any, labeler: Make, make_clip: Make, prompt: Prompt,
    fault: str, finish: str, reason: str,
) -> None:  # fmt: skip
    server.script["generate"] = [fault]
    reply = labeler().ask(Question(make_clip(), prompt))
    assert (reply.finish, reply.reason) == (finish, reason)
    assert reply.usage.input == 700


@pytest.mark.filterwarnings("ignore:UNHEARD_OF")
def test_a_reason_that_is_not_known_yet_is_kept_by_its_name(
    server: Any, labeler: Make, make_clip: Make, prompt: Prompt
) -> None:
    server.script["generate"] = ["UNHEARD_OF"]
    reply = labeler().ask(Question(make_clip(), prompt))
    assert (reply.finish, reply.reason) == ("stop", "UNHEARD_OF")


def test_a_failed_delete_harms_nothing_and_is_noted(
    server: Any, labeler: Make, make_clip: Make, prompt: Prompt, caplog: Any, fake: ModuleType
) -> None:
    one, clip = labeler(), make_clip()
    one.ask(Question(clip, prompt))
    server.script["delete"] = ["leak"]
    with caplog.at_level(logging.WARNING):
        one.release(clip)
    assert "expires within 48 hours" in caplog.text and fake.KEY not in caplog.text


def test_without_a_key_nothing_is_read_or_sent(
    server: Any, labeler: Make, make_clip: Make, prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GEMINI_API_KEY")
    clip = make_clip()
    clip.path.unlink()
    with pytest.raises(ComponentError, match="set GEMINI_API_KEY"):
        labeler().ask(Question(clip, prompt))
    monkeypatch.setenv("GEMINI_API_KEY", "two words")
    with pytest.raises(ComponentError, match="GEMINI_API_KEY holds no key") as raised:
        labeler().ask(Question(clip, prompt))
    assert "two" not in str(raised.value) and not server.said


def test_a_wrong_key_is_a_sentence_that_does_not_show_it(
    server: Any, labeler: Make, make_clip: Make, prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", "AIzaSyOther1234567890")
    with pytest.raises(CallError, match="does not take the key in GOOGLE_API_KEY") as raised:
        labeler().ask(Question(make_clip(), prompt))
    assert not raised.value.retry and "AIzaSyOther" not in str(raised.value)


def test_no_key_is_in_anything_that_is_logged_or_shown(
    server: Any, labeler: Make, make_clip: Make, prompt: Prompt, caplog: Any, fake: ModuleType,
    capfd: Any,
) -> None:  # fmt: skip
    with caplog.at_level(logging.DEBUG):
        one = labeler()
        one.ask(Question(make_clip(), prompt))
        server.script["generate"] = ["leak"]
        with pytest.raises(CallError):
            one.ask(Question(make_clip(), prompt))
    shown = [caplog.text, *capfd.readouterr(), repr(one), repr(vars(one)), repr(one._service)]
    assert fake.KEY not in "".join(shown) and os.environ["GEMINI_API_KEY"] == fake.KEY


def test_a_clip_that_is_too_long_is_refused_before_it_is_sent(
    server: Any, labeler: Make, make_clip: Make, prompt: Prompt
) -> None:
    question = Question(make_clip(duration_s=3 * 3600.0), prompt)
    with pytest.raises(CallError, match="too long.*lower fps or media_resolution") as raised:
        labeler().ask(question)
    assert raised.value.status == "refused" and not server.said
    assert labeler(media_resolution="low").ask(question).finish == "stop"
    with pytest.raises(CallError, match="nothing of it would be shown"):
        labeler(start_s=4.0).ask(Question(make_clip(), prompt))


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(
    server: Any, labeler: Make, make_clip: Make, prompt: Prompt
) -> None:
    clip = make_clip()
    with Path(clip.path).open("r+b") as file:
        file.truncate(2 * 1024**3 + 1)  # a hole: it takes no room
    with pytest.raises(CallError, match="2.15 GB") as raised:
        labeler().ask(Question(clip, prompt))
    assert raised.value.status == "refused" and not server.said


def test_nobody_there_is_worth_another_try(labeler: Make, make_clip: Make, prompt: Prompt) -> None:
    with pytest.raises(CallError, match="broke off") as raised:
        labeler(base_url="http://127.0.0.1:9").ask(Question(make_clip(), prompt))
    assert raised.value.retry and not raised.value.paid
    with pytest.raises(CallError, match="see base_url") as raised:
        labeler(base_url="ftp://127.0.0.1").ask(Question(make_clip(), prompt))
    assert not raised.value.retry


def test_vertex_without_credentials_is_a_sentence(
    server: Any, labeler: Make, make_clip: Make, prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("HOME", "/nowhere")
    vertex = labeler(service="vertex", project="mine", location="europe-west4")
    with pytest.raises(CallError, match="gcloud auth application-default login") as raised:
        vertex.ask(Question(make_clip(), prompt))
    assert not raised.value.retry and not server.said

"""What `openai_compatible` promises, by the real client against a server on this machine."""

from __future__ import annotations

import importlib.util
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from emoframe_openai.chat import OpenAICompatible
from emoframe_openai.request import picture_tokens
from emoframe_openai.server import is_here

from emoframe.core.errors import ComponentError, ConfigError
from emoframe.core.registry import build
from emoframe.labelling import CallError, Clip, Prompt, Question, Show
from emoframe.records import Frames
from emoframe.testing import check_component, check_part

_spec = importlib.util.spec_from_file_location(
    "fake_openai", Path(__file__).with_name("fake_openai.py")
)
assert _spec and _spec.loader
fake_openai = importlib.util.module_from_spec(_spec)
sys.modules["fake_openai"] = fake_openai  # its dataclass looks there for its annotations
_spec.loader.exec_module(fake_openai)
FakeOpenAI, KEY, completion = fake_openai.FakeOpenAI, fake_openai.KEY, fake_openai.completion

SCHEMA = {
    "type": "object",
    "properties": {"mood": {"type": "string"}},
    "required": ["mood"],
    "additionalProperties": False,
}
PROMPT = Prompt("p", "You look.", "What do you see?", SCHEMA, ("win", "loss"))
SIZE = (640, 360)


@pytest.fixture
def server() -> Iterator[Any]:
    with FakeOpenAI() as fake:
        yield fake


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is set; what else of the environment could matter is not."""
    for name in ("OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """Four seconds at 5 fps; each picture is brighter than the one before."""
    path = tmp_path_factory.mktemp("clip") / f"{'a' * 64}.mp4"
    rgb = np.stack([np.full((SIZE[1], SIZE[0], 3), 12 * n, np.uint8) for n in range(20)])
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=5, width=SIZE[0], height=SIZE[1])
        for picture in rgb:
            film.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        film.mux(stream.encode(None))

    def frames(count: int) -> Frames:
        at = np.linspace(0, len(rgb) - 1, min(count, len(rgb))).round().astype(int)
        return Frames(rgb[at], at / 5, at)

    return Clip("a" * 64, path, 4.0, 5.0, SIZE, frames)


@pytest.fixture
def question(clip: Clip) -> Question:
    return Question(clip, PROMPT)


def labeler(server: Any, **params: Any) -> OpenAICompatible:
    return OpenAICompatible(
        **{"base_url": server.url, "model": "tiny-vl", "timeout_s": 20.0, **params}
    )


def refused(part: OpenAICompatible, question: Question) -> CallError:
    with pytest.raises(CallError) as caught:
        part.ask(question)
    return caught.value


# ---------------------------------------------------------------- what is sent


def test_pictures_are_sent_in_order_each_after_its_time(server: Any, question: Question) -> None:
    labeler(server, frames=4, side=320, detail="low").ask(question)
    system, user = server.asked[0]["messages"]
    assert system == {"role": "system", "content": "You look."}
    intro, *shown, text = user["content"]
    assert intro.startswith("4 pictures out of a silent video of 4.00 seconds")
    assert text == "What do you see?"
    assert shown[::2] == [
        f"Picture {n} of 4, at {t} s:" for n, t in enumerate(("0.00", "1.20", "2.60", "3.80"), 1)
    ]
    assert [picture["size"] for picture in shown[1::2]] == [(320, 180)] * 4
    assert {picture["detail"] for picture in shown[1::2]} == {"low"}
    levels = [np.asarray(picture["image"]).mean() for picture in shown[1::2]]
    assert np.allclose(levels, [0, 72, 156, 228], atol=2)


def test_a_video_is_sent_as_it_is(server: Any, question: Question) -> None:
    extra = {"mm_processor_kwargs": {"fps": 4}}
    labeler(server, send="video", extra=extra).ask(question)
    body = server.asked[0]
    intro, video, text = body["messages"][1]["content"]
    assert intro == "The video is silent and lasts 4.00 seconds."
    assert video["frames"] == 20
    assert question.clip.path is not None
    assert video["data"] == question.clip.path.read_bytes()
    assert text == "What do you see?"
    assert body["mm_processor_kwargs"] == {"fps": 4}


def test_only_what_is_set_is_sent(server: Any, question: Question) -> None:
    labeler(server, structured="none").ask(question)
    assert set(server.asked[0]) == {"model", "messages", "max_tokens"}
    labeler(
        server, tokens_field="max_completion_tokens", max_output_tokens=99, temperature=0.0, seed=5
    ).ask(replace(question, sample=2))
    body = server.asked[1]
    assert (body["max_completion_tokens"], body["temperature"], body["seed"]) == (99, 0.0, 7)
    assert "max_tokens" not in body


def test_the_answer_is_bound_to_its_schema_as_far_as_is_asked_for(
    server: Any, question: Question
) -> None:
    for structured in ("json_schema", "json_object", "none"):
        labeler(server, structured=structured).ask(question)
    bound, some, free = server.asked
    form = bound["response_format"]["json_schema"]
    assert (form["strict"], form["schema"]) == (True, SCHEMA)
    assert some["response_format"] == {"type": "json_object"}
    assert "response_format" not in free


def test_the_request_names_neither_the_file_nor_the_clip(server: Any, question: Question) -> None:
    for send in ("frames", "video"):
        labeler(server, send=send).ask(question)
    assert "aaaaaaaa" not in str([body["messages"] for body in server.asked])


# ---------------------------------------------------------------- what comes back


def test_the_answer_comes_back_with_all_that_is_known_of_it(
    server: Any, question: Question
) -> None:
    server.answer = lambda body: completion('{"mood": "calm"}', reasoning_content="hm")
    reply = labeler(server).ask(question)
    assert (reply.text, reply.finish, reply.reason) == ('{"mood": "calm"}', "stop", "")
    assert reply.usage.input == 1200
    assert (reply.usage.output, reply.usage.thoughts, reply.usage.cached) == (200, 100, 1024)
    assert (reply.model, reply.response_id) == ("tiny-vl-2026-01-01", "chatcmpl-1")
    assert reply.thoughts == "hm"
    assert reply.extra == {"created": 1, "system_fingerprint": "fp_1", "request_id": "req_1"}


def test_reasoning_is_counted_where_a_server_tells_it_beside_the_answer(
    server: Any, question: Question
) -> None:
    beside = {
        "prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1900,
        "completion_tokens_details": {"reasoning_tokens": 700},
    }  # fmt: skip
    server.answer = lambda body: completion() | {"usage": beside}
    usage = labeler(server).ask(question).usage
    assert (usage.input, usage.output, usage.thoughts) == (1000, 200, 700)


@pytest.mark.parametrize(
    ("answer", "finish", "reason", "text"),
    [
        (completion('{"mo', "length"), "length", "length", '{"mo'),
        (completion("", "content_filter"), "blocked", "content_filter", ""),
        (completion(None, refusal="I cannot."), "refused", "refusal", "I cannot."),
        (completion(None), "empty", "", ""),
        (completion(None, "length"), "length", "length", ""),
        (completion() | {"choices": []}, "empty", "no choices", ""),
        (completion() | {"choices": None, "usage": None}, "empty", "no choices", ""),
        (completion("{}", "abort"), "stop", "abort", "{}"),
        (completion([{"type": "text", "text": "{"}, {"text": "}"}]), "stop", "", "{}"),
    ],
)  # fmt: skip
def test_how_a_model_ends_is_kept(
    server: Any, question: Question, answer: dict[str, Any], finish: str, reason: str, text: str
) -> None:
    server.answer = lambda body: answer
    reply = labeler(server).ask(question)
    assert (reply.finish, reply.reason, reply.text) == (finish, reason, text)


def test_a_thought_inside_the_answer_is_no_part_of_it(server: Any, question: Question) -> None:
    server.answer = lambda body: completion("<think>\nso {} or\n</think>\n\n{}")
    reply = labeler(server).ask(question)
    assert (reply.text.strip(), reply.thoughts) == ("{}", "so {} or")


# ---------------------------------------------------------------- faults


@pytest.mark.parametrize(
    ("status", "code", "message", "retry", "paid", "ends"),
    [
        (408, "timeout", "Request Timeout", True, True, "error"),
        (429, "rate_limit_exceeded", "Rate limit reached", True, False, "quota"),
        (429, "insufficient_quota", "You exceeded your current quota", False, False, "quota"),
        (402, "payment", "Insufficient Balance", False, False, "quota"),
        (500, "server_error", "The server had an error", True, True, "error"),
        (503, "overloaded", "The engine is overloaded", True, False, "error"),
        (504, "timeout", "Gateway Timeout", True, True, "error"),
        (401, "invalid_api_key", "Incorrect API key", False, False, "error"),
        (403, "region", "Country not supported", False, False, "error"),
        (404, "model_not_found", "The model does not exist", False, False, "error"),
        (400, "context_length_exceeded", "maximum context length", False, False, "refused"),
        (400, "", "longer than the maximum model length of 4096", False, False, "refused"),
        (413, "", "Payload Too Large", False, False, "refused"),
        (400, "content_filter", "The response was filtered", False, False, "blocked"),
        (400, "strange", "No idea", False, False, "error"),
    ],
)  # fmt: skip
def test_an_error_says_whether_to_try_again_and_who_has_paid(
    server: Any, question: Question, status: int, code: str, message: str, retry: bool, paid: bool,
    ends: str,
) -> None:  # fmt: skip
    server.fault = lambda number: (status, code, message, {})
    error = refused(labeler(server), question)
    assert (error.retry, error.paid, error.status, error.after_s) == (retry, paid, ends, None)
    assert message in str(error)
    assert server.url in str(error)
    assert len(server.headers) == 1  # the library's own retries are off


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        ("response_format of type json_schema is not supported", "structured: json_object"),
        ("Unsupported parameter: use 'max_completion_tokens' instead", "tokens_field: max_compl"),
        ("temperature does not support 0", "temperature: null"),
        ("unknown content type video_url", "send: frames"),
    ],
)
def test_a_refused_field_is_a_sentence_with_what_to_set(
    server: Any, question: Question, message: str, advice: str
) -> None:
    server.fault = lambda number: (400, "invalid_request_error", message, {})
    assert advice in str(refused(labeler(server), question))


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("7", 7, 7),
        ("0.25", 0.25, 0.25),
        (+3600, 3000, 3601),
        (-3600, 0, 0),
    ],
)
def test_the_wait_that_a_server_asks_for_is_passed_on(
    server: Any, question: Question, header: str | int, least: float, most: float
) -> None:
    if isinstance(header, int):
        header = formatdate(time.time() + header, usegmt=True)
    server.fault = lambda number: (429, "rate_limit_exceeded", "slow", {"retry-after": header})
    after_s = refused(labeler(server), question).after_s
    assert after_s is not None
    assert least <= after_s <= most


@pytest.mark.parametrize("header", ["soon", "inf", "nan", ""])
def test_a_wait_that_makes_no_sense_is_none(server: Any, question: Question, header: str) -> None:
    server.fault = lambda number: (429, "rate_limit_exceeded", "slow", {"retry-after": header})
    assert refused(labeler(server), question).after_s is None


@pytest.mark.parametrize("fault", ["reset", "silence", "cut"])
def test_a_server_that_falls_silent_may_have_done_the_work(
    server: Any, question: Question, fault: str
) -> None:
    server.fault = lambda number: fault if number == 0 else None
    part = labeler(server, timeout_s=1.0 if fault == "silence" else 20.0)
    error = refused(part, question)
    assert (error.retry, error.paid, error.status) == (True, True, "error")
    assert part.ask(question).finish == "stop"


def test_a_server_that_is_not_there_costs_nothing(question: Question) -> None:
    with FakeOpenAI() as gone:
        part = labeler(gone)
    error = refused(part, question)
    assert (error.retry, error.paid) == (True, False)
    assert "could not be reached" in str(error)


@pytest.mark.parametrize("fault", ["html", "null"])
def test_what_is_no_answer_is_a_sentence(server: Any, question: Question, fault: str) -> None:
    server.fault = lambda number: fault
    error = refused(labeler(server), question)
    assert (error.retry, error.paid) == (False, True)
    assert "no chat completion" in str(error)


def test_an_error_inside_an_answer_is_an_error(server: Any, question: Question) -> None:
    server.answer = lambda body: {"error": {"code": 429, "message": "upstream is busy"}}
    error = refused(labeler(server), question)
    assert (error.retry, error.status) == (True, "quota")


def test_a_clip_goes_nowhere_else_when_it_is_sent_elsewhere(
    server: Any, question: Question
) -> None:
    with FakeOpenAI() as elsewhere:
        to = {"location": f"{elsewhere.url}/chat/completions"}
        server.fault = lambda number: (307, "", "", to)
        error = refused(labeler(server), question)
        assert not error.retry
        assert "sends elsewhere" in str(error)
        assert not elsewhere.headers


def test_no_proxy_of_the_environment_hears_of_a_clip_for_this_machine(
    server: Any, question: Question, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeOpenAI() as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url.removesuffix("/v1"))
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        assert labeler(server).ask(question).finish == "stop"
        assert not proxy.headers
        # the same proxy is used for another host, so the test would see it
        away = labeler(server, base_url="http://models.invalid/v1")
        refused(away, question)
        assert proxy.headers


def test_a_video_that_is_too_large_is_not_read(
    server: Any, question: Question, tmp_path: Path
) -> None:
    path = tmp_path / "large.mp4"
    with path.open("wb") as file:
        file.truncate(201 * 2**20)
    large = replace(question, clip=replace(question.clip, path=path))
    error = refused(labeler(server, send="video"), large)
    assert (error.status, error.retry) == ("refused", False)
    assert not server.headers
    part = labeler(server, send="video")
    assert "no video" in str(refused(part, replace(question, clip=replace(large.clip, path=None))))


# ---------------------------------------------------------------- keys and privacy


def test_without_a_key_nothing_is_sent(
    server: Any, question: Question, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in ("", f"{KEY} \n second", "schlüssel-secret"):
        monkeypatch.setenv("OPENAI_API_KEY", value)
        with pytest.raises(ComponentError, match=r"OPENAI_API_KEY hold|holds is no key") as caught:
            labeler(server).ask(question)
        assert "secret" not in str(caught.value)
    assert not server.headers


def test_a_server_without_keys_gets_none(question: Question) -> None:
    with FakeOpenAI(key=None) as server:
        assert labeler(server, key_env="").ask(question).finish == "stop"
        assert "authorization" not in server.headers[0]


def test_the_names_of_the_account_are_for_openai_alone(
    server: Any, question: Question, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-mine")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-mine")
    labeler(server).ask(question)
    assert "mine" not in str(server.headers)


def test_no_key_is_in_any_text(
    server: Any,
    question: Question,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[str] = []
    wrong = "sk-proj-wrong0but1a2secret3too4"
    monkeypatch.setenv("OPENAI_API_KEY", wrong)
    error = refused(labeler(server), question)
    assert "401" in str(error)
    assert "key_env" in str(error)
    told += [str(error), repr(error), repr(error.__cause__), repr(error.__context__)]
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server.answer = lambda body: completion(f"your key is {KEY}", system_fingerprint=KEY)
    told.append(repr(labeler(server).ask(question)))
    server.fault = lambda number: (500, "", f"Bearer {KEY} failed; seen sk-proj-****abcd", {})
    told.append(str(refused(labeler(server), question)))
    told += [record.getMessage() for record in caplog.records]
    told.append(repr(vars(labeler(server))))
    for text in told:
        assert KEY not in text
        assert wrong not in text
        assert "abcd" not in text


@pytest.mark.parametrize(
    ("url", "model", "uploads"),
    [
        ("http://127.0.0.1:8000/v1", "m", False),
        ("http://127.8.9.1/v1", "m", False),
        ("http://localhost:11434/v1", "llava", False),
        ("http://[::1]:8000/v1", "m", False),
        ("http://localhost:11434/v1", "qwen3-vl:235b-cloud", True),
        ("https://api.openai.com/v1", "m", True),
        ("http://127.0.0.1.example.com/v1", "m", True),
        ("http://localhost.example.com/v1", "m", True),
        ("http://0.0.0.0:8000/v1", "m", True),
        ("http://192.168.0.7:8000/v1", "m", True),
        ("http://2130706433/v1", "m", True),
    ],
)
def test_it_says_that_it_uploads_unless_the_server_certainly_is_here(
    url: str, model: str, uploads: bool
) -> None:
    part = OpenAICompatible(base_url=url, model=model)
    assert part.uploads is uploads
    assert part.model == (model if uploads else "")
    assert OpenAICompatible(base_url=url, model=model, forwards=True).uploads


@pytest.mark.parametrize(
    "url",
    [
        "http://me:secret@127.0.0.1/v1", "http://127.0.0.1@example.com/v1", "127.0.0.1:8000",
        "http://127.0.0.1/v1?key=secret", "http://127.0.0.1\\@example.com/v1", "ftp://127.0.0.1",
        "http://[::1/v1", "http://127.0.0.1:port/v1", "http://exämple.com/v1", "", "http:///v1",
        "http://127.0.0.1/v1#secret", "http://127.0.0.1 /v1",
    ],
)  # fmt: skip
def test_an_address_with_a_secret_or_a_trick_is_refused(url: str) -> None:
    with pytest.raises(ComponentError, match="base_url") as caught:
        OpenAICompatible(base_url=url, model="m")
    assert "secret" not in str(caught.value)


def test_the_client_reads_an_address_as_the_check_does() -> None:
    import httpx2

    for url in ("http://127.0.0.1:8000/v1", "http://localhost/v1", "http://[::1]:8000/v1"):
        assert is_here(httpx2.URL(url).host)


# ---------------------------------------------------------------- the rest


def test_the_bound_is_never_below_what_openai_documents(question: Question) -> None:
    # https://platform.openai.com/docs/guides/images-vision: 85 + 170 for each tile of 512 pixels
    assert picture_tokens((1024, 1024), 1024, "gpt-4o") >= 765
    assert picture_tokens((2048, 4096), 4096, "gpt-4o") >= 1105
    assert picture_tokens((1024, 1024), 1024, "gpt-4o-mini-2024-07-18") >= 2833 + 4 * 5667
    assert picture_tokens((1024, 1024), 1024, "gpt-4.1-mini") >= 1024 * 1.62
    assert picture_tokens((0, 0), 512, "m") >= picture_tokens((512, 300), 512, "m")
    part = OpenAICompatible(base_url="http://127.0.0.1/v1", model="m", frames=8, side=512)
    usage = part.tokens(question)
    assert usage.output == 8192
    assert usage.input > 8 * picture_tokens(SIZE, 512, "m")
    one = replace(question, prompt=replace(PROMPT, show=Show(frames="one")))
    assert part.tokens(one).input < usage.input / 4
    film = OpenAICompatible(base_url="http://127.0.0.1/v1", model="m", send="video")
    fast = OpenAICompatible(
        base_url="http://127.0.0.1/v1",
        model="m",
        send="video",
        extra={"mm_processor_kwargs": {"fps": 20}},
    )
    assert 32 * 299 < film.tokens(question).input < fast.tokens(question).input


def test_it_keeps_the_contract_of_its_kind(server: Any) -> None:
    check_component("vlm_labeler", "openai_compatible")
    check_part("vlm_labeler", labeler(server))
    check_part("vlm_labeler", labeler(server, forwards=True))


def test_many_threads_share_one_client(server: Any, question: Question) -> None:
    server.pause_s = 0.2
    part = labeler(server)
    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda n: part.ask(replace(question, sample=n)), range(8)))
    assert len(replies) == 8
    assert 1 < server.most <= 4
    part.close()
    assert part.ask(question).finish == "stop"


def test_wrong_parameters_are_sentences() -> None:
    node = {"base_url": "http://127.0.0.1/v1", "model": "m"}
    with pytest.raises(ComponentError, match="extra must not set max_tokens, stream"):
        build("vlm_labeler", "openai_compatible", **node, extra={"stream": True, "max_tokens": 9})
    with pytest.raises(ConfigError, match="base_url"):
        build("vlm_labeler", "openai_compatible", model="m")
    with pytest.raises(ConfigError, match="quality"):
        build("vlm_labeler", "openai_compatible", **node, quality=100)
    part = build("vlm_labeler", "openai_compatible", **node, extra={"top_k": 3, "a": {"b": [1]}})
    assert part.extra == {"top_k": 3, "a": {"b": [1]}}


def test_nothing_heavy_is_imported_before_the_first_call() -> None:
    code = (
        "import sys; from emoframe_openai.chat import OpenAICompatible as O;"
        "O(base_url='http://127.0.0.1/v1', model='m');"
        "assert not {'openai', 'httpx2', 'PIL', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

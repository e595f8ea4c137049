"""What `gemini` promises when all goes well, by the real SDK against a server on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
from emoframe_genai.gemini import Gemini
from emoframe_genai.models import frame_tokens, thinking_config

from emoframe.core.errors import ComponentError
from emoframe.core.registry import registry
from emoframe.labelling import CallError, Clip, Prompt, Question

Make = Callable[..., Any]


def test_it_is_found_by_its_name_and_says_that_it_uploads() -> None:
    assert registry("vlm_labeler").get("gemini") is Gemini
    assert Gemini.uploads and Gemini.reads_video
    assert not Gemini.simulated and not Gemini.reads_keypoints
    assert Gemini(model="models/gemini-2.5-flash").model == "gemini-2.5-flash"


def test_it_shows_the_clip_then_asks_and_keeps_all_that_comes_back(
    server: Any, labeler: Make, make_clip: Make, prompt: Prompt
) -> None:
    server.reply = lambda body: '{"mood": "calm", "sure": 0.9}'
    reply = labeler(fps=5.0).ask(Question(make_clip(), prompt))
    assert (reply.text, reply.finish, reply.reason) == ('{"mood": "calm", "sure": 0.9}', "stop", "")
    assert (reply.usage.input, reply.usage.output, reply.usage.thoughts) == (700, 7, 50)
    assert reply.model == "gemini-2.5-pro-preview-99" and reply.response_id
    (body,) = server.bodies
    video, text = body["contents"][0]["parts"]
    assert video["fileData"]["mimeType"] == "video/mp4" and video["videoMetadata"] == {"fps": 5.0}
    assert text == {"text": "What do you see?"}
    assert body["systemInstruction"]["parts"] == [{"text": "You look at people."}]
    assert body["generationConfig"]["responseJsonSchema"] == prompt.schema
    assert body["generationConfig"]["maxOutputTokens"] == 16384
    assert {one["threshold"] for one in body["safetySettings"]} == {"BLOCK_NONE"}


def test_every_parameter_reaches_the_model(
    server: Any, labeler: Make, make_clip: Make, prompt: Prompt
) -> None:
    chosen = labeler(
        start_s=0.5, end_s=2.25, media_resolution="low", temperature=0.5, top_p=0.9, seed=40,
        max_output_tokens=9000, thinking=4000, include_thoughts=True, safety="high",
    )  # fmt: skip
    chosen.ask(Question(make_clip(), prompt, sample=2))
    (body,) = server.bodies
    shown = body["contents"][0]["parts"][0]["videoMetadata"]
    assert shown == {"fps": 1.0, "startOffset": "0.5s", "endOffset": "2.25s"}
    config = body["generationConfig"]
    assert (config["temperature"], config["topP"], config["seed"]) == (0.5, 0.9, 42)
    assert config["maxOutputTokens"] == 9000
    assert config["mediaResolution"] == "MEDIA_RESOLUTION_LOW"
    assert config["thinkingConfig"] == {"includeThoughts": True, "thinkingBudget": 4000}
    assert {one["threshold"] for one in body["safetySettings"]} == {"BLOCK_ONLY_HIGH"}


def test_thoughts_are_kept_apart_from_the_answer(
    server: Any, labeler: Make, make_clip: Make, prompt: Prompt, fake: ModuleType
) -> None:
    def thoughtful(text: str) -> dict[str, Any]:
        body = fake.answer(text)
        body["candidates"][0]["content"]["parts"].insert(0, {"text": "Hm.", "thought": True})
        return body

    fake.OUTCOMES["thoughtful"] = thoughtful
    server.script["generate"] = ["thoughtful"]
    reply = labeler().ask(Question(make_clip(), prompt))
    assert reply.thoughts == "Hm." and json.loads(reply.text) == {"mood": "calm", "sure": 0.0}


def test_a_small_clip_goes_within_the_question_and_leaves_nothing_behind(
    server: Any, labeler: Make, make_clip: Make, prompt: Prompt
) -> None:
    assert labeler(inline_below_mb=1.0).ask(Question(make_clip(), prompt)).finish == "stop"
    assert server.requests == {"generate": 1} and not server.files
    labeler(inline_below_mb=1.0).ask(Question(make_clip(bytes(1_000_001)), prompt))
    assert server.requests["upload"] == 1


def test_samples_and_threads_share_one_upload_which_is_deleted_in_the_end(
    server: Any, labeler: Make, make_clip: Make, prompt: Prompt
) -> None:
    server.polls, server.think_s = 3, 0.05
    one, clip = labeler(), make_clip()
    with ThreadPoolExecutor(6) as pool:
        replies = [*pool.map(lambda n: one.ask(Question(clip, prompt, n)), range(6))]
    assert {reply.finish for reply in replies} == {"stop"}
    assert (server.requests["start"], server.requests["upload"]) == (1, 1)
    assert server.most > 1, "the threads waited for one another"
    one.release(clip)
    assert not server.files and server.requests["delete"] == 1


def test_another_process_uses_the_upload_that_is_there(
    server: Any, labeler: Make, make_clip: Make, prompt: Prompt
) -> None:
    labeler().ask(Question(make_clip(), prompt))  # and is killed: nothing is released
    labeler().ask(Question(make_clip(), prompt, 1))
    assert server.requests["upload"] == 1 and server.requests["generate"] == 2


def test_another_view_of_the_same_video_is_another_upload(
    server: Any, labeler: Make, make_clip: Make, prompt: Prompt
) -> None:
    one, sharp = labeler(), make_clip()
    blurred = replace(make_clip(b"blurred" * 99), key=sharp.key)
    for clip in (sharp, blurred):
        one.ask(Question(clip, prompt))
    assert len(server.files) == 2
    one.release(sharp)
    assert not server.files, "one release is for all that was uploaded of a clip"


def test_closing_deletes_what_is_left(
    server: Any, labeler: Make, make_clip: Make, prompt: Prompt
) -> None:
    one = labeler()
    one.ask(Question(make_clip(), prompt))
    one.close()
    assert not server.files
    one.close()


def test_nothing_but_hashes_the_clip_and_the_prompt_leaves_the_machine(
    server: Any, labeler: Make, make_clip: Make, prompt: Prompt, tmp_path: Any
) -> None:
    clip = make_clip()
    named = tmp_path / "federer_lost_2019.mp4"
    named.write_bytes(b"video" * 99)
    labeler().ask(Question(replace(clip, path=named), prompt))
    said = "\n".join(server.said)
    assert "federer" not in said and clip.key not in said and str(tmp_path) not in said
    (file,) = server.files.values()
    assert f"files/{file['displayName']}" == file["name"]
    assert len(file["displayName"]) == 40 and int(file["displayName"], 16)


@pytest.mark.parametrize(
    ("model", "thinking", "sent"),
    [
        ("gemini-2.5-pro", "auto", {"thinking_budget": -1}),
        ("gemini-2.5-pro", "medium", {"thinking_budget": 8192}),
        ("gemini-2.5-pro", 128, {"thinking_budget": 128}),
        ("gemini-2.5-flash", "off", {"thinking_budget": 0}),
        ("gemini-2.5-flash-lite", 0, {"thinking_budget": 0}),
        ("gemini-2.0-flash", "off", {}),
        ("gemini-3-pro", "auto", {}),
        ("gemini-3.1-pro-preview", "low", {"thinking_level": "LOW"}),
        ("gemini-3.5-flash", "off", {"thinking_level": "MINIMAL"}),
        ("gemini-pro-latest", 500, {"thinking_budget": 500}),
    ],
)
def test_thinking_is_said_in_the_words_of_the_generation(
    model: str, thinking: Any, sent: dict[str, Any]
) -> None:
    assert thinking_config(model, thinking) == sent


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"thinking": "off"}, "always thinks"),
        ({"thinking": 100}, "128 to 32768"),
        ({"thinking": 0}, "always thinks"),
        ({"model": "gemini-3-pro", "thinking": 4000}, "takes a level"),
        ({"model": "gemini-3-pro", "thinking": "off"}, "thinking: low"),
        ({"model": "gemini-2.0-flash", "thinking": "high"}, "does not think"),
        ({"thinking": 16384}, "leaves nothing"),
        ({"start_s": 3.0, "end_s": 3.0}, "is not after"),
        ({"base_url": "http://me:secret@proxy"}, "bare address"),
        ({"base_url": "http://proxy?key=secret"}, "bare address"),
    ],
)
def test_what_a_model_cannot_do_is_refused_when_it_is_built(
    parameters: dict[str, Any], says: str
) -> None:
    with pytest.raises(ComponentError, match=says) as raised:
        Gemini(**parameters)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("resolution", ["default", "low", "medium", "high"])
@pytest.mark.parametrize("model", ["gemini-2.5-pro", "gemini-3-pro"])
def test_the_bound_of_the_tokens_holds_and_needs_no_network(
    model: str, resolution: Any, make_clip: Make, prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GEMINI_API_KEY")
    one = Gemini(model=model, fps=2.0, media_resolution=resolution, max_output_tokens=5000)
    usage = one.tokens(Question(make_clip(duration_s=60.0), prompt))
    words = len(prompt.system + prompt.text + json.dumps(prompt.schema))
    least = 120 * frame_tokens(model, resolution) + 60 * 32 + words / 4
    assert least < usage.input < 1.3 * least + 200
    assert usage.output + usage.thoughts == 5000


def test_a_text_that_is_not_english_is_bounded_too(make_clip: Make, prompt: Prompt) -> None:
    chinese = replace(prompt, text="你看见了什么" * 500)
    clip = make_clip(duration_s=1.0)
    more = (
        Gemini().tokens(Question(clip, chinese)).input
        - Gemini().tokens(Question(clip, prompt)).input
    )
    assert more > 3000, "a character of these can be more than one token"


def test_clipping_lowers_the_price(make_clip: Make, prompt: Prompt) -> None:
    question = Question(make_clip(duration_s=100.0), prompt)
    whole = Gemini().tokens(question).input
    assert Gemini(start_s=20.0, end_s=30.0).tokens(question).input < whole / 5
    assert Gemini(end_s=500.0).tokens(question).input == whole


def test_another_address_may_come_from_the_environment(
    server: Any, labeler: Make, make_clip: Make, prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", server.url)
    assert labeler(base_url=None).ask(Question(make_clip(), prompt)).finish == "stop"


def test_vertex_is_asked_with_the_clip_in_the_question(
    server: Any, labeler: Make, make_clip: Make, prompt: Prompt
) -> None:
    reply = labeler(service="vertex").ask(Question(make_clip(), prompt))
    assert reply.finish == "stop" and server.requests == {"generate": 1}
    assert "POST /v1beta1/publishers/google/models/gemini-2.5-pro:generateContent" in server.said[0]


def test_what_is_too_large_for_vertex_is_refused_with_a_way_out(
    server: Any, labeler: Make, make_clip: Make, prompt: Prompt
) -> None:
    clip = make_clip(bytes(14_000_000))
    with pytest.raises(CallError, match="14.0 MB.*service: developer") as raised:
        labeler(service="vertex").ask(Question(clip, prompt))
    assert raised.value.status == "refused" and not server.said


def test_one_client_serves_all_threads(
    server: Any, labeler: Make, make_clip: Make, prompt: Prompt
) -> None:
    one, clips = labeler(), [make_clip(bytes([n]) * 9) for n in range(8)]
    start = threading.Barrier(8)

    def ask(clip: Clip) -> str:
        start.wait()
        return one.ask(Question(clip, prompt)).finish

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, clips)) == {"stop"}
    assert len(server.files) == 8 and max(server.asked.values()) == 1

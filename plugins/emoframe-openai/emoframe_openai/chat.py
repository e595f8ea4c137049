"""The labeler `openai_compatible`: any server that speaks OpenAI's chat completions API.

Decided here: it says that it uploads unless the server certainly is this machine; only what is set
is sent, since servers refuse what they do not know; `max_tokens` is the field by default, because
OpenAI's newer models refuse it loudly, whereas others ignore the newer name and answer at length.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt, Le

from emoframe import ComponentError
from emoframe.labelling import Usage
from emoframe_openai.faults import of_error
from emoframe_openai.reply import read
from emoframe_openai.request import (
    Structured,
    messages,
    picture_tokens,
    pictures,
    response_format,
    text_tokens,
    video,
    video_tokens,
)
from emoframe_openai.server import PART, address, client, is_here, key

if TYPE_CHECKING:
    from openai import OpenAI

    from emoframe.labelling import Question, Reply

OWN = {
    "model", "messages", "stream", "n", "max_tokens", "max_completion_tokens", "temperature",
    "seed", "response_format",
}  # fmt: skip
"""What `extra` must not set: a parameter does, or the answer would not be a single one."""
CLOUD = ("-cloud", ":cloud")
"""How Ollama calls the models that it has answered elsewhere."""


class OpenAICompatible:
    """Asks a model behind OpenAI's chat completions API: vLLM, Ollama, a hosted service.

    A clip is shown as pictures with their times, which every server takes, or as a video, which
    vLLM takes. `uploads` is false only for a server on this machine's own address; such a server
    may still pass on what it gets, which `forwards` must say.

    Source: https://platform.openai.com/docs/api-reference/chat.

    Args:
        base_url: Address of the server, mostly ending in `/v1`, as `http://127.0.0.1:8000/v1`.
        model: What the server calls the model.
        send: What is shown: `frames`, pictures with their times, or the whole `video`.
        frames: Most pictures.
        side: Longest side of a picture in pixels.
        quality: Of the JPEG pictures.
        detail: How closely the model is to look at a picture, where the server knows this.
        max_output_tokens: Most tokens of an answer, reasoning included.
        tokens_field: What the server calls that; OpenAI's newer models `max_completion_tokens`.
        temperature: Of the sampling; null leaves it to the server.
        seed: Of the sampling, the number of the sample added; null leaves it to the server.
        structured: What binds the answer: its schema, JSON of any kind, or words alone.
        extra: More fields of the request, such as `mm_processor_kwargs: {fps: 4}` for vLLM.
        timeout_s: Longest silence of the server in seconds.
        key_env: Environment variable that holds the key; empty for a server without keys.
        forwards: Whether a server on this machine passes on what it gets, as a tunnel does.
    """

    not_in_key = ("timeout_s", "key_env", "forwards")

    simulated = False
    reads_keypoints = False
    reads_video = True

    def __init__(
        self,
        *,
        base_url: str,
        model: str,
        send: Literal["frames", "video"] = "frames",
        frames: Annotated[int, Ge(1)] = 16,
        side: Annotated[int, Ge(32)] = 768,
        quality: Annotated[int, Ge(1), Le(95)] = 85,
        detail: Literal["auto", "low", "high"] = "auto",
        max_output_tokens: Annotated[int, Ge(1)] = 8192,
        tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens",
        temperature: Annotated[float, Ge(0), Le(2)] | None = None,
        seed: int | None = None,
        structured: Structured = "json_schema",
        extra: dict[str, Any] | None = None,
        timeout_s: Annotated[float, Gt(0)] = 600.0,
        key_env: str = "OPENAI_API_KEY",
        forwards: bool = False,
    ) -> None:
        self.base_url, self.name = base_url, model
        self.send, self.frames, self.side, self.quality = send, frames, side, quality
        self.detail: Literal["auto", "low", "high"] = detail
        self.max_output_tokens, self.tokens_field = max_output_tokens, tokens_field
        self.structured: Structured = structured
        self.sampling = {"temperature": temperature} if temperature is not None else {}
        self.seed, self.extra = seed, extra or {}
        self.timeout_s, self.key_env = timeout_s, key_env
        here = is_here(address(base_url)) and not model.endswith(CLOUD)
        self.uploads = forwards or not here
        self.model = model if self.uploads else ""
        self._client: OpenAI | None = None
        self._lock = threading.Lock()
        if wrong := sorted(OWN & set(self.extra)):
            raise ComponentError(
                f"{PART}: extra must not set {', '.join(wrong)}; what it may set are fields that "
                "are no parameter of this labeler"
            )

    def ask(self, question: Question) -> Reply:
        """Put one question, once, without retrying.

        Raises:
            CallError: There is no answer; it says whether to try again. It shows no key.
            ComponentError: The environment holds no key.
        """
        import openai

        secret = key(self.key_env)
        request = self._request(question)
        if not secret:  # the library insists on a header that is left out for each call anew
            request["extra_headers"] = {"Authorization": openai.Omit()}
        create = self._connected(secret).chat.completions.with_raw_response.create
        try:
            answer = create(**request).http_response
        except openai.OpenAIError as error:
            failed = of_error(error, self.base_url, secret)
        else:
            name = answer.headers.get("x-request-id", "")
            return read(answer.text, self.base_url, secret, name)
        raise failed  # out here, lest what the library says is chained to it, and a key with that

    def tokens(self, question: Question) -> Usage:
        """Return the most tokens that the question can cost, without any call."""
        clip = question.clip
        if self.send == "video":
            said = self.extra.get("mm_processor_kwargs")
            fps = said.get("fps", 0) if isinstance(said, dict) else 0
            shown = video_tokens(clip, fps)
        else:
            count = 1 if question.prompt.show.frames == "one" else self.frames
            shown = count * picture_tokens(clip.size, self.side, self.name)
        return Usage(text_tokens(question) + shown, self.max_output_tokens)

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            if self._client is not None:
                self._client.close()
            self._client = None

    def _request(self, question: Question) -> dict[str, Any]:
        """Write the body of a request, and what the client adds to it."""
        if self.send == "video":
            intro, shown = video(question.clip)
        else:
            intro, shown = pictures(
                question.clip, self.frames, self.side, self.quality, self.detail
            )
        seed = {} if self.seed is None else {"seed": self.seed + question.sample}
        return {
            "model": self.name,
            "messages": messages(question, shown, intro),
            self.tokens_field: self.max_output_tokens,
            **self.sampling,
            **seed,
            **response_format(question.prompt, self.structured),
            "extra_body": self.extra,
        }

    def _connected(self, secret: str) -> OpenAI:
        with self._lock:  # several threads ask at once; one client serves them all
            if self._client is None:
                self._client = client(self.base_url, secret, self.timeout_s)
            return self._client

"""A server on this machine that speaks the chat completions API as far as clients rely on it.

It refuses what a strict server refuses (unknown fields, an unknown model, pictures that are none,
a wrong key), counts what reaches it, and injects the faults that it is told.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

import av
from PIL import Image

KEY = "sk-proj-this0is1a2secret3of4the5tests6"
FIELDS = {
    "model", "messages", "max_tokens", "max_completion_tokens", "temperature", "seed",
    "response_format", "mm_processor_kwargs",
}  # fmt: skip
USAGE = {
    "prompt_tokens": 1200,
    "completion_tokens": 300,
    "total_tokens": 1500,
    "prompt_tokens_details": {"cached_tokens": 1024},
    "completion_tokens_details": {"reasoning_tokens": 100},
}
Fault = tuple[Any, ...]
"""`(status, code, message, headers)`, or a name: `reset`, `silence`, `cut`, `html`, `null`."""


def completion(content: Any = "{}", finish: str | None = "stop", **message: Any) -> dict[str, Any]:
    """Make the body of an answer."""
    choice = {
        "index": 0,
        "finish_reason": finish,
        "message": {"role": "assistant", "content": content, **message},
    }
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "tiny-vl-2026-01-01",
        "choices": [choice],
        "usage": USAGE,
        "system_fingerprint": "fp_1",
    }


@dataclass
class FakeOpenAI:
    """The server; a context manager.

    Attributes:
        key: What it wants as bearer; None for none, which it then insists on.
        answer: Makes an answer of a request's body.
        fault: Chooses a fault by the number of the request, from 0; None for none.
        pause_s: How long it thinks.
        asked: Bodies of the requests that were well-formed, with what they showed decoded.
        headers: Headers of every request.
        most: Most requests at a time.
        counts: Number of answers by question, a hash over what was asked.
    """

    key: str | None = KEY
    answer: Callable[[dict[str, Any]], dict[str, Any]] = lambda body: completion()
    fault: Callable[[int], Fault | str | None] = lambda number: None
    pause_s: float = 0.0
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    most: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    _now: int = 0
    _number: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> FakeOpenAI:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                fake.serve(self)

            def do_CONNECT(self) -> None:
                fake.serve(self)

            def log_message(self, *_: object) -> None:
                """Be silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Its address as `base_url`."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def serve(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        with self._lock:
            number, self._number, self._now = self._number, self._number + 1, self._now + 1
            self.most = max(self.most, self._now)
            self.headers.append({name.lower(): value for name, value in request.headers.items()})
        try:
            data = request.rfile.read(int(request.headers.get("content-length", 0)))
            time.sleep(self.pause_s)
            self._serve(request, data, self.fault(number))
        finally:
            with self._lock:
                self._now -= 1

    def _serve(
        self, request: BaseHTTPRequestHandler, data: bytes, fault: Fault | str | None
    ) -> None:
        if isinstance(fault, tuple):
            status, code, message, headers = fault
            body = {"error": {"message": message, "type": code, "code": code, "param": None}}
            return _send(request, status, json.dumps(body), headers)
        if fault == "reset":
            request.connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
            request.close_connection = True
            return request.connection.close()
        if fault == "silence":
            request.close_connection = True
            return time.sleep(1.5)
        try:
            body = self._accepted(request, data)
        except _RefusedError as refused:
            status, code, message = refused.args
            error = {"error": {"message": message, "type": code, "code": code, "param": None}}
            return _send(request, status, json.dumps(error), {})
        with self._lock:
            self.asked.append(body)
            self.counts[hashlib.sha256(data).hexdigest()] += 1
        text = json.dumps(self.answer(body))
        if fault == "html":
            return _send(request, 200, "<html>Sign in</html>", {"content-type": "text/html"})
        if fault == "null":
            return _send(request, 200, "null", {})
        return _send(request, 200, text, {"x-request-id": "req_1"}, cut=fault == "cut")

    def _accepted(self, request: BaseHTTPRequestHandler, data: bytes) -> dict[str, Any]:
        """Return the body of a request with what it shows decoded."""
        bearer = request.headers.get("authorization")
        if self.key is None and bearer is not None:
            raise _RefusedError(400, "strange", "this server wants no key")
        if self.key is not None and bearer != f"Bearer {self.key}":
            given = (bearer or "").removeprefix("Bearer ")
            raise _RefusedError(401, "invalid_api_key", f"Incorrect API key provided: {given}.")
        if request.path != "/v1/chat/completions":
            raise _RefusedError(404, "not_found", f"Not Found: {request.path}")
        body = json.loads(data)
        if strange := set(body) - FIELDS:
            raise _RefusedError(400, "unknown", f"Unrecognized request argument: {min(strange)}")
        if body["model"] != "tiny-vl":
            raise _RefusedError(404, "model_not_found", f"The model {body['model']} does not exist")
        for message in body["messages"]:
            if isinstance(message["content"], list):
                message["content"] = [_seen(part) for part in message["content"]]
        return body


class _RefusedError(Exception):
    """Status, code and message."""


def _seen(part: dict[str, Any]) -> Any:
    """Return a text, a picture or what a video holds."""
    if part["type"] == "text":
        return part["text"]
    url = part[part["type"]]["url"]
    head, _, coded = url.partition(";base64,")
    data = base64.b64decode(coded, validate=True)
    if part["type"] == "video_url":
        assert head == "data:video/mp4", head
        with av.open(io.BytesIO(data)) as film:
            return {"frames": sum(1 for _ in film.decode(video=0)), "data": data}
    assert head == "data:image/jpeg", head
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        return {"size": picture.size, "detail": part["image_url"].get("detail"), "image": picture}


def _send(
    request: BaseHTTPRequestHandler,
    status: int,
    text: str,
    headers: dict[str, str],
    cut: bool = False,
) -> None:
    data = text.encode()
    request.send_response(status)
    for name, value in ({"content-type": "application/json"} | headers).items():
        request.send_header(name, value)
    request.send_header("content-length", str(len(data)))
    request.end_headers()
    request.wfile.write(data[: len(data) // 2] if cut else data)
    request.close_connection = cut or request.close_connection

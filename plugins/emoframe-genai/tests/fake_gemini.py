"""A server on this machine that speaks the Gemini API as far as google-genai relies on it.

    with FakeGemini() as server:
        labeler = Gemini(base_url=server.url)      # and GEMINI_API_KEY=fake_gemini.KEY
        server.script["generate"] = ["503", "SAFETY"]      # the next two questions fail so
        server.chaos = Chaos(0.3, seed=0)                  # or 30 % of all requests, at random

It does what the service does: resumable upload in two steps; files that are PROCESSING until they
were looked at `polls` times, and are gone with 403; questions refused that have a field, a model or
a file that it does not know; batches from a file of questions to a file of answers. It counts what
reaches it (`requests`, `asked`, `answered`, `billed`, `most`), so that a test can tell whether
anything was asked twice, paid without need, or asked too many at a time.

Faults, by operation (`OPERATIONS`): an HTTP status such as `503`; `429 daily`, `wrong key`, `leak`
(a 500 that shows the key), `html`, `not json`, `hang`; `reset`, which breaks the connection before
anything is done, in an upload in the middle of its bytes; `lost`, which breaks it after the work.
For `upload` also `stuck` and `FAILED`. For `generate` also what counts as an answer, see
`OUTCOMES`. For `line`, a question of a batch: `error`, `skip`, `garbage`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
import struct
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SO_LINGER, SOL_SOCKET
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEY = "AIzaSyFAKE-0this1is2a3secret4of5the6tests"
OPERATIONS = (
    "start", "upload", "get", "delete", "generate", "count", "batch", "collect", "list", "download",
    "line",
)  # fmt: skip
STATUSES = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED", 409: "ALREADY_EXISTS", 413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 502: "UNAVAILABLE", 503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}  # fmt: skip
BODY = {
    "contents", "systemInstruction", "generationConfig", "safetySettings", "tools", "toolConfig",
    "cachedContent", "serviceTier", "store", "model",
}  # fmt: skip
CONFIG = {
    "temperature", "topP", "topK", "seed", "candidateCount", "maxOutputTokens", "stopSequences",
    "responseMimeType", "responseJsonSchema", "responseSchema", "mediaResolution", "thinkingConfig",
}  # fmt: skip
PART = {"text", "inlineData", "fileData", "videoMetadata", "mediaResolution", "thought"}
MOST_INLINE = 20_000_000
AT = "type.googleapis.com/"
Body = dict[str, Any]


def fill(schema: Mapping[str, Any]) -> Any:
    """Make the smallest answer that a JSON Schema allows; the first class is the likeliest."""
    kind = schema.get("type")
    if "enum" in schema:
        return schema["enum"][0]
    if kind == "object":
        return {key: fill(inner) for key, inner in (schema.get("properties") or {}).items()}
    if kind == "array":
        columns = schema["items"].get("properties") or {}
        classes = columns["class"]["enum"] if set(columns) == {"class", "confidence"} else ()
        return [{"class": name, "confidence": 0.2 if n else 0.8} for n, name in enumerate(classes)]
    return {"boolean": False, "number": 0.0, "integer": 0}.get(str(kind), "calm")


def answer(text: str, finish: str | None = "STOP", **more: Any) -> Body:
    """Make the body of an answer."""
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    return {
        "candidates": [{**candidate, **({"finishReason": finish} if finish else {})}],
        "usageMetadata": {
            "promptTokenCount": 700,
            "candidatesTokenCount": max(1, len(text) // 4),
            "thoughtsTokenCount": 50,
            "totalTokenCount": 750 + max(1, len(text) // 4),
            "promptTokensDetails": [{"modality": "VIDEO", "tokenCount": 600}],
        },
        "modelVersion": "gemini-2.5-pro-preview-99",
        "responseId": hashlib.sha256(text.encode()).hexdigest()[:16],
        **more,
    }


def _without_text(finish: str) -> Callable[[str], Body]:
    def made(text: str) -> Body:
        body = answer("", finish)
        del body["candidates"][0]["content"]
        body["candidates"][0]["finishMessage"] = f"stopped for {finish}"
        return body

    return made


OUTCOMES: dict[str, Callable[[str], Body]] = {
    **{
        name: _without_text(name)
        for name in ("SAFETY", "RECITATION", "PROHIBITED_CONTENT", "SPII", "BLOCKLIST")
    },
    "no parts": _without_text("STOP"),
    "thought out": _without_text("MAX_TOKENS"),
    "empty": lambda text: {**answer(text), "candidates": []},
    "blocked prompt": lambda text: {
        "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
        "usageMetadata": {"promptTokenCount": 700, "totalTokenCount": 700},
        "modelVersion": "gemini-2.5-pro-preview-99",
    },
    "MAX_TOKENS": lambda text: answer(text[: len(text) // 2], "MAX_TOKENS"),
    "MALFORMED_RESPONSE": lambda text: answer(text[::-1], "MALFORMED_RESPONSE"),
    "UNHEARD_OF": lambda text: answer(text, "UNHEARD_OF"),
    "prose": lambda text: answer(f"Sure! Here it is:\n```json\n{text}\n```\nI hope it helps."),
    "wrong types": lambda text: answer(re.sub(r":(\d\.\d)", r':"\1 or so"', text.replace(" ", ""))),
    "wrong count": lambda text: {**answer(text), "usageMetadata": {"promptTokenCount": "many"}},
}


@dataclass
class Chaos:
    """Faults at random.

    Attributes:
        rate: Share of the requests that fail.
        seed: Of the choice.
        faults: Which ones, by operation.
    """

    rate: float
    seed: int = 0
    faults: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: {
            "start": ("429", "500", "503", "reset"),
            "upload": ("500", "reset", "stuck"),
            "get": ("503", "reset"),
            "generate": (
                "429",
                "408",
                "500",
                "502",
                "503",
                "504",
                "reset",
                "lost",
                "html",
                "not json",
            ),
        }
    )


@dataclass
class FakeGemini:
    """The server; a context manager.

    Attributes:
        key: The key that it takes.
        models: Models that it knows.
        reply: Makes the text of an answer of a question's body.
        polls: How often a new file is looked at until it is ACTIVE.
        batch_polls: How often a batch is looked at until it is over.
        batch_state: How a batch ends.
        list_late: How often batches are asked for until those that were taken are listed.
        think_s: How long an answer takes.
        hang_s: How long a `hang` lasts.
        retry_s: What a 429 asks to wait, in `RetryInfo`; None for no word of it.
        script: Faults of the next requests by operation; an empty one is none.
        chaos: Faults at random, once the script is through.
        requests: Number of requests by operation.
        asked: How often each question reached it, by a hash over what was asked.
        answered: How often each got an answer that was sent whole.
        billed: Usage of each answer that was worked out, those included that never arrived.
        most: Most questions at a time.
        bodies: Bodies of the questions.
        said: Everything that it was sent: addresses, headers without the key, bodies.
        files: What is uploaded, by name.
        batches: Jobs, by name.
    """

    key: str = KEY
    models: tuple[str, ...] = ("gemini-2.5-pro", "gemini-2.5-flash", "gemini-3-pro")
    reply: Callable[[Body], str] = lambda body: json.dumps(
        fill(body["generationConfig"].get("responseJsonSchema") or {"type": "object"})
    )
    polls: int = 1
    batch_polls: int = 1
    batch_state: str = "BATCH_STATE_SUCCEEDED"
    list_late: int = 0
    think_s: float = 0.0
    hang_s: float = 1.0
    retry_s: float | None = 0.01
    script: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    chaos: Chaos | None = None
    requests: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    billed: list[Body] = field(default_factory=list)
    most: int = 0
    bodies: list[Body] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    files: dict[str, Body] = field(default_factory=dict)
    batches: dict[str, Body] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lock, self.closing = threading.RLock(), threading.Event()
        self._flying = 0
        self._sessions: dict[str, Body] = {}
        self._random: random.Random | None = None

    def __enter__(self) -> FakeGemini:
        handler = type("Handler", (_Handler,), {"fake": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._server.request_queue_size = 64
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def fault(self, operation: str) -> str:
        """Choose the fault of a request; empty for none."""
        with self.lock:
            self.requests[operation] += 1
            if self.script[operation]:
                return self.script[operation].pop(0)
            if self.chaos is None or operation not in self.chaos.faults:
                return ""
            self._random = self._random or random.Random(self.chaos.seed)
            if self._random.random() >= self.chaos.rate:
                return ""
            return self._random.choice(self.chaos.faults[operation])

    # files

    def start(self, headers: Mapping[str, str], body: Body) -> tuple[int, Body, dict[str, str]]:
        """Open an upload."""
        if headers.get("X-Goog-Upload-Command") != "start":
            return *error(400, "the upload command must be start"), {}
        wanted = body.get("file") or {}
        name = wanted.get("name") or f"files/{random.randbytes(6).hex()}"
        if not re.fullmatch(r"files/[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", name):
            return *error(400, f"Invalid file name: {name}"), {}
        with self.lock:
            if name in self.files:
                return *error(409, "Requested entity already exists."), {}
            session = random.randbytes(8).hex()
            self._sessions[session] = {
                "name": name,
                "displayName": wanted.get("displayName", ""),
                "mimeType": headers["X-Goog-Upload-Header-Content-Type"],
                "size": int(headers["X-Goog-Upload-Header-Content-Length"]),
                "data": b"",
            }
        address = f"{self.url}/upload/v1beta/files?upload_id={session}&upload_protocol=resumable"
        return 200, {}, {"X-Goog-Upload-URL": address, "X-Goog-Upload-Status": "active"}

    def upload(
        self, session: str, headers: Mapping[str, str], data: bytes, fault: str
    ) -> tuple[int, Body, dict[str, str]]:
        """Take a part of a file."""
        with self.lock:
            opened = self._sessions.get(session)
            if opened is None:
                return *error(404, "upload not found"), {"X-Goog-Upload-Status": "final"}
            if int(headers["X-Goog-Upload-Offset"]) != len(opened["data"]):
                return *error(400, "wrong offset"), {"X-Goog-Upload-Status": "final"}
            opened["data"] += data
            if "finalize" not in headers["X-Goog-Upload-Command"]:
                return 200, {}, {"X-Goog-Upload-Status": "active"}
            if opened["name"] in self.files:  # another upload of that name was quicker
                return *error(409, "Requested entity already exists."), {
                    "X-Goog-Upload-Status": "final"
                }
            is_video = opened["mimeType"].startswith("video/")
            self.files[opened["name"]] = {
                **self._sessions.pop(session),
                "left": self.polls if is_video else 0,
                "fate": fault if fault in {"stuck", "FAILED"} else "",
            }
            return 200, {"file": self.shown(opened["name"])}, {"X-Goog-Upload-Status": "final"}

    def shown(self, name: str) -> Body:
        """Describe a file."""
        file = self.files[name]
        state = "ACTIVE" if file["left"] <= 0 else "PROCESSING"
        if file["fate"]:
            state = "PROCESSING" if file["fate"] == "stuck" or file["left"] > 0 else "FAILED"
        failed = {"error": {"code": 13, "message": "cannot decode"}} if state == "FAILED" else {}
        digest = hashlib.sha256(file["data"]).hexdigest()
        return {
            "name": name,
            "displayName": file["displayName"],
            "mimeType": file["mimeType"],
            "sizeBytes": str(len(file["data"])),
            "createTime": "2026-01-01T00:00:00.000000Z",
            "updateTime": "2026-01-01T00:00:00.000000Z",
            "expirationTime": "2026-01-03T00:00:00.000000Z",
            "sha256Hash": base64.b64encode(digest.encode()).decode(),
            "uri": f"https://generativelanguage.googleapis.com/v1beta/{name}",
            "state": state,
            "source": "UPLOADED",
            **failed,
        }

    def get(self, name: str) -> tuple[int, Body]:
        """Look at a file."""
        with self.lock:
            if name not in self.files:
                return gone(name)
            shown = self.shown(name)
            self.files[name]["left"] -= 1
            return 200, shown

    # questions

    def generate(self, model: str, body: Body, fault: str) -> tuple[int, Body]:
        """Answer a question."""
        if problem := self.wrong(model, body):
            return problem
        question = self.question(body)
        with self.lock:
            self.asked[question] += 1
            self.bodies.append(body)
            self._flying += 1
            self.most = max(self.most, self._flying)
        try:
            self.closing.wait(self.think_s)
            made = OUTCOMES.get(fault, answer)(self.reply(body))
        finally:
            with self.lock:
                self._flying -= 1
        return 200, made

    def wrong(self, model: str, body: Body) -> tuple[int, Body] | None:
        """Say what the service would refuse about a question."""
        if model not in self.models:
            return error(
                404,
                f"models/{model} is not found for API version v1beta, or is not supported for "
                "generateContent. Call ListModels to see the list of available models and their "
                "supported methods.",
            )
        config = body.get("generationConfig") or {}
        parts = [part for content in body.get("contents") or [{}] for part in content["parts"]]
        strange = [*(set(body) - BODY), *(set(config) - CONFIG)]
        strange += [key for part in parts for key in set(part) - PART]
        if strange:
            return error(400, f'Invalid JSON payload received. Unknown name "{strange[0]}"')
        thinking = config.get("thinkingConfig") or {}
        if model.startswith("gemini-3") and "thinkingBudget" in thinking:
            return error(400, "Thinking budget is not supported for this model.")
        if model.startswith("gemini-2") and "thinkingLevel" in thinking:
            return error(400, "Thinking level is not supported for this model.")
        if model == "gemini-2.5-pro" and thinking.get("thinkingBudget") == 0:
            return error(400, "Budget 0 is invalid. This model only works in thinking mode.")
        return self.wrong_video(parts)

    def wrong_video(self, parts: list[Body]) -> tuple[int, Body] | None:
        """Say what the service would refuse about a video."""
        for part in parts:
            shown = part.get("videoMetadata") or {}
            if not 0 < float(shown.get("fps", 1.0)) <= 24:
                return error(400, "fps must be in (0, 24]")
            if len((part.get("inlineData") or {}).get("data", "")) > MOST_INLINE:
                return error(400, "Request payload size exceeds the limit: 20971520 bytes.")
            if referred := part.get("fileData"):
                name = "files/" + referred["fileUri"].rpartition("/")[2]
                with self.lock:
                    if name not in self.files:
                        return gone(name)
                    if self.shown(name)["state"] != "ACTIVE":
                        return error(
                            400,
                            f"The File {name} is not in an ACTIVE state and usage is not allowed.",
                        )
        return None

    def question(self, body: Body) -> str:
        """Tell questions apart: by the video's bytes, the words and the seed."""
        told = hashlib.sha256()
        for part in body["contents"][0]["parts"]:
            if referred := part.get("fileData"):
                name = "files/" + referred["fileUri"].rpartition("/")[2]
                with self.lock:
                    told.update(hashlib.sha256(self.files[name]["data"]).digest())
            elif inline := part.get("inlineData"):
                data = base64.urlsafe_b64decode(inline["data"])
                told.update(hashlib.sha256(data).digest())
            told.update(part.get("text", "").encode())
        told.update(str((body.get("generationConfig") or {}).get("seed")).encode())
        return told.hexdigest()[:16]

    # batches

    def batch(self, model: str, body: Body) -> tuple[int, Body]:
        """Take a batch."""
        wanted = body.get("batch") or {}
        source = (wanted.get("inputConfig") or {}).get("fileName")
        with self.lock:
            if source not in self.files:
                return gone(str(source))
            name = f"batches/{random.randbytes(6).hex()}"
            lines = self.files[source]["data"].decode().splitlines()
            self.batches[name] = {
                "displayName": wanted.get("displayName", ""),
                "model": f"models/{model}",
                "left": self.batch_polls,
                "lines": [camel(json.loads(line)) for line in lines],
                "state": "BATCH_STATE_PENDING",
            }
            return 200, self.job(name)

    def job(self, name: str) -> Body:
        """Describe a batch."""
        batch = self.batches[name]
        output = {"output": {"responsesFile": batch["out"]}} if "out" in batch else {}
        return {
            "name": name,
            "metadata": {
                "@type": f"{AT}google.ai.generativelanguage.v1main.GenerateContentBatch",
                "name": name,
                "model": batch["model"],
                "displayName": batch["displayName"],
                "state": batch["state"],
                "createTime": "2026-01-01T00:00:00.000000000Z",
                "updateTime": "2026-01-01T00:00:00.000000000Z",
                "batchStats": {"requestCount": str(len(batch["lines"]))},
                **output,
            },
        }

    def collect(self, name: str) -> tuple[int, Body]:
        """Look at a batch."""
        with self.lock:
            if name not in self.batches:
                return error(404, "Requested entity was not found.")
            batch = self.batches[name]
            batch["left"] -= 1
            batch["state"] = "BATCH_STATE_RUNNING"
            if batch["left"] < 0:
                batch["state"] = self.batch_state
            answers = self.batch_state in {"BATCH_STATE_SUCCEEDED", "JOB_STATE_PARTIALLY_SUCCEEDED"}
            if answers and batch["left"] < 0 and "out" not in batch:
                self._work_off(batch)
            return 200, self.job(name)

    def _work_off(self, batch: Body) -> None:
        """Answer the questions of a batch into a file."""
        out: list[str] = []
        for line in batch["lines"]:
            fault = self.fault("line")
            if fault == "skip":
                continue
            status, made = self.generate(
                batch["model"].removeprefix("models/"), line["request"], fault
            )
            if fault == "error" or status != 200:
                inner = made.get("error") or {"code": 13, "message": f"internal, with {self.key}"}
                out.append(json.dumps({"key": line["key"], "error": inner}))
            elif fault == "garbage":
                out.append('{"key": "' + line["key"])
            else:
                whole = {"key": line["key"], "response": made}
                out.append(json.dumps(whole, ensure_ascii=False))
        batch["out"] = f"files/batch-{random.randbytes(6).hex()}"
        data = "\n".join(out).encode()
        self.files[batch["out"]] = {
            "name": batch["out"], "displayName": "", "mimeType": "jsonl", "data": data, "left": 0,
            "fate": "",
        }  # fmt: skip


def camel(value: Any) -> Any:
    """Spell field names as the API does; like the API, it is sent them in either way."""
    if isinstance(value, list):
        return [camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    spelled = {re.sub(r"_([a-z])", lambda m: m[1].upper(), key): key for key in value}
    return {
        new: value[old] if new == "responseJsonSchema" else camel(value[old])
        for new, old in spelled.items()
    }


def error(code: int, message: str, details: tuple[Body, ...] = ()) -> tuple[int, Body]:
    """Make the body of an error."""
    inner = {"code": code, "message": message, "status": STATUSES[code]}
    return code, {"error": {**inner, **({"details": [*details]} if details else {})}}


def gone(name: str) -> tuple[int, Body]:
    """Say what the service says of a file that is not there."""
    bare = name.removeprefix("files/")
    return error(403, f"You do not have permission to access the File {bare} or it may not exist.")


class _Handler(BaseHTTPRequestHandler):
    """Reads a request, injects its fault or has it done, and answers."""

    fake: FakeGemini
    _fault = ""
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._handle()

    do_POST = do_DELETE = do_GET

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        return

    def _handle(self) -> None:
        url = urlsplit(self.path)
        operation = self._operation(url.path, url.query)
        self._fault = ""
        fault = self.fake.fault(operation)
        length = int(self.headers.get("Content-Length") or 0)
        if fault == "reset" and operation == "upload":
            self.rfile.read(length // 2)
            self._cut()
            return
        data = self.rfile.read(length)
        self._note(data)
        if fault == "hang":
            self.fake.closing.wait(self.fake.hang_s)
        if fault in {"reset", "hang"}:
            self._cut()
        elif not self._injected(fault):
            self._fault = fault
            self._work(operation, url.path.rpartition("/")[2], url.query, data, fault)

    def _operation(self, path: str, query: str) -> str:
        """Name what is wanted."""
        action = path.rpartition(":")[2]
        by_action = {
            "generateContent": "generate", "countTokens": "count",
            "batchGenerateContent": "batch", "download": "download",
        }  # fmt: skip
        if action in by_action:
            return by_action[action]
        if path.startswith("/upload/"):
            return "upload" if "upload_id" in query else "start"
        if "/batches/" in path:
            return "collect"
        if path.endswith("/batches"):
            return "list"
        return "delete" if self.command == "DELETE" else "get"

    def _note(self, data: bytes) -> None:
        """Keep what was sent, for tests that look for what must not be in it."""
        headers = {k: v for k, v in self.headers.items() if k.lower() != "x-goog-api-key"}
        with self.fake.lock:
            self.fake.said.append(f"{self.command} {self.path} {headers} {data[:100_000]!r}")

    def _injected(self, fault: str) -> bool:
        """Answer with a fault that needs no work; say whether it was one."""
        if fault == "wrong key":
            self._send(*self._bad_key())
        elif fault == "leak":
            address = f"https://generativelanguage.googleapis.com/v1beta/x?key={self.fake.key}"
            self._send(*error(500, f"backend call of {address} with {self.fake.key} failed"))
        elif fault == "html":
            self._send_text(502, "<html><title>502</title><h1>Bad Gateway</h1></html>", "text/html")
        elif fault == "429 daily":
            quota = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
            self._send(*self._too_many({"quotaId": quota, "quotaValue": "50"}))
        elif fault == "429":
            quota = "GenerateRequestsPerMinutePerProjectPerModel"
            self._send(*self._too_many({"quotaId": quota, "quotaValue": "150"}))
        elif fault.isdigit():
            self._send(*error(int(fault), f"The service says {fault}."))
        return fault in {"wrong key", "leak", "html", "429 daily"} or fault.isdigit()

    def _too_many(self, violation: Body) -> tuple[int, Body]:
        details: list[Body] = [{"@type": f"{AT}google.rpc.QuotaFailure", "violations": [violation]}]
        if self.fake.retry_s is not None:
            details.append(
                {"@type": f"{AT}google.rpc.RetryInfo", "retryDelay": f"{self.fake.retry_s}s"}
            )
        told = "You exceeded your current quota, please check your plan and billing details."
        return error(429, told, tuple(details))

    @staticmethod
    def _bad_key() -> tuple[int, Body]:
        detail = {
            "@type": f"{AT}google.rpc.ErrorInfo",
            "reason": "API_KEY_INVALID",
            "domain": "googleapis.com",
            "metadata": {"service": "generativelanguage.googleapis.com"},
        }
        return error(400, "API key not valid. Please pass a valid API key.", (detail,))

    def _work(self, operation: str, last: str, query: str, data: bytes, fault: str) -> None:
        """Do what is wanted."""
        fake = self.fake
        if operation == "upload":  # the session is the permission; a key is not sent
            session = parse_qs(query)["upload_id"][0]
            status, made, headers = fake.upload(session, self.headers, data, fault)
            self._send(status, made, headers)
            return
        if self.headers.get("x-goog-api-key") != fake.key:
            self._send(*self._bad_key())
            return
        if operation == "start":
            status, made, headers = fake.start(self.headers, camel(json.loads(data or b"{}")))
            self._send(status, made, headers)
            return
        if operation == "generate":
            self._generate(last.partition(":")[0], camel(json.loads(data)), fault)
            return
        if operation == "download":
            with fake.lock:
                found = fake.files.get(f"files/{last.partition(':')[0]}")
            if found is None:
                self._send(*gone(last))
            else:
                self._send_text(200, found["data"].decode(), "application/octet-stream")
            return
        self._send(*self._plain(operation, last, data))

    def _plain(self, operation: str, last: str, data: bytes) -> tuple[int, Body]:
        """Do what has a body of JSON for an answer."""
        fake, model = self.fake, last.partition(":")[0]
        if operation == "get":
            return fake.get(f"files/{last}")
        if operation == "delete":
            with fake.lock:
                found = fake.files.pop(f"files/{last}", None)
            return (200, {}) if found is not None else gone(last)
        if operation == "batch":
            return fake.batch(model, camel(json.loads(data)))
        if operation == "collect":
            return fake.collect(f"batches/{last}")
        if operation == "list":
            with fake.lock:
                fake.list_late -= 1
                known = [*reversed(fake.batches)] if fake.list_late < 0 else []
                return 200, {"operations": [fake.job(name) for name in known]}
        return 200, {"totalTokens": max(1, len(data) // 4)}

    def _generate(self, model: str, body: Body, fault: str) -> None:
        status, made = self.fake.generate(model, body, fault)
        if status == 200:
            with self.fake.lock:
                self.fake.billed.append(made.get("usageMetadata") or {})
        if fault == "not json":
            self._send_text(200, json.dumps(made)[:-20], "application/json")
            return
        self._send(status, made)
        if status == 200 and fault != "lost":
            with self.fake.lock:
                self.fake.answered[self.fake.question(body)] += 1

    def _cut(self) -> None:
        """Reset the connection, as a crash or a bad line does."""
        self.connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def _send(self, status: int, body: Body, headers: Mapping[str, str] | None = None) -> None:
        more = dict(headers or {})
        if status >= 400 and self.path.startswith("/upload/"):
            more.setdefault("X-Goog-Upload-Status", "final")
        self._send_text(status, json.dumps(body), "application/json; charset=UTF-8", more)

    def _send_text(
        self, status: int, text: str, kind: str, headers: Mapping[str, str] | None = None
    ) -> None:
        if self._fault == "lost":
            self._cut()
            return
        data = text.encode()
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Type": kind}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

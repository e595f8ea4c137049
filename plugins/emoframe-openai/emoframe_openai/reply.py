"""What a server answered, read from its JSON as it is.

Decided here: the client's own records are not used, since they take whatever comes without a check
and servers leave out, or add, what they like; a thought that stands in the answer is taken out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from emoframe.labelling import CallError, Finish, Reply, Usage
from emoframe_openai.faults import Said, of_answer, scrub, short
from emoframe_openai.server import PART

END_OF_THOUGHT = "</think>"
FINISHES: dict[str, Finish] = {"length": "length", "content_filter": "blocked"}
KEPT = ("created", "system_fingerprint", "service_tier", "provider")


def read(text: str, server: str, secret: str, request: str = "") -> Reply:
    """Read an answer of status 200.

    Args:
        text: The body.
        server: Its address, for messages.
        secret: The key, which is cut out.
        request: The server's name for the request.

    Raises:
        CallError: It is no chat completion, or holds an error all the same.
    """
    try:
        body: Any = json.loads(scrub(text, secret))
    except ValueError:
        body = None
    if isinstance(body, dict) and isinstance(body.get("error"), dict):
        raise of_answer(_error(body["error"], secret), server)
    if not isinstance(body, dict) or "choices" not in body:
        raise CallError(
            f"{PART}: {server} answered with no chat completion ({short(text, secret)[:80]!r}); "
            "check base_url, which mostly ends in /v1",
            paid=True,
        )
    extra = {name: body[name] for name in KEPT if body.get(name) is not None}
    extra |= {"request_id": request} if request else {}
    return _reply(cast("dict[str, Any]", body), extra)


def _reply(body: Mapping[str, Any], extra: Mapping[str, Any]) -> Reply:
    choice = _mapping(next(iter(body.get("choices") or []), None))
    message = _mapping(choice.get("message"))
    inside, _, text = _content(message.get("content")).rpartition(END_OF_THOUGHT)
    refusal = str(message.get("refusal") or "")
    word = str(choice.get("finish_reason") or ("" if choice else "no choices"))
    thoughts = message.get("reasoning_content") or message.get("reasoning") or inside
    finish: Finish = FINISHES.get(word, "stop")
    if refusal:
        finish = "refused"
    elif finish == "stop" and not text.strip():
        finish = "empty"
    return Reply(
        text or refusal,
        finish,
        "refusal" if refusal else "" if word == "stop" else word,
        _usage(_mapping(body.get("usage"))),
        str(body.get("model") or ""),
        str(body.get("id") or ""),
        str(thoughts).removeprefix("<think>").strip(),
        extra,
    )


def _usage(usage: Mapping[str, Any]) -> Usage:
    """Read the tokens; those of reasoning are told apart from the answer's.

    OpenAI counts them among the answer's, others beside them, and then the total is more.
    """
    thoughts = _count(_mapping(usage.get("completion_tokens_details")), "reasoning_tokens")
    cached = _count(_mapping(usage.get("prompt_tokens_details")), "cached_tokens")
    asked = _count(usage, "prompt_tokens")
    said = max(_count(usage, "completion_tokens"), _count(usage, "total_tokens") - asked)
    return Usage(asked, max(said - thoughts, 0), thoughts, cached)


def _content(content: Any) -> str:
    """Join the text of an answer, which some servers send in parts."""
    if isinstance(content, list):
        parts = (_mapping(part).get("text") for part in cast("list[Any]", content))
        return "".join(str(part) for part in parts if part)
    return str(content or "")


def _error(error: Mapping[str, Any], secret: str) -> Said:
    """Read an error that came as an answer, as gateways send what a model's server told them."""
    code = error.get("code")
    status = code if isinstance(code, int) and code >= 300 else 400
    return Said(status, short(str(error.get("message") or ""), secret), str(error.get("type")))


def _mapping(value: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _count(values: Mapping[str, Any], name: str) -> int:
    value = values.get(name)
    return value if isinstance(value, int) and value > 0 else 0

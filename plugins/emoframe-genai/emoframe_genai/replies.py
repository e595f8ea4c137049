"""What Gemini answered, as a `Reply`.

Decided here: it is read as the JSON that the API sends, since answers come from calls and from
the files of batches; a reason that is not known is kept by its name, and counts as a stop where
there is text and as empty where there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emoframe.labelling import Finish, Reply, Usage

FINISH: Mapping[str, Finish] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    **dict.fromkeys(
        (
            "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII",
            "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "MODEL_ARMOR",
        ),
        "blocked",
    ),
}  # fmt: skip
EXTRA = ("finishMessage", "safetyRatings", "citationMetadata")
"""What is kept of a candidate: it explains why nothing was said."""


def reply(answer: Mapping[str, Any], model: str) -> Reply:
    """Read one answer.

    Args:
        answer: `GenerateContentResponse` as JSON.
        model: What was asked, for answers that do not say who gave them.
    """
    candidate: Mapping[str, Any] = next(iter(answer.get("candidates") or []), {})
    parts = (candidate.get("content") or {}).get("parts") or []
    text = "".join(part.get("text") or "" for part in parts if not part.get("thought"))
    finish, reason = _finish(answer, candidate, text)
    return Reply(
        text,
        finish,
        reason,
        _usage(answer.get("usageMetadata") or {}),
        answer.get("modelVersion") or model,
        answer.get("responseId") or "",
        "".join(part.get("text") or "" for part in parts if part.get("thought")),
        {key: candidate[key] for key in EXTRA if candidate.get(key)},
    )


def _finish(
    answer: Mapping[str, Any], candidate: Mapping[str, Any], text: str
) -> tuple[Finish, str]:
    """Say how the model ended, and its own word for it."""
    feedback = answer.get("promptFeedback") or {}
    if blocked := feedback.get("blockReason"):
        message = feedback.get("blockReasonMessage")
        return "blocked", f"{blocked}: {message}" if message else blocked
    if not candidate:
        return "empty", "no candidates"
    reason = candidate.get("finishReason") or ""
    finish = FINISH.get(reason, "stop")
    if finish == "stop" and not text.strip():
        return "empty", reason or "no finish reason"
    return finish, "" if reason == "STOP" else reason


def _usage(counted: Mapping[str, Any]) -> Usage:
    return Usage(
        input=counted.get("promptTokenCount") or 0,
        output=counted.get("candidatesTokenCount") or 0,
        thoughts=counted.get("thoughtsTokenCount") or 0,
        cached=counted.get("cachedContentTokenCount") or 0,
    )

"""What went wrong at the service, as one `CallError`: whether to try again, what it may have cost.

Decided here: nothing that the service says makes a question `refused`, since a wrong key or a busy
day must not close it for good; what may have been done although no answer came counts as paid. No
exception of the libraries is kept as the cause: it holds the request, and that holds the key.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from emoframe.labelling import CallError

Doing = Literal["upload", "ask", "batch"]

KEYS = ("GOOGLE_API_KEY", "GEMINI_API_KEY")
"""Environment variables that hold the key, the first that is set to be taken, as the SDK does."""
SECRETS = re.compile(
    r"AIza[\w-]{8,}|AQ\.[\w-]{8,}|ya29\.[\w.-]+|(?<=key=)[^&\s'\"]+|(?<=bearer )\S+", re.IGNORECASE
)
UNDONE = {429, 503}
"""Statuses after which nothing was worked on, so that nothing is billed."""
UNSENT = {
    "ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "WriteError", "WriteTimeout",
}  # fmt: skip
UNUSABLE = {"InvalidURL", "LocalProtocolError", "UnsupportedProtocol"}
WHILE: Mapping[Doing, str] = {
    "upload": "while a clip was uploaded",
    "ask": "while it was asked",
    "batch": "while a batch was handled",
}
LONGEST = 300
"""Characters of the service's own words that are kept."""


def scrubbed(text: str) -> str:
    """Take every key out of a text, and make it one line."""
    for name in KEYS:
        if key := os.environ.get(name, "").strip():
            text = text.replace(key, "[key]")
    return " ".join(SECRETS.sub("[key]", text).split())


def library_errors() -> tuple[type[Exception], ...]:
    """Return what the SDK raises, its own and that of the libraries under it.

    Raises:
        ImportError: google-genai is not installed.
    """
    from google.auth.exceptions import GoogleAuthError
    from google.genai.errors import APIError

    below = [getattr(sys.modules.get(name), "HTTPError", None) for name in ("httpx2", "httpx")]
    below += [getattr(sys.modules.get(name), "InvalidURL", None) for name in ("httpx2", "httpx")]
    # ValueError: JSON that is none, and what the SDK refuses; OSError: files, and requests' errors
    return (APIError, GoogleAuthError, ValueError, KeyError, OSError, *filter(None, below))


def told(error: Exception, doing: Doing, model: str) -> CallError:
    """Say what an exception of the libraries means.

    Args:
        error: One of `library_errors`.
        doing: What was being done.
        model: The model's name, for the sentence.
    """
    from google.auth.exceptions import GoogleAuthError
    from google.genai.errors import APIError

    if isinstance(error, APIError):
        return _answered(error, doing, model)
    if isinstance(error, GoogleAuthError):
        return CallError(
            f"Vertex AI: no credentials that work ({_words(error)}); run `gcloud auth "
            "application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS",
            retry=type(error).__name__ == "TransportError",
        )
    library = type(error).__module__.partition(".")[0]
    if library in {"httpx", "httpx2", "requests", "urllib3"}:
        return _lost(error, doing)
    if isinstance(error, OSError):
        return CallError(f"this machine failed {WHILE[doing]} ({_words(error)})")
    return CallError(
        f"Gemini sent something that is no answer {WHILE[doing]} ({_words(error)})",
        retry=True,
        paid=doing != "upload",
    )


def _lost(error: Exception, doing: Doing) -> CallError:
    """Say that the connection broke, or that nothing came."""
    name = type(error).__name__
    if name in UNUSABLE:
        return CallError(f"Gemini cannot be reached: {_words(error)}; see base_url")
    how = "did not respond in time" if "Timeout" in name else "broke off"
    return CallError(
        f"the connection to Gemini {how} {WHILE[doing]} ({name}: {_words(error)})",
        retry=True,
        paid=doing != "upload" and name not in UNSENT,
    )


def _answered(error: Any, doing: Doing, model: str) -> CallError:
    """Say what an HTTP status means."""
    code, words = int(error.code or 0), _words(error.message or error)
    details = _details(error.details)
    if code == 429 and (spent := _used_up(details, words)):
        return CallError(
            f"Gemini: the quota is used up ({spent}); go on when it is renewed, or raise it",
            status="quota",
        )
    if code in {408, 429} or code >= 500:
        return CallError(
            f"Gemini answered {code} {WHILE[doing]}: {words}",
            retry=True,
            paid=doing != "upload" and code not in UNDONE,
            status="quota" if code == 429 else "error",
            after_s=_wait_s(error, details),
        )
    return CallError(_sentence(code, words, details, model if doing == "ask" else ""))


def _sentence(code: int, words: str, details: list[Mapping[str, Any]], model: str) -> str:
    """Say what the user can do about a refusal."""
    reasons = {str(item.get("reason")) for item in details}
    bad_key = reasons & {"API_KEY_INVALID", "ACCESS_TOKEN_EXPIRED"} or "API key" in words
    if code == 401 or (code in {400, 403} and bad_key):
        where = next((name for name in KEYS if os.environ.get(name)), " or ".join(KEYS))
        return f"Gemini does not take the key in {where} ({code}: {words}); set a valid one"
    if code == 403:
        return f"Gemini denies access ({words}); check what the key and its project may do"
    if code == 404 and model:
        return f"Gemini knows no model {model!r} here ({words}); give another name or api_version"
    if code == 413:
        return f"Gemini finds the question too large ({words}); lower inline_below_mb"
    return f"Gemini refused the question ({code}: {words})"


def file_is_gone(error: CallError) -> bool:
    """Whether a question failed because its upload was deleted or had expired."""
    text = str(error)
    return "access the File" in text or "not in an ACTIVE state" in text


def _words(error: object) -> str:
    """Return what an error says, short, on one line, without any key."""
    said = scrubbed(str(error)) or type(error).__name__
    return said if len(said) <= LONGEST else f"{said[:LONGEST]}..."


def _details(body: object) -> list[Mapping[str, Any]]:
    """Return the typed details of an error's body; empty where it has none."""
    inner = body.get("error", body) if isinstance(body, Mapping) else {}
    found = inner.get("details") if isinstance(inner, Mapping) else None
    return [item for item in found or [] if isinstance(item, Mapping)]


def _used_up(details: list[Mapping[str, Any]], words: str) -> str:
    """Name the quota that does not come back within minutes; empty if it will."""
    for item in details:
        for violation in item.get("violations") or []:
            quota = str(violation.get("quotaId", ""))
            if "PerDay" in quota or str(violation.get("quotaValue", "")) == "0":
                return quota
    return words if re.search(r"credits are depleted|spending cap|per day", words) else ""


def _wait_s(error: Any, details: list[Mapping[str, Any]]) -> float | None:
    """Return how many seconds the service asked to wait: `RetryInfo`, else `Retry-After`."""
    for item in details:
        found = re.fullmatch(r"(\d+(?:\.\d+)?)s", str(item.get("retryDelay", "")))
        if found:
            return float(found[1])
    header = str(getattr(error.response, "headers", {}).get("retry-after", ""))
    if re.fullmatch(r"\d+(\.\d+)?", header):
        return float(header)
    try:
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):  # no date, or one without a zone
        return None

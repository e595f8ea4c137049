"""What went wrong with a call, as a sentence that says whether to try again and who has paid.

Decided here: busy servers (408, 429, 5xx), time-outs and lost connections may be tried again; what
the request itself causes may not, nor an account without money, which also answers 429. The server
may have done the work where it had the whole request and then was not heard of. A key that a
message repeats is cut out, and what caused an error is not chained to it, since that repeats it.
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from time import time
from typing import TYPE_CHECKING, NamedTuple

from emoframe.labelling import CallError, Status
from emoframe_openai.server import PART

if TYPE_CHECKING:
    import openai

LEAST_KEY = 8
"""A shorter key, such as the `none` of a server without keys, is a word that texts may hold."""
LONGEST = 300
KEYS = re.compile(r"\b(?:sk|pk|rk|gsk|key)-[\w*.-]{4,}")
NO_MONEY = re.compile(r"insufficient_quota|billing|insufficient (?:balance|credit)", re.IGNORECASE)
FILTERED = re.compile(r"content_filter|content_policy|safety system", re.IGNORECASE)
TOO_LONG = re.compile(
    r"context.?(?:length|size|window)|maximum model length|too many tokens|too long",
    re.IGNORECASE,
)
HINTS = (
    (
        re.compile(r"response_format|json_schema|schema|structured|grammar|guided", re.IGNORECASE),
        "give structured: json_object or none; the question says in words what to answer",
    ),
    (
        re.compile(r"max_completion_tokens", re.IGNORECASE),
        "give tokens_field: max_completion_tokens",
    ),
    (re.compile(r"temperature|seed", re.IGNORECASE), "give temperature: null and seed: null"),
    (re.compile(r"video", re.IGNORECASE), "give send: frames, which every server takes"),
)
"""What to do about a refused request, by what the server said of it."""
ADVICE = {
    401: "set the right key in the environment variable that key_env names",
    403: "the key may not use this model, or the service is not offered here",
    404: "check base_url, which mostly ends in /v1, and model",
    405: "check base_url, which mostly ends in /v1",
}
UNDONE = (429, 503)
"""Statuses after which nothing was worked on; after all others of a busy server it may have been,
as where a gateway lost patience with one that goes on."""
UNSENT = {
    "ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol",
    "LocalProtocolError", "WriteError", "WriteTimeout",
}  # fmt: skip
"""What the transport raises while the server does not have the whole request."""


class Said(NamedTuple):
    """What a server said of an error.

    Attributes:
        status: HTTP's number for it.
        text: In its words.
        code: Its name for it.
        after_s: Seconds that it asked to wait; None where it did not say.
    """

    status: int
    text: str
    code: str = ""
    after_s: float | None = None


def scrub(text: str, secret: str) -> str:
    """Cut a key out of a text."""
    return text.replace(secret, "[key]") if len(secret) >= LEAST_KEY else text


def short(text: str, secret: str) -> str:
    """Return one line of a server's words, without any key."""
    line = " ".join(KEYS.sub("[key]", scrub(text, secret)).split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} ..."


def of_error(error: openai.OpenAIError, server: str, secret: str) -> CallError:
    """Turn what the client raised into what the framework knows.

    Args:
        error: What it raised.
        server: Its address, for the message.
        secret: The key, which the message must not show.
    """
    import openai

    if isinstance(error, openai.APIStatusError):
        text = _told(error)
        after_s = wait(error.response.headers.get("retry-after"))
        code = " ".join(str(word) for word in (error.code, error.type) if word)
        return of_answer(Said(error.status_code, short(text, secret), code, after_s), server)
    cause = error.__cause__ or error
    sent = type(cause).__name__ not in UNSENT
    why = short(str(cause), secret) or type(cause).__name__
    if isinstance(error, openai.APITimeoutError):
        what = "did not answer in time" if sent else "could not be reached in time"
        return CallError(f"{PART}: {server} {what} ({why})", retry=True, paid=sent)
    if isinstance(error, openai.APIConnectionError):
        what = "broke off before it had answered" if sent else "could not be reached"
        return CallError(f"{PART}: {server} {what} ({why})", retry=True, paid=sent)
    return CallError(f"{PART}: {server} cannot be asked: {why}")


def of_answer(said: Said, server: str) -> CallError:
    """Turn an error that a server told into what the framework knows."""
    start = f"{PART}: {server} answered {said.status}"
    told = f"{start} ({said.text})" if said.text else start
    words = f"{said.code} {said.text}"
    if said.status == 402 or (said.status in (403, 429) and NO_MONEY.search(words)):
        return CallError(f"{told}; the account has no money left", status="quota")
    if said.status in (408, 429) or said.status >= 500:
        status: Status = "quota" if said.status == 429 else "error"
        paid = said.status not in UNDONE
        return CallError(told, retry=True, paid=paid, status=status, after_s=said.after_s)
    if said.status < 400:
        return CallError(
            f"{start}: it sends elsewhere, which is not followed, since a clip goes only where "
            "base_url says; give the address it sends to if you trust it"
        )
    if FILTERED.search(words):
        return CallError(told, status="blocked")
    if said.status == 413 or TOO_LONG.search(words):
        advice = "give fewer frames, a smaller side or a smaller max_output_tokens"
        return CallError(f"{told}; it is too much for the model: {advice}", status="refused")
    hints = (advice for pattern, advice in HINTS if pattern.search(words))
    advice = ADVICE.get(said.status) or next(hints, "")
    return CallError(f"{told}; {advice}" if advice else told)


def _told(error: openai.APIStatusError) -> str:
    """Find the words of an error, which servers put into different places."""
    body = error.body
    if isinstance(body, dict):
        found = next((body[name] for name in ("message", "detail", "error") if body.get(name)), "")
        return str(found or body)
    return error.response.text


def wait(header: str | None) -> float | None:
    """Return the seconds of a Retry-After header, a number or a date; None without one."""
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - time()
        except ValueError:
            return None
    return max(0.0, seconds) if seconds < float("inf") else None

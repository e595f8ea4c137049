"""Where a server is: its address, whether that is this machine, and the client that talks to it.

Decided here: an address holds no user, password or query, since configs are stored and shown; a
redirect is not followed and a server on this machine is reached past every proxy of the
environment, so that a clip goes where `base_url` says and nowhere else; nothing is retried here.
"""

from __future__ import annotations

import os
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from emoframe import ComponentError

if TYPE_CHECKING:
    from openai import OpenAI

PART = "vlm_labeler openai_compatible"
CONNECT_S = 30.0
OWN_HOST = "api.openai.com"


def address(base_url: str) -> str:
    """Check an address and return its host.

    Raises:
        ComponentError: It is no plain http or https address.
    """
    try:
        parts = urlsplit(base_url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    odd = not base_url.isascii() or not base_url.isprintable() or set(base_url) & set(" \\@?#")
    if parts.scheme not in ("http", "https") or not host or odd:
        raise ComponentError(
            f"{PART}: base_url is no address of a server, as http://127.0.0.1:8000/v1 is, without "
            "user, password or query; a key belongs into the environment variable of key_env"
        )
    return host


def is_here(host: str) -> bool:
    """Whether a host is this machine; only what certainly is counts."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def key(variable: str) -> str:
    """Read the key from the environment; empty where the server needs none.

    Raises:
        ComponentError: It is not set, or cannot be sent; the message does not show it.
    """
    if not variable:
        return ""
    value = os.environ.get(variable, "").strip()
    if not value:
        raise ComponentError(
            f"{PART}: the environment variable {variable} holds no key; set it, or give "
            "key_env: '' for a server that needs none"
        )
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ComponentError(f"{PART}: what the environment variable {variable} holds is no key")
    return value


def client(base_url: str, secret: str, timeout_s: float) -> OpenAI:
    """Make a client that several threads may use.

    Args:
        base_url: Where the server is.
        secret: The key; empty where it needs none.
        timeout_s: Longest silence in seconds before a call is given up.
    """
    import openai

    host = address(base_url)
    made = openai.OpenAI(
        base_url=base_url,
        api_key=secret or "none",
        timeout=openai.Timeout(timeout_s, connect=min(timeout_s, CONNECT_S)),
        max_retries=0,
        http_client=openai.DefaultHttpxClient(trust_env=not is_here(host), follow_redirects=False),
    )
    if host != OWN_HOST:  # the environment's organisation and project are nobody else's business
        made.organization = made.project = None
    return made

"""The connection to Gemini: one client for all threads, made on the first call.

Decided here: the SDK never tries again, `emoframe.weak_labels` does, since each try is reserved
in the ledger before it is sent (the one thing that cannot be switched off repeats a part of an
upload up to twice if a proxy answers without Google's headers); the service is what the config
says, whatever `GOOGLE_GENAI_USE_VERTEXAI` says; keys come from the environment alone.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from emoframe import ComponentError
from emoframe_genai.faults import KEYS, Doing, library_errors, told

T = TypeVar("T")

VERSIONS = {"developer": "v1beta", "vertex": "v1beta1"}


@dataclass
class Service:
    """Where Gemini is reached.

    Attributes:
        model: The model's name.
        kind: The Gemini Developer API or Vertex AI.
        project: Google Cloud project; None for that of the environment. Vertex only.
        location: Region; None for that of the environment. Vertex only.
        base_url: Another address than Google's.
        api_version: Version of the API; None for the beta.
        timeout_s: Seconds that a call may take.
    """

    model: str
    kind: Literal["developer", "vertex"] = "developer"
    project: str | None = None
    location: str | None = None
    base_url: str | None = None
    api_version: str | None = None
    timeout_s: float = 600.0
    _client: Any = field(default=None, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def ready(self) -> None:
        """Check, without a call, that there is something to show to the service.

        Raises:
            ComponentError: There is no key; Vertex's other credentials show at the first call.
        """
        if self.kind == "developer":
            _key()

    def call(self, doing: Doing, work: Callable[[Any], T]) -> T:
        """Let `work` use the client.

        Args:
            doing: What it does, for the sentence and for whether it may have been paid.
            work: Given a `google.genai.Client`.

        Raises:
            ComponentError: There is no key.
            CallError: The call brought nothing.
        """
        try:
            return work(self._connected())
        except library_errors() as error:
            problem = told(error, doing, self.model)
        raise problem  # here, so that it has no context: that would hold the request with the key

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _connected(self) -> Any:
        """Return the client, made if there is none yet."""
        with self._lock:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _connect(self) -> Any:
        from google import genai

        options = genai.types.HttpOptions(
            api_version=self.api_version or VERSIONS[self.kind],
            base_url=self.base_url,
            timeout=int(self.timeout_s * 1000),
        )
        if self.kind == "developer":
            return genai.Client(api_key=_key(), vertexai=False, http_options=options)
        named = self.project or os.environ.get("GOOGLE_CLOUD_PROJECT")
        if not named and any(os.environ.get(name) for name in KEYS):
            return genai.Client(api_key=_key(), vertexai=True, http_options=options)
        return genai.Client(
            vertexai=True, project=self.project, location=self.location, http_options=options
        )


def _key() -> str:
    """Return the key from the environment.

    Raises:
        ComponentError: There is none, or it is none that could be sent.
    """
    name = next((name for name in KEYS if os.environ.get(name, "").strip()), None)
    if name is None:
        raise ComponentError(
            "vlm_labeler gemini: there is no key; set GEMINI_API_KEY in the environment (from "
            "https://aistudio.google.com/apikey), or give service: vertex"
        )
    key = os.environ[name].strip()
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ComponentError(
            f"vlm_labeler gemini: {name} holds no key: it has spaces or strange letters in it"
        )
    return key

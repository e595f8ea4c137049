"""What these tests share: the fake server, a clip, a prompt, an environment with its key."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from emoframe_genai.gemini import Gemini

from emoframe.labelling import Clip, Prompt
from emoframe.records import Frames

SCHEMA = {
    "type": "object",
    "properties": {"mood": {"type": "string"}, "sure": {"type": "number"}},
    "required": ["mood", "sure"],
    "additionalProperties": False,
}


@pytest.fixture(scope="session")
def fake() -> ModuleType:
    """The module `fake_gemini`."""
    spec = importlib.util.spec_from_file_location(
        "fake_gemini", Path(__file__).with_name("fake_gemini.py")
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["fake_gemini"] = module  # its dataclasses look there for their annotations
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def server(fake: ModuleType) -> Iterator[Any]:
    """A running server."""
    with fake.FakeGemini() as running:
        yield running


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, fake: ModuleType) -> None:
    """The key is set; what else of the environment could matter is not."""
    for name in (
        "GOOGLE_API_KEY", "GOOGLE_GEMINI_BASE_URL", "GOOGLE_GENAI_USE_VERTEXAI",
        "GOOGLE_GENAI_USE_ENTERPRISE", "GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION",
        "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_GENAI_API_VERSION", "GOOGLE_VERTEX_BASE_URL",
    ):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GEMINI_API_KEY", fake.KEY)


@pytest.fixture
def prompt() -> Prompt:
    return Prompt("p", "You look at people.", "What do you see?", SCHEMA, ("win", "loss"))


def _frames(count: int) -> Frames:
    raise AssertionError(f"{count} frames were decoded, and Gemini decodes for itself")


@pytest.fixture
def make_clip(tmp_path: Path) -> Callable[..., Clip]:
    """Make a clip of some bytes; the server does not decode it."""

    def make(content: bytes = b"video" * 99, duration_s: float = 4.0) -> Clip:
        path = tmp_path / f"{hashlib.sha256(content).hexdigest()}.mp4"
        path.write_bytes(content)
        key = hashlib.sha256(b"source of " + content).hexdigest()
        return Clip(key, path, duration_s, 25.0, (64, 48), _frames)

    return make


@pytest.fixture
def labeler(server: Any) -> Iterator[Callable[..., Gemini]]:
    """Make a labeler that asks the server, and is in no need of patience."""
    made: list[Gemini] = []

    def make(**parameters: Any) -> Gemini:
        quick = {"poll_s": 0.01, "timeout_s": 5.0, "upload_timeout_s": 5.0, "inline_below_mb": 0.0}
        made.append(Gemini(**{"base_url": server.url, **quick, **parameters}))
        return made[-1]

    yield make
    for one in made:
        one.close()

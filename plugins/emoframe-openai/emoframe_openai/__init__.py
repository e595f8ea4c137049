"""OpenAI's chat API for emoframe: what this plugin offers, as data; openai is imported on use."""

from __future__ import annotations

from emoframe import Component, hookimpl

__all__ = ["emoframe_components"]


@hookimpl
def emoframe_components() -> list[Component]:
    """Offer the labeler `openai_compatible`."""
    return [
        Component(
            kind="vlm_labeler",
            name="openai_compatible",
            target="emoframe_openai.chat:OpenAICompatible",
            needs=("openai", "pillow"),
            example={"base_url": "http://127.0.0.1:8000/v1", "model": "my-model", "key_env": ""},
            paper="https://platform.openai.com/docs/api-reference/chat",
        )
    ]

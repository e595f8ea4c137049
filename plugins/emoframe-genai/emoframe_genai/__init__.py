"""Gemini for emoframe: what this plugin offers, as data; google-genai is imported on first use."""

from __future__ import annotations

from emoframe import Component, hookimpl

__all__ = ["emoframe_components"]


@hookimpl
def emoframe_components() -> list[Component]:
    """Offer the labeler `gemini`."""
    return [
        Component(
            kind="vlm_labeler",
            name="gemini",
            target="emoframe_genai.gemini:Gemini",
            needs=("google-genai",),
            example={"model": "gemini-2.5-flash", "fps": 2.0, "media_resolution": "low"},
            paper="https://arxiv.org/abs/2507.06261 (Gemini 2.5)",
            weights_license="none are loaded; the terms of the Gemini API hold",
        )
    ]

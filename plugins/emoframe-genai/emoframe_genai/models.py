"""What differs between the generations of Gemini: how they think, what a frame costs.

Decided here: the generation is read from the model's name, which users give freely; a name that
says none, such as an alias, is sent as it is and counted at the highest price. What a generation
does not take is refused when the labeler is built, not after a video was uploaded.

Sources: W2S specs 6.1 (tokens, budgets and levels by generation); the limits of 2.5 from
https://ai.google.dev/gemini-api/docs/thinking; the budgets that stand for levels are those of
Google's own mapping in https://ai.google.dev/gemini-api/docs/openai.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from emoframe import ComponentError

Resolution = Literal["default", "low", "medium", "high"]
Thinking = Literal["auto", "off", "low", "medium", "high"]

CONTEXT = 1_048_576
"""Most tokens that a question may have."""
AUDIO_S = 32
"""Tokens of a second of sound; counted although clips are silent, since the service might."""
STAMP = 10
"""Tokens of the time that is put beside each frame, at most."""
BUDGETS = {"low": 1_024, "medium": 8_192, "high": 24_576}
LIMITS = {"pro": (128, 32_768), "flash-lite": (512, 24_576), "flash": (0, 24_576)}


def generation(model: str) -> tuple[int, int] | None:
    """Return generation and half-generation by a model's name; None where it says none."""
    found = re.search(r"gemini-(\d+)(?:\.(\d+))?", model)
    return (int(found[1]), int(found[2] or 0)) if found else None


def frame_tokens(model: str, resolution: Resolution) -> int:
    """Return the most tokens of one frame of a video, without the time beside it."""
    version = generation(model)
    if version is not None and version < (3, 0):
        return 66 if resolution == "low" else 258
    if version is None:
        return 280
    return 280 if resolution == "high" else 70


def thinking_config(model: str, thinking: Thinking | int) -> dict[str, Any]:
    """Say how much to think in the words of the model's generation.

    Args:
        model: Its name.
        thinking: `auto` leaves it to the model; else a level, or a number of tokens.

    Returns:
        Fields of `ThinkingConfig`; empty where there is nothing to say.

    Raises:
        ComponentError: The model does not take that.
    """
    version = generation(model)
    if version is not None and version < (2, 5):
        if thinking in {"auto", "off"}:
            return {}
        raise _wrong(model, thinking, "it does not think; give thinking: auto")
    if version is not None and version < (3, 0):
        return {"thinking_budget": _budget(model, thinking)}
    if thinking == "auto":
        return {}
    if isinstance(thinking, int):
        if version is None:
            return {"thinking_budget": thinking}
        raise _wrong(model, thinking, "it takes a level: auto, low, medium or high")
    if thinking == "off" and "pro" in model:
        raise _wrong(model, thinking, "it always thinks; the least is thinking: low")
    return {"thinking_level": "MINIMAL" if thinking == "off" else thinking.upper()}


def _budget(model: str, thinking: Thinking | int) -> int:
    """Return the tokens that a model of generation 2.5 may think; -1 for as many as it likes."""
    if thinking == "auto":
        return -1
    low, high = next((limit for size, limit in LIMITS.items() if size in model), (0, 24_576))
    if isinstance(thinking, str) and thinking != "off":
        return max(low, BUDGETS[thinking])
    budget = 0 if thinking == "off" else int(thinking)
    if budget == 0 and "pro" not in model:
        return 0
    if not low <= budget <= high:
        allowed = f"it takes auto, low, medium, high or {low} to {high} tokens"
        raise _wrong(model, thinking, f"it always thinks; {allowed}" if budget == 0 else allowed)
    return budget


def _wrong(model: str, thinking: Thinking | int, why: str) -> ComponentError:
    return ComponentError(f"vlm_labeler gemini: thinking: {thinking} is nothing for {model}; {why}")

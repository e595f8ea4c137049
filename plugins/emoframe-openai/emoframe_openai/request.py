"""What a question looks like in the API's own form, and the most tokens that it can cost.

Decided here: pictures come before the question, each after its time; the question says in words
what an answer looks like, so that a server which is not bound to the schema needs no more; a
picture is counted by the dearest documented rule, whatever the model, so that a budget is never
exceeded.
"""

from __future__ import annotations

import base64
import io
import json
import math
from typing import TYPE_CHECKING, Any, Literal

from emoframe.labelling import CallError
from emoframe_openai.server import PART

if TYPE_CHECKING:
    from emoframe.labelling import Clip, Prompt, Question

Structured = Literal["json_schema", "json_object", "none"]
Content = list[dict[str, Any]]
VIDEO_BYTES = 200 * 2**20
TILE_PX, TILED_PX, SHORT_PX = 512, 2048, 768
TILE_TOKENS: dict[str, tuple[int, int]] = {"gpt-4o-mini": (2833, 5667), "": (85, 170)}
"""Tokens of a picture and of each of its tiles, by how the name of the model begins.

Source: https://platform.openai.com/docs/guides/images-vision, at high detail; the models that are
missing here pay less.
"""
PATCH_PX, PATCH_FACTOR = 28, 2.46
"""Side of what open models make one token of, and the dearest factor that OpenAI puts on it."""
LABEL_TOKENS = 24
"""Of the line before a picture, more than it ever has."""
VIDEO_FPS, LEAST_FRAMES, MOST_FRAMES = 2, 32, 768
"""How Qwen's processors and vLLM sample a video unless they are told otherwise."""
LARGE = (1920, 1080)
"""Of a video whose size is not known."""


def messages(question: Question, pictures: Content, intro: str) -> list[dict[str, Any]]:
    """Write a question as messages.

    Args:
        question: What is asked.
        pictures: What is shown, as parts of a message.
        intro: What is shown, in words.
    """
    prompt = question.prompt
    user = [_text(intro), *pictures, _text(prompt.text)]
    system = [{"role": "system", "content": prompt.system}] if prompt.system else []
    return [*system, {"role": "user", "content": user}]


def response_format(prompt: Prompt, structured: Structured) -> dict[str, Any]:
    """Return the field that binds the answer to JSON; nothing where it is not bound."""
    if structured == "none":
        return {}
    form: dict[str, Any] = {"type": structured}
    if structured == "json_schema":
        form["json_schema"] = {"name": "answer", "strict": True, "schema": dict(prompt.schema)}
    return {"response_format": form}


def pictures(
    clip: Clip, count: int, side: int, quality: int, detail: Literal["auto", "low", "high"]
) -> tuple[str, Content]:
    """Show a clip as pictures, each after its time.

    Args:
        clip: The clip.
        count: Most pictures.
        side: Longest side in pixels.
        quality: Of JPEG, 1 to 95.
        detail: How closely the model is to look.

    Returns:
        What is shown in words, and the parts of the message.
    """
    from PIL import Image

    frames = clip.frames(count)
    parts: Content = []
    for number, (rgb, time_s) in enumerate(zip(frames.rgb, frames.time_s, strict=True), 1):
        picture, file = Image.fromarray(rgb), io.BytesIO()
        picture.thumbnail((side, side))
        picture.save(file, "JPEG", quality=quality)
        url: dict[str, Any] = {"url": _data_url("image/jpeg", file.getvalue())}
        url |= {} if detail == "auto" else {"detail": detail}
        parts += [
            _text(f"Picture {number} of {len(frames)}, at {time_s:.2f} s:"),
            {"type": "image_url", "image_url": url},
        ]
    intro = (
        f"{len(frames)} pictures out of a silent video of {clip.duration_s:.2f} seconds follow, "
        "each after the time at which it was taken."
    )
    return intro, parts


def video(clip: Clip) -> tuple[str, Content]:
    """Show a clip as a whole, as vLLM takes it.

    Returns:
        What is shown in words, and the parts of the message.

    Raises:
        CallError: There is no video, or it is too large for a request.
    """
    if clip.path is None:
        raise CallError(f"{PART}: the clip {clip.key[:12]} has no video to be shown")
    size = clip.path.stat().st_size
    if size > VIDEO_BYTES:
        raise CallError(
            f"{PART}: the video has {size / 2**20:.0f} MiB and {VIDEO_BYTES / 2**20:.0f} MiB fit "
            "into a request; give send: frames, or cut it shorter",
            status="refused",
        )
    kind = clip.path.suffix.removeprefix(".").lower() or "mp4"
    url = _data_url(f"video/{kind}", clip.path.read_bytes())
    intro = f"The video is silent and lasts {clip.duration_s:.2f} seconds."
    return intro, [{"type": "video_url", "video_url": {"url": url}}]


def text_tokens(question: Question) -> int:
    """Return the most tokens of all words of a question: one for two bytes, the schema counted."""
    prompt = question.prompt
    words = f"{prompt.system}{prompt.text}{json.dumps(prompt.schema)}"
    return math.ceil(len(words.encode()) / 2) + 100  # the introduction and what frames a message


def picture_tokens(size: tuple[int, int], side: int, model: str) -> int:
    """Return the most tokens of one picture and its line, by the dearest of the known rules.

    Args:
        size: Of the source, in pixels; (0, 0) where it is not known.
        side: Longest side of what is sent, in pixels.
        model: Name of the model.
    """
    shrink = min(1.0, side / max(*size, 1))
    width, height = (shrink * length for length in size) if all(size) else (side, side)
    patches = math.ceil(width / PATCH_PX) * math.ceil(height / PATCH_PX)
    shrink = min(1.0, TILED_PX / max(width, height))
    shrink *= min(1.0, SHORT_PX / (shrink * min(width, height)))
    tiles = math.ceil(shrink * width / TILE_PX) * math.ceil(shrink * height / TILE_PX)
    base, each = next(cost for name, cost in TILE_TOKENS.items() if model.startswith(name))
    return max(base + each * tiles, math.ceil(PATCH_FACTOR * patches)) + LABEL_TOKENS


def video_tokens(clip: Clip, fps: float) -> int:
    """Return the most tokens of a video as vLLM and Qwen's models sample it.

    Args:
        clip: The clip.
        fps: Frames per second that the server was asked to look at.
    """
    frames = max(LEAST_FRAMES, math.ceil(clip.duration_s * max(fps, VIDEO_FPS)))
    width, height = clip.size if all(clip.size) else LARGE
    each = math.ceil(width / PATCH_PX) * math.ceil(height / PATCH_PX)
    return min(frames, MOST_FRAMES) * (each + LABEL_TOKENS)


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _data_url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"

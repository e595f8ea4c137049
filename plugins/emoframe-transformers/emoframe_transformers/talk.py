"""A question as the talk that the models of the Qwen-VL family are trained on.

Decided here: what is shown comes before what is asked; single pictures have their times in words
before them, and a video is handed over with the true times of its pictures, told in milliseconds,
since the library knows only whole numbers of frames at a constant rate.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emoframe.labelling import Question
    from emoframe.records import Frames

Send = Literal["frames", "video"]
TOKEN_PX, LEAST_TOKENS, LINE_TOKENS = 28, 160, 24
"""Least side in pixels of what becomes one token; the most tokens that a tiny picture has after
Qwen has enlarged it; the most of the line before one."""
TICKS = 1000
"""A second in milliseconds."""


def talk(
    question: Question, shown: Frames, side: int, send: Send
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Write a question as a talk.

    Args:
        question: What is asked.
        shown: The pictures, T of them.
        side: Longest side in pixels that they are scaled down to.
        send: Whether they are shown one by one or as a video; one picture makes no video.

    Returns:
        The messages, and what the processor has to be told along.
    """
    pictures = [_shrunk(rgb, side) for rgb in shown.rgb]
    length = f"silent video of {question.clip.duration_s:.2f} seconds"
    settings: dict[str, Any] = {}
    if send == "video" and len(pictures) > 1:
        settings = _times(shown, question.clip.duration_s)
        film = {"type": "video", "video": np.stack(pictures)}
        content = [_words(f"This is a {length}.\n"), film]
    else:
        content = [
            _words(f"{len(pictures)} pictures out of a {length} follow, each after its time.")
        ]
        for number, picture in enumerate(pictures):
            line = f"\nPicture {number + 1} of {len(pictures)}, at {shown.time_s[number]:.2f} s:\n"
            content += [_words(line), {"type": "image", "image": picture}]
    user = {"role": "user", "content": [*content, _words(f"\n{question.prompt.text}")]}
    system = {"role": "system", "content": [_words(question.prompt.system)]}
    return [system, user], settings


def most_tokens(question: Question, count: int, side: int) -> int:
    """Return the most tokens of a question: one for two bytes of text, and those of pictures.

    Args:
        question: What is asked.
        count: Number of pictures.
        side: Longest side in pixels that they are scaled down to.
    """
    size = question.clip.size
    width, height = size if all(size) else (side, side)
    shrink = min(1.0, side / max(width, height))
    across, down = (math.ceil(shrink * length / TOKEN_PX) for length in (width, height))
    words = f"{question.prompt.system}{question.prompt.text}".encode()
    frame = 100  # what introduces the pictures and frames the messages
    return (
        math.ceil(len(words) / 2) + frame + count * (max(across * down, LEAST_TOKENS) + LINE_TOKENS)
    )


def _times(shown: Frames, duration_s: float) -> dict[str, Any]:
    """Tell the processor when each picture was taken, and not to choose among them."""
    ticks = [round(time_s * TICKS) for time_s in shown.time_s]
    last = max(round(duration_s * TICKS), ticks[-1] + 1)
    told = {"fps": float(TICKS), "frames_indices": ticks, "total_num_frames": last}
    return {"video_metadata": [told], "do_sample_frames": False}


def _shrunk(rgb: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    from PIL import Image

    picture = Image.fromarray(rgb)
    picture.thumbnail((side, side))
    return np.asarray(picture)


def _words(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}

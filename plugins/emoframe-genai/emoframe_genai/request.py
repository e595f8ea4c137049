"""A question in the words of the API: the video, the text after it, how to answer, what it costs.

Decided here: the text comes after the video, one video to a question, as Google advises; the
answer's schema goes as JSON Schema, since the SDK's own refuses much of it; the SDK neither goes
on by itself nor calls functions; each sample has a seed of its own, or all would be the same; the
cost is bounded from what the documentation says, offline, and rounded up wherever it says "about".
"""

from __future__ import annotations

import json
import math
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from emoframe.labelling import CallError, Clip, Prompt, Question, Usage
from emoframe_genai.models import AUDIO_S, CONTEXT, STAMP, Resolution, frame_tokens

if TYPE_CHECKING:
    from pathlib import Path

    from google.genai import types

Safety = Literal["none", "high", "medium", "low", "default"]

HARMS = ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT")
THRESHOLDS = {
    "none": "BLOCK_NONE",
    "high": "BLOCK_ONLY_HIGH",
    "medium": "BLOCK_MEDIUM_AND_ABOVE",
    "low": "BLOCK_LOW_AND_ABOVE",
}


@dataclass(frozen=True)
class Request:
    """How a question is put.

    Attributes:
        model: Name of the model.
        fps: Frames per second that it sees.
        start_s: Begin in seconds; None for the clip's.
        end_s: End in seconds; None for the clip's.
        media_resolution: How closely it looks at a frame.
        temperature: Of sampling; None for the model's own.
        top_p: Of sampling; None for the model's own.
        seed: Of the first sample; None for a new one each time.
        max_output_tokens: Most tokens of the answer and of the thoughts before it.
        thinking: Fields of `ThinkingConfig`.
        safety: What is blocked.
    """

    model: str
    fps: float
    start_s: float | None
    end_s: float | None
    media_resolution: Resolution
    temperature: float | None
    top_p: float | None
    seed: int | None
    max_output_tokens: int
    thinking: Mapping[str, Any]
    safety: Safety

    def contents(self, question: Question, video: types.Part) -> list[types.Content]:
        """Return the video and the text after it."""
        from google.genai import types

        return [types.Content(role="user", parts=[video, types.Part(text=question.prompt.text)])]

    def video(self, **source: Any) -> types.Part:
        """Return the part that shows a clip.

        Args:
            **source: `inline_data` or `file_data`.
        """
        from google.genai import types

        shown = types.VideoMetadata(
            fps=self.fps,
            start_offset=None if self.start_s is None else f"{self.start_s:g}s",
            end_offset=None if self.end_s is None else f"{self.end_s:g}s",
        )
        return types.Part(video_metadata=shown, **source)

    def config(self, prompt: Prompt, sample: int) -> types.GenerateContentConfig:
        """Return how the model is to answer a prompt."""
        from google.genai import types

        resolution = f"MEDIA_RESOLUTION_{self.media_resolution.upper()}"
        harms = [] if self.safety == "default" else HARMS
        return types.GenerateContentConfig(
            system_instruction=prompt.system or None,
            temperature=self.temperature,
            top_p=self.top_p,
            seed=None if self.seed is None else self.seed + sample,
            max_output_tokens=self.max_output_tokens,
            response_mime_type="application/json",
            response_json_schema=dict(prompt.schema) or None,
            thinking_config=types.ThinkingConfig(**self.thinking) if self.thinking else None,
            media_resolution=None
            if self.media_resolution == "default"
            else types.MediaResolution(resolution),
            safety_settings=[
                types.SafetySetting(
                    category=types.HarmCategory(f"HARM_CATEGORY_{harm}"),
                    threshold=types.HarmBlockThreshold(THRESHOLDS[self.safety]),
                )
                for harm in harms
            ]
            or None,
            automatic_continuation=False,
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        )

    def wire(self, question: Question, video: types.Part) -> dict[str, Any]:
        """Return a question as the JSON that the API takes, for a file of questions."""
        config = self.config(question.prompt, question.sample)
        config.automatic_continuation = config.automatic_function_calling = None  # the SDK's own
        asked = {"by_alias": True, "exclude_none": True, "mode": "json"}
        generation = config.model_dump(**asked)
        whole: dict[str, Any] = {
            "contents": [content.model_dump(**asked) for content in self.contents(question, video)]
        }
        if "systemInstruction" in generation:
            text = generation.pop("systemInstruction")
            whole["systemInstruction"] = {"parts": [{"text": text}], "role": "user"}
        if "safetySettings" in generation:
            whole["safetySettings"] = generation.pop("safetySettings")
        return {**whole, "generationConfig": generation}

    def check(self, clip: Clip) -> None:
        """Refuse what the model could never take.

        Raises:
            CallError: The clip is too long, or ends before `start_s`.
        """
        if self.start_s is not None and self.start_s >= clip.duration_s:
            raise CallError(
                f"the clip is {clip.duration_s:.1f} s long and start_s is {self.start_s:g} s: "
                "nothing of it would be shown",
                status="refused",
            )
        tokens = self._frames(clip) * frame_tokens(self.model, self.media_resolution)
        if tokens > CONTEXT:
            raise CallError(
                f"the clip is too long: {self._seconds(clip):.0f} s at {self.fps:g} frames a "
                f"second are {tokens:,} tokens, and {CONTEXT:,} are allowed; lower fps or "
                "media_resolution, or give start_s and end_s",
                status="refused",
            )

    def tokens(self, question: Question) -> Usage:
        """Return the most tokens that a question can cost. Thoughts are within its output."""
        prompt = question.prompt
        schema = json.dumps(dict(prompt.schema), ensure_ascii=False)
        text = len((prompt.system + prompt.text + schema).encode()) // 2 + 64
        frame = frame_tokens(self.model, self.media_resolution) + STAMP
        seconds = self._seconds(question.clip)
        video = self._frames(question.clip) * frame + math.ceil(seconds + 1) * AUDIO_S
        return Usage(input=video + text, output=self.max_output_tokens)

    def _seconds(self, clip: Clip) -> float:
        """Return how much of a clip is shown."""
        end = clip.duration_s if self.end_s is None else min(self.end_s, clip.duration_s)
        return max(0.0, end - (self.start_s or 0.0))

    def _frames(self, clip: Clip) -> int:
        """Return the most frames that are shown."""
        return math.ceil(self._seconds(clip) * self.fps) + 1


def mime_type(path: Path) -> str:
    """Name the type of a clip's file."""
    return mimetypes.guess_type(path.name)[0] or "video/mp4"

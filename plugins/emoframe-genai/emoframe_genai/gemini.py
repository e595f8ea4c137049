"""Gemini as a labeler: a clip goes up, a question after it, an answer comes back.

This file wires; what each step decides is said where it is done: `models`, `request`, `service`,
`uploads`, `replies`, `faults`, `batch`. Decided here: a small clip goes within the question, which
leaves nothing behind at the service; Vertex AI has no Files API, so there each clip does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt, Le

from emoframe import ComponentError
from emoframe.labelling import CallError, Clip, Question, Reply, Usage
from emoframe_genai.batch import Batches
from emoframe_genai.faults import file_is_gone
from emoframe_genai.models import Resolution, Thinking, thinking_config
from emoframe_genai.replies import reply
from emoframe_genai.request import Request, Safety, mime_type
from emoframe_genai.service import Service
from emoframe_genai.uploads import MOST_BYTES, Uploads

if TYPE_CHECKING:
    from google.genai import types

INLINE_MB = 14
"""Most of a clip within a question: with base64 and the text that stays below 20 MB."""
MB = 1_000_000


class Gemini:
    """Google's Gemini, through the Developer API or Vertex AI. It sees the video itself.

    The key is read from `GEMINI_API_KEY` or `GOOGLE_API_KEY` and from nowhere else.

    Source: https://arxiv.org/abs/2602.08057, section 3.1 (W2S-24: Gemini 2.5 Pro, video in).

    Args:
        model: Name of the model as Google calls it.
        fps: Frames per second that it sees. The price grows with it: 2.5 takes 258 tokens a frame
            (66 at `low`), 3 takes 70 (280 at `high`). At 1, nothing shorter than a second is seen
            for sure.
        start_s: Begin of what is shown, in seconds; null shows the clip from its start.
        end_s: End of what is shown, in seconds; null shows it to its end.
        media_resolution: How closely it looks at each frame; `default` leaves it to the model.
        temperature: Of sampling; null for the model's own.
        top_p: Of sampling; null for the model's own.
        seed: Of the first sample, the later ones count on; null for none.
        max_output_tokens: Most tokens of thoughts and answer together. The budget reserves them
            all for each call; too few cut the answer, which is paid all the same.
        thinking: How much it thinks: `auto`, `off` where the model can do without, a level, or for
            2.5 a number of tokens.
        include_thoughts: Whether a summary of the thoughts is kept with the answer.
        safety: From which probability of harm an answer is blocked, in all four categories;
            `none` blocks nothing that can be left on, `default` leaves it to the model.
        service: The Gemini Developer API, or Vertex AI.
        project: Google Cloud project; null for `GOOGLE_CLOUD_PROJECT`. Vertex only.
        location: Region; null for `GOOGLE_CLOUD_LOCATION`, else `global`. Vertex only.
        api_version: Version of the API; null for `v1beta`, with Vertex `v1beta1`.
        base_url: Another address, such as a proxy's; null for `GOOGLE_GEMINI_BASE_URL` or
            `GOOGLE_VERTEX_BASE_URL`, else Google's.
        inline_below_mb: Clips below this many MB go within the question, larger ones are uploaded.
        timeout_s: Seconds that an answer may take.
        upload_timeout_s: Seconds that an upload, and then its processing, may take.
        poll_s: Seconds between two looks at an upload that is processed.
    """

    uploads = True
    simulated = False
    reads_video = True
    reads_keypoints = False
    not_in_key = (
        "project", "location", "base_url", "inline_below_mb", "timeout_s", "upload_timeout_s",
        "poll_s",
    )  # fmt: skip

    def __init__(
        self,
        *,
        model: str = "gemini-2.5-pro",
        fps: Annotated[float, Gt(0), Le(24)] = 1.0,
        start_s: Annotated[float, Ge(0)] | None = None,
        end_s: Annotated[float, Gt(0)] | None = None,
        media_resolution: Resolution = "default",
        temperature: Annotated[float, Ge(0), Le(2)] | None = None,
        top_p: Annotated[float, Ge(0), Le(1)] | None = None,
        seed: int | None = None,
        max_output_tokens: Annotated[int, Gt(0), Le(65536)] = 16384,
        thinking: Thinking | int = "auto",
        include_thoughts: bool = False,
        safety: Safety = "none",
        service: Literal["developer", "vertex"] = "developer",
        project: str | None = None,
        location: str | None = None,
        api_version: str | None = None,
        base_url: str | None = None,
        inline_below_mb: Annotated[float, Ge(0), Le(INLINE_MB)] = 8.0,
        timeout_s: Annotated[float, Gt(0)] = 600.0,
        upload_timeout_s: Annotated[float, Gt(0)] = 600.0,
        poll_s: Annotated[float, Gt(0)] = 2.0,
    ) -> None:
        if start_s is not None and end_s is not None and end_s <= start_s:
            raise ComponentError(f"vlm_labeler gemini: end_s {end_s:g} is not after {start_s:g}")
        if isinstance(thinking, int) and thinking >= max_output_tokens:
            raise ComponentError(
                f"vlm_labeler gemini: thinking: {thinking} leaves nothing of "
                f"max_output_tokens: {max_output_tokens} for the answer; raise the latter"
            )
        if base_url is not None and ("@" in base_url or "?" in base_url):
            raise ComponentError(
                "vlm_labeler gemini: base_url has a user or a query in it; keys come from the "
                "environment only, so give the bare address"
            )
        self.model = model.removeprefix("models/")
        thoughts: dict[str, Any] = thinking_config(self.model, thinking)
        if include_thoughts:
            thoughts["include_thoughts"] = True
        self._request = Request(
            self.model, fps, start_s, end_s, media_resolution, temperature, top_p, seed,
            max_output_tokens, thoughts, safety,
        )  # fmt: skip
        self._service = Service(
            self.model, service, project, location, base_url, api_version, timeout_s
        )
        self._files = Uploads(self._service, upload_timeout_s, poll_s)
        self._batches = Batches(self._service, self._files, self._request)
        self._inline_bytes = (INLINE_MB if service == "vertex" else inline_below_mb) * MB

    def ask(self, question: Question) -> Reply:
        """Put one question, once, without retrying.

        Raises:
            ComponentError: The environment holds no key.
            CallError: There is no answer; it says whether to try again. It shows no key.
        """
        self._check(question.clip)
        part = self._shown(question.clip)
        config = self._request.config(question.prompt, question.sample)
        contents = self._request.contents(question, part)
        try:
            answer = self._service.call(
                "ask",
                lambda client: client.models.generate_content(
                    model=self.model, contents=contents, config=config
                ),
            )
        except CallError as error:
            if part.file_data is None or not file_is_gone(error):
                raise
            self._files.forget(part.file_data.file_uri)
            error.retry = True
            raise
        plain = answer.model_dump(mode="json", by_alias=True, exclude_none=True)
        return reply(plain, self.model)

    def tokens(self, question: Question) -> Usage:
        """Return the most tokens that the question can cost, without any call."""
        return self._request.tokens(question)

    def release(self, clip: Clip) -> None:
        """Delete what was uploaded of a clip. A failure is logged; Google deletes it in 48 h."""
        self._files.release(clip.key)

    def close(self) -> None:
        """Delete what is still uploaded, but for batches that run, and close the connections."""
        self._files.release_all()
        self._service.close()

    def submit(self, name: str, questions: Sequence[Question]) -> str:
        """Hand questions in, to be answered within a day at half the price.

        Returns:
            The job, for `collect`.

        Raises:
            ComponentError: The environment holds no key.
            CallError: Something could not be uploaded, or the job was not taken.
        """
        return self._batches.submit(name, questions, self._check)

    def find(self, name: str) -> str | None:
        """Return the job of a name, if the service knows it.

        Raises:
            CallError: The service could not be asked.
        """
        return self._batches.find(name)

    def collect(self, job: str) -> list[Reply | CallError] | None:
        """Return the answers of a job in the order of the questions; None while it is not done.

        Raises:
            CallError: The job ended without any answer, or the service could not be asked.
        """
        return self._batches.collect(job)

    def _check(self, clip: Clip) -> None:
        """Refuse what cannot be asked, before anything is read or sent."""
        self._service.ready()
        if clip.path is None:
            raise CallError("gemini looks at videos, and this item has none", status="refused")
        self._request.check(clip)
        size = clip.path.stat().st_size
        if self._service.kind == "vertex" and size >= self._inline_bytes:
            raise CallError(
                f"the clip has {size / MB:.1f} MB: Vertex AI takes at most {INLINE_MB} MB within a "
                "question and has no uploads; use a smaller copy, or give service: developer",
                status="refused",
            )
        if size > MOST_BYTES:
            raise CallError(
                f"the clip has {size / 1e9:.2f} GB, and Gemini takes {MOST_BYTES / 1e9:.2f} GB; "
                "use a smaller copy",
                status="refused",
            )

    def _shown(self, clip: Clip) -> types.Part:
        """Return the part that shows a clip: its bytes where it is small, else its upload."""
        from google.genai import types

        assert clip.path is not None
        if clip.path.stat().st_size < self._inline_bytes:
            blob = types.Blob(data=clip.path.read_bytes(), mime_type=mime_type(clip.path))
            return self._request.video(inline_data=blob)
        return self._request.video(file_data=self._files.source(clip))

"""Many questions at half the price, answered within a day: the Batch API.

Decided here: the questions always go as a file, never within the call, so that one way serves ten
and ten thousand; each line's key says which question it is, of how many, and which upload it shows,
so that a process that knows nothing but the job can put the answers in order and delete the
uploads. Each batch has uploads of its own. Developer API only: Vertex AI wants the user's buckets.
"""

from __future__ import annotations

import json
import logging
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emoframe.labelling import CallError, Clip, Question, Reply
from emoframe_genai.faults import scrubbed
from emoframe_genai.replies import reply
from emoframe_genai.request import Request
from emoframe_genai.service import Service
from emoframe_genai.uploads import Uploads, hashed

if TYPE_CHECKING:
    from google.genai import types

Outcome = Reply | CallError

log = logging.getLogger(__name__)

KEY = re.compile(r"(\d+) (\d+) (files/\S+)")
"""Of a question: its place, the number of questions, the upload that it shows."""
AT_ONCE = 4
"""Uploads at a time."""
ANSWERED = {"JOB_STATE_SUCCEEDED", "JOB_STATE_PARTIALLY_SUCCEEDED"}
OVER: Mapping[str, str] = {
    "JOB_STATE_FAILED": "failed",
    "JOB_STATE_CANCELLED": "was cancelled",
    "JOB_STATE_EXPIRED": "was not done in time and expired",
}
AGAIN = {4, 8, 13, 14, 408, 429, 500, 502, 503, 504}
"""Codes of a single question that may go well the next time; those below 20 are of gRPC."""


class Batches:
    """Questions that are answered later.

    Args:
        service: The connection.
        uploads: The clips that are at the service.
        request: How a question is put.
    """

    def __init__(self, service: Service, uploads: Uploads, request: Request) -> None:
        self._service, self._uploads, self._request = service, uploads, request

    def submit(
        self, name: str, questions: Sequence[Question], check: Callable[[Clip], None]
    ) -> str:
        """Upload what the questions show and hand them in.

        A question that Gemini cannot take is left out and logged, so that it holds no other up.

        Args:
            name: What the job is called there, so that it can be found.
            questions: The questions; the files of their clips must be there.
            check: Raises what speaks against asking about a clip.

        Returns:
            The job.

        Raises:
            CallError: Something could not be uploaded, or the job was not taken.
        """
        if self._service.kind == "vertex":
            raise CallError(
                "Vertex AI answers batches through a bucket of your own, which this labeler does "
                "not use; ask without --batch, or give service: developer"
            )
        with ThreadPoolExecutor(AT_ONCE) as pool:
            sources = [*pool.map(lambda one: self._source(one.clip, name, check), questions)]
        shown = [source for source in sources if not isinstance(source, CallError)]
        if not shown and sources:
            raise next(source for source in sources if isinstance(source, CallError))
        file = self._put(name, questions, sources)
        job = self._service.call(
            "batch",
            lambda client: client.batches.create(
                model=self._request.model, src=file, config={"display_name": name}
            ),
        )
        return job.name

    def find(self, name: str) -> str | None:
        """Return the newest job of a name; None if the service knows none.

        Raises:
            CallError: The service could not be asked.
        """

        def work(client: Any) -> str | None:
            jobs = client.batches.list(config={"page_size": 100})
            return next((job.name for job in jobs if job.display_name == name), None)

        return self._service.call("batch", work)

    def collect(self, job: str) -> list[Outcome] | None:
        """Return the answers of a job in the order of the questions, and delete its uploads.

        Returns:
            For each question its answer, or why there is none; None while the job is not done.

        Raises:
            CallError: The job ended without any answer, or the service could not be asked.
        """
        known = self._service.call("batch", lambda client: client.batches.get(name=job))
        state = known.state.name if known.state else ""
        if state not in ANSWERED and state not in OVER:
            return None
        answers = known.dest.file_name if known.dest else None
        if not answers:
            how = OVER.get(state, "ended without a file of answers")
            raise CallError(f"the batch {job} {how}; hand its questions in again")
        content = self._service.call("batch", lambda client: client.files.download(file=answers))
        found, uploads = self._read(content.splitlines(), OVER.get(state, "is done"))
        for upload in {*uploads, f"files/{_file_of(known.display_name or '')}"}:
            self._uploads.delete(upload)
        return found

    def _source(
        self, clip: Clip, name: str, check: Callable[[Clip], None]
    ) -> types.FileData | CallError:
        """Return the upload of a clip, or why there will be none.

        Raises:
            CallError: It may succeed a little later.
        """
        try:
            check(clip)
            return self._uploads.source(clip, name)
        except CallError as error:
            if error.retry:
                raise
            log.warning("clip %s is left out of the batch: %s", clip.key[:12], error)
            return error

    def _put(
        self,
        name: str,
        questions: Sequence[Question],
        sources: Sequence[types.FileData | CallError],
    ) -> str:
        """Upload the file of questions, in place of one that was left by a process that died."""
        count = len(questions)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "questions.jsonl"
            with path.open("w", encoding="utf-8") as file:
                for index, (question, source) in enumerate(zip(questions, sources, strict=True)):
                    if isinstance(source, CallError):
                        continue
                    upload = (source.file_uri or "").rpartition("/")[2]
                    video = self._request.video(file_data=source)
                    line = {
                        "key": f"{index} {count} files/{upload}",
                        "request": self._request.wire(question, video),
                    }
                    file.write(json.dumps(line) + "\n")
            there = self._uploads.put(path, "jsonl", _file_of(name))
            if there is None:
                self._uploads.delete(f"files/{_file_of(name)}")
                there = self._uploads.put(path, "jsonl", _file_of(name))
        if there is None or not there.name:
            raise CallError("Gemini holds an older file of the same questions", retry=True)
        return there.name

    def _read(self, lines: Sequence[bytes], lacking: str) -> tuple[list[Outcome], set[str]]:
        """Return the outcomes in order, and the uploads that were shown.

        A line that cannot be read costs its own question alone; one whose key was lost counts by
        its place, since answers come in the order of the questions.
        """
        found: dict[int, Outcome] = {}
        uploads, count = set[str](), 0
        for place, line in enumerate(line for line in lines if line.strip()):
            try:
                answer = json.loads(line)
                outcome = self._outcome(answer)
                key = KEY.fullmatch(str(answer.get("key")))
            except (ValueError, AttributeError, TypeError) as error:
                log.warning("line %d of the answers cannot be read: %s", place + 1, error)
                continue
            found[int(key[1]) if key else place] = outcome
            uploads |= {key[3]} if key else set()
            count = max(count, int(key[2]) if key else place + 1)
        missing = CallError(f"Gemini was not asked this, or did not answer: the batch {lacking}")
        return [found.get(index, missing) for index in range(count)], uploads

    def _outcome(self, answer: Mapping[str, Any]) -> Outcome:
        """Read one line of the answers."""
        if answer.get("response"):
            return reply(answer["response"], self._request.model)
        error = answer.get("error") or {}
        words = scrubbed(str(error.get("message") or "it does not say why"))
        code = int(error.get("code") or 0)
        return CallError(f"Gemini refused a question of the batch: {words}", retry=code in AGAIN)


def _file_of(batch: str) -> str:
    """Name the file of a batch's questions."""
    return hashed("questions", batch)

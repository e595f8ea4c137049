"""Replays answers that were given before, from a label store or from a file of lines.

So a study is repeated, or a prompt's parser improved, without a call and without a key, by anybody
who has the answers and not the videos' service.

Decided here:
    * What is replayed is the answer as it was sent; it is judged anew by the present code.
    * It costs nothing, whatever it cost once; the tokens of then are left out.
    * What was never answered is refused. The hash of the answers is in the labeler's key, so that
      a file that has grown since is asked again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated

from annotated_types import Ge
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from emoframe.core.errors import DataError
from emoframe.labelling import CallError, Finish, Question, Reply, Usage
from emoframe.weak_labels.exchange.intake import is_store, read_contents
from emoframe.weak_labels.exchange.names import is_called, names_of, prompt_name
from emoframe.weak_labels.plain import mistakes
from emoframe.weak_labels.rows import FINAL, Answer, Contents


class Line(BaseModel):
    """One line of a file of answers; `key` and `text` are all that it needs.

    Attributes:
        key: Sha256 in hex of the video file, as `sha256sum` prints it; also called `clip`.
        text: The answer as it was sent.
        sample: Counts answers to the same question, from 0.
        finish: How the model ended.
        reason: The model's word for it.
        model: Which model answered.
        thoughts: Reasoning that was given along.
        simulated: Whether no model ever saw the clip.
    """

    model_config = ConfigDict(extra="forbid")

    key: str = Field(validation_alias=AliasChoices("key", "clip"))
    text: str
    sample: Annotated[int, Ge(0)] = 0
    finish: Finish = "stop"
    reason: str = ""
    model: str = ""
    thoughts: str = ""
    simulated: bool = False

    def reply(self) -> Reply:
        """Return it as it came back then."""
        return Reply(self.text, self.finish, self.reason, model=self.model, thoughts=self.thoughts)


@dataclass(frozen=True)
class _Record:
    """What a file holds: replies, or sentences why there are none, by clip and sample."""

    replies: Mapping[tuple[str, int], Reply | str]
    simulated: bool


class Recorded:
    """Answers as somebody else did, by the clip's key and the number of the sample.

    Args:
        path: A label store; a .jsonl file that `emoframe labels export` wrote; or a file with one
            JSON object a line, at least `{"key": sha256 of the video, "text": the answer}`, and
            where known `sample`, `finish`, `reason`, `model`, `thoughts` and `simulated`.
        prompt: Which prompt's answers, where there are several: its name, `name@hash`, its hash,
            or the beginning of that.
        labeler: Which labeler's answers, where there are several: its type, `type@key`, its key,
            or the beginning of that.
    """

    uploads, reads_keypoints, reads_video, model = False, False, False, ""
    not_in_key = ("path",)

    def __init__(self, *, path: Path, prompt: str = "", labeler: str = "") -> None:
        self.path, self.prompt, self.labeler = Path(path), prompt, labeler

    @property
    def simulated(self) -> bool:
        """Whether the answers were simulated when they were recorded.

        Raises:
            DataError: The file cannot be read, or does not say whose answers are meant.
        """
        return self._record.simulated

    def ask(self, question: Question) -> Reply:
        """Return the answer of then.

        Raises:
            CallError: There is none.
            DataError: As for `simulated`.
        """
        key, sample = question.clip.key, question.sample
        found = self._record.replies.get((key, sample), "there is no answer")
        if isinstance(found, str):
            raise CallError(
                f"{self.path.name}: {found} to sample {sample} about this clip ({key[:12]})",
                status="refused",
            )
        return found

    def tokens(self, question: Question) -> Usage:
        """Return nothing: it costs none."""
        return Usage()

    def fingerprint(self) -> dict[str, str]:
        """Return the hash of all answers.

        Raises:
            DataError: As for `simulated`.
        """
        content = [
            [*key, found if isinstance(found, str) else [found.text, found.finish, found.reason]]
            for key, found in sorted(self._record.replies.items())
        ]
        return {"answers": hashlib.sha256(json.dumps(content).encode()).hexdigest()}

    @cached_property
    def _record(self) -> _Record:
        if not is_store(self.path):
            with self.path.open("rb") as file:
                if b'"record"' not in file.readline():
                    return _from_lines(self.path)
        return _chosen(self.path, read_contents(self.path), self.prompt, self.labeler)


def _from_lines(path: Path) -> _Record:
    """Read a file of lines."""
    replies: dict[tuple[str, int], Reply | str] = {}
    simulated = False
    for where, line in _lines(path):
        found = replies.setdefault((line.key, line.sample), line.reply())
        if found != line.reply():
            raise DataError(
                f"{where}: a second answer to sample {line.sample} about the clip "
                f"{line.key[:12]}, and another one than before; number them by `sample`"
            )
        simulated |= line.simulated
    return _Record(replies, simulated)


def _lines(path: Path) -> Iterator[tuple[str, Line]]:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for number, text in enumerate(file, 1):
            if not text.strip():
                continue
            try:
                yield f"{path}:{number}", Line.model_validate_json(text)
            except ValidationError as error:
                raise DataError(
                    f"{path}:{number}: is no recorded answer ({mistakes(error)}); "
                    'a line is a JSON object such as {"key": sha256 of the video, "text": answer}'
                ) from error


def _chosen(path: Path, contents: Contents, prompt: str, labeler: str) -> _Record:
    """Take the answers of one labeler to one prompt."""
    prompts = {one.hash: one for one in contents.prompts}
    labelers = {one.key: one for one in contents.labelers}
    pairs = {(one.answer.key.prompt, one.answer.key.labeler) for one in contents.answers}
    meant = [
        (asked, told)
        for asked, told in sorted(pairs)
        if is_called(prompt, {one.name for one in prompts.values() if one.hash == asked}, asked)
        and is_called(labeler, names_of(labelers[told]) if told in labelers else (), told)
    ]
    if len(meant) != 1:
        known = ", ".join(
            f"{prompt_name(prompts[asked]) if asked in prompts else asked[:8]} by "
            f"{labelers[told].name if told in labelers else told[:8]}"
            for asked, told in meant or sorted(pairs)
        )
        raise DataError(
            f"{path}: {'several' if meant else 'none'} of its answers are of the prompt "
            f"{prompt or 'that is not named'!r} and the labeler {labeler or 'that is not named'!r} "
            f"({known or 'it holds none'}); name one of each by prompt and labeler"
        )
    ((its_prompt, its_labeler),) = meant
    if its_labeler not in labelers:  # it may have been a simulated one
        raise DataError(
            f"{path}: has no line that says who gave its answers ({its_labeler[:12]}); export them "
            "from their store again"
        )
    answers = [
        one.answer
        for one in contents.answers
        if (one.answer.key.prompt, one.answer.key.labeler) == (its_prompt, its_labeler)
    ]
    answers.sort(key=lambda one: (one.status in FINAL, one.answered_at))  # the last one counts
    replies = {(one.key.clip, one.key.sample): _replayed(one) for one in answers}
    marked = any(one.label is not None and one.label.simulated for one in answers)
    return _Record(replies, marked or labelers[its_labeler].simulated)


def _replayed(answer: Answer) -> Reply | str:
    if answer.reply is None:
        return f"the answer was {answer.status} ({answer.reason}), so there is none"
    if answer.label is not None and not answer.reply.text:
        return (
            "there is a label made elsewhere, and no text of an answer (such labels are read as "
            "they are, by the name of their labeler)"
        )
    return replace(answer.reply, usage=Usage())

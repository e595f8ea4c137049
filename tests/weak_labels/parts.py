"""Small real labelers, as a plugin file: `--plugin tests/weak_labels/parts.py`."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from annotated_types import Ge

import emoframe
from emoframe.labelling import CallError, Question, Reply, Usage

REAL, MOST = Usage(1000, 100), Usage(10_000, 1000)


def answer(first: float, classes: Sequence[str]) -> str:
    """Write an answer that gives the first of two classes so much confidence."""
    stated = [
        {"class": name, "confidence": value}
        for name, value in zip(classes, (first, 1 - first), strict=True)
    ]
    empty = {"units": [], "evidence": [], "corrections": [], "note": ""}
    return json.dumps({**empty, "confidences": stated, "abstain": False})


@emoframe.component("vlm_labeler", "remote")
class Remote:
    """Asks a server on this machine.

    Args:
        url: Its address; it decides nothing.
        seconds: How long an answer takes; it decides nothing.
        mood: Decides nothing either, but is part of the key.
        uploads: Whether it counts as one that sends clips away.
        looks: Whether it needs the video.
        model: What the price table calls it.
    """

    not_in_key = ("url", "seconds")
    simulated, reads_keypoints = False, False

    def __init__(
        self,
        *,
        url: str = "",
        seconds: Annotated[float, Ge(0)] = 0.0,
        mood: str = "calm",
        uploads: bool = True,
        looks: bool = True,
        model: str = "gpt-4o",
    ) -> None:
        self.url, self.seconds, self.mood = url, seconds, mood
        self.uploads, self.reads_video, self.model = uploads, looks, model

    def ask(self, question: Question) -> Reply:
        """Post the question."""
        about = {"clip": question.clip.key, "sample": question.sample, "seconds": self.seconds}
        about["classes"] = question.prompt.classes
        request = urllib.request.Request(self.url, json.dumps(about).encode())
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return Reply(response.read().decode(), usage=REAL, model=self.model)
        except urllib.error.HTTPError as error:
            raise CallError(f"the server said {error.code}", retry=True) from error

    def tokens(self, question: Question) -> Usage:
        """Say the most."""
        return MOST


@emoframe.component("vlm_labeler", "patient")
class Patient(Remote):
    """Works through batches in a folder, once there is a file `done` in it.

    Args:
        folder: The service.
    """

    not_in_key = ("folder",)

    def __init__(self, *, folder: Path) -> None:
        super().__init__(looks=False)
        self.folder = folder

    def submit(self, name: str, questions: Sequence[Question]) -> str:
        """Put a batch into the folder."""
        classes = [one.prompt.classes for one in questions]
        (self.folder / name).write_text(json.dumps(classes))
        return name

    def find(self, name: str) -> str | None:
        """Look whether it is there."""
        return name if (self.folder / name).exists() else None

    def collect(self, job: str) -> list[Reply | CallError] | None:
        """Answer all of it."""
        if not (self.folder / "done").exists():
            return None
        classes = json.loads((self.folder / job).read_text())
        return [Reply(answer(0.9, one), usage=REAL, model=self.model) for one in classes]


@emoframe.component("vlm_labeler", "teacher")
class Teacher:
    """Repeats the truth.

    Args:
        gold: The truth.
    """

    uploads, simulated, reads_keypoints, reads_video, model = False, True, False, False, ""

    def __init__(self, *, gold: dict[str, int]) -> None:
        self.gold = gold

    def ask(self, question: Question) -> Reply:
        """Say what is true, where that is known."""
        if question.clip.key not in self.gold:
            raise CallError("the truth about this clip is sealed")
        true = self.gold[question.clip.key]
        return Reply(answer(0.9 - 0.8 * true, question.prompt.classes))

    def tokens(self, question: Question) -> Usage:
        """Say that it is free."""
        return Usage()

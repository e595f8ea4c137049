"""The contract of a labeler finds what breaks it: each of these is wrong in one way."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Any

import pytest

from emoframe.core.errors import ComponentError
from emoframe.labelling import CallError, Question, Reply, Usage
from emoframe.testing import check_part

ANSWER = (
    '{"units": [], "evidence": [], "corrections": [], "confidences": [], "abstain": true, '
    '"note": ""}'
)


class Sound:
    """Keeps every promise."""

    uploads, simulated, reads_keypoints, reads_video, model = False, False, False, False, ""

    def ask(self, question: Question) -> Reply:
        return Reply(ANSWER)

    def tokens(self, question: Question) -> Usage:
        return Usage(10, 10)


class Keyed(Sound):
    """Uploads, with a key."""

    uploads, model, reads_video = True, "m", True

    def ask(self, question: Question) -> Reply:
        if "SOME_API_KEY" not in os.environ:
            raise CallError("there is no key; set SOME_API_KEY")
        return Reply(ANSWER)


class WrongType(Sound):
    model = None


class KnowsTruth(Sound):
    def __init__(self, *, gold: Mapping[str, int] | None = None) -> None:
        self.gold = gold


class HalfBatch(Sound):
    def submit(self, name: str, questions: Any) -> str:
        return name


class Unparsable(Sound):
    def ask(self, question: Question) -> Reply:
        return Reply("I think so.")


class Fickle(Sound):
    def __init__(self) -> None:
        self.asked = 0

    def ask(self, question: Question) -> Reply:
        self.asked += 1
        return Reply(ANSWER, response_id=str(self.asked))


class Dearer(Sound):
    def ask(self, question: Question) -> Reply:
        return Reply(ANSWER, usage=Usage(5, 8, 8))


class CallsToCount(Sound):
    def tokens(self, question: Question) -> Usage:
        with socket.socket() as one:
            one.connect_ex(("127.0.0.1", 9))
        return Usage()


class CallsWithoutKey(Keyed):
    def ask(self, question: Question) -> Reply:
        try:
            socket.create_connection(("127.0.0.1", 9))
        except OSError as error:
            raise CallError("no connection", retry=True) from error
        return Reply(ANSWER)


class LooksUpWithoutKey(CallsWithoutKey):
    def ask(self, question: Question) -> Reply:
        try:
            socket.create_connection(("service.invalid", 443))
        except OSError as error:
            raise CallError("no connection", retry=True) from error
        return Reply(ANSWER)


class NeedsNoKey(Keyed):
    def ask(self, question: Question) -> Reply:
        return Reply(ANSWER)


class Weightless(Sound):
    def ask(self, question: Question) -> Reply:
        raise ComponentError("the weights are not here")


@pytest.mark.parametrize("part", [Sound(), Keyed()], ids=["local", "uploading"])
def test_a_sound_labeler_passes_even_where_the_environment_holds_a_key(
    part: Sound, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "x")
    check_part("vlm_labeler", part)
    assert os.environ["SOME_API_KEY"] == "x"


@pytest.mark.parametrize(
    ("part", "says"),
    [
        (WrongType(), "model is None, no str"),
        (KnowsTruth(), "told the truth and is not simulated"),
        (HalfBatch(), "has submit of submit, find, collect"),
        (Unparsable(), "its answer is unparsable"),
        (Fickle(), "another answer each time"),
        (Dearer(), "gave 16 tokens, bound 10"),
        (CallsToCount(), "tokens.. reached out to"),
        (CallsWithoutKey(), "reached out to .*without a key"),
        (LooksUpWithoutKey(), "reached out to service.invalid without a key"),
        (NeedsNoKey(), "answered .* without a key"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_broken_labeler_is_found(part: Any, says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        check_part("vlm_labeler", part)


def test_a_labeler_without_its_weights_says_so() -> None:
    with pytest.raises(ComponentError, match="weights"):
        check_part("vlm_labeler", Weightless())

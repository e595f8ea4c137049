"""What a labeler promises, tried on a tiny clip without any network, see `emoframe.testing`."""

from __future__ import annotations

import errno
import hashlib
import inspect
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args
from unittest.mock import patch

import numpy as np

from emoframe.core.errors import EmoframeError
from emoframe.interfaces import VLMLabeler
from emoframe.labelling import CallError, Clip, Finish, Question, Reply, Show, Usage
from emoframe.perception.mp4 import encode
from emoframe.records import Keypoints
from emoframe.skeleton import layout
from emoframe.weak_labels.answers.parse import parse
from emoframe.weak_labels.prompt import build_prompt
from emoframe.weak_labels.settings import WeakLabels
from emoframe.weak_labels.shown.clips import opened

CLIP = hashlib.sha256(b"the clip of the contract").hexdigest()
"""Key of the tiny clip, whose true class is the first."""
GOLD = {CLIP: 0}
T, SIZE = 25, (64, 48)
ATTRIBUTES = {
    "uploads": bool, "simulated": bool, "reads_keypoints": bool, "reads_video": bool, "model": str,
}  # fmt: skip
BATCH = ("submit", "find", "collect")
SECRETS = ("KEY", "TOKEN", "SECRET", "CREDENTIALS", "PASSWORD")


def check_vlm_labeler(label: str, part: VLMLabeler) -> None:
    """Check what can be told without asking anybody outside.

    Attributes are of their types; truth is only for who is simulated; methods for batches are all
    there or none; the bound on tokens comes without a call and holds; an answer can be judged; and
    who uploads says in a sentence that it has no key, before it reaches out.
    """
    for name, kind in ATTRIBUTES.items():
        value = getattr(part, name)
        assert isinstance(value, kind), f"{label}: {name} is {value!r}, no {kind.__name__}"
    gold = "gold" in inspect.signature(type(part)).parameters
    assert part.simulated or not gold, f"{label}: is told the truth and is not simulated"
    batch = [name for name in BATCH if callable(getattr(part, name, None))]
    assert len(batch) in (0, 3), f"{label}: has {', '.join(batch)} of {', '.join(BATCH)}"
    prompt = build_prompt(WeakLabels(task="People after a game."), ("win", "loss"))
    with _clip(part) as clip:
        question = Question(clip, prompt)
        bound = _check_tokens(label, part, question)
        if part.uploads:
            _check_keyless(label, part, question)
        else:
            _check_answer(label, part, question, bound)
            if callable(release := getattr(part, "release", None)):
                release(clip)
    if callable(close := getattr(part, "close", None)):
        close()


def _check_tokens(label: str, part: VLMLabeler, question: Question) -> Usage:
    with _offline() as reached:
        bound = part.tokens(question)
    assert not reached, f"{label}: tokens() reached out to {reached[0]}; it must make no call"
    assert isinstance(bound, Usage), f"{label}: tokens() gave {bound!r}, no Usage"
    counts = (bound.input, bound.output, bound.thoughts)
    assert all(isinstance(n, int) and n >= 0 for n in counts), f"{label}: tokens() gave {bound}"
    return bound


def _check_keyless(label: str, part: VLMLabeler, question: Question) -> None:
    bare = {
        name: value
        for name, value in os.environ.items()
        if not any(word in name.upper() for word in SECRETS)
    }
    with _offline() as reached, patch.dict(os.environ, bare, clear=True):
        try:
            said = f"answered {part.ask(question).text!r}"
        except EmoframeError as error:
            said = "" if str(error) else "failed without a sentence"
    assert not said, f"{label}: {said} without a key"
    assert not reached, f"{label}: reached out to {reached[0]} without a key"


def _check_answer(label: str, part: VLMLabeler, question: Question, bound: Usage) -> None:
    try:
        reply = part.ask(question)
    except CallError:
        return  # so may a labeler without weights or server; `check_part` gives one that works
    assert isinstance(reply, Reply), f"{label}: ask() gave {type(reply).__name__}, no Reply"
    assert reply.finish in get_args(Finish), f"{label}: finish is {reply.finish!r}"
    used, prompt = reply.usage, question.prompt
    assert used.input <= bound.input, f"{label}: took {used.input} tokens, bound {bound.input}"
    spent, most = used.output + used.thoughts, bound.output + bound.thoughts
    assert spent <= most, f"{label}: gave {spent} tokens, bound {most}"
    status, reason, _ = parse(reply, prompt, question.clip.duration_s, simulated=part.simulated)
    if not part.reads_video:  # no model, whose words may be anything: the part wrote them itself
        assert status == "ok", f"{label}: its answer is {status}: {reason}"
        assert part.ask(question) == reply, f"{label}: gives another answer each time"


@contextmanager
def _clip(part: VLMLabeler) -> Iterator[Clip]:
    """Make a second of noise, and somebody in it who moves."""
    generator = np.random.default_rng(0)
    joints, times = layout("openpose_137").num_joints, np.arange(T) / 25
    xy = generator.uniform(4, 44, (1, joints, 2)) + generator.normal(0, 0.2, (T, joints, 2))
    valid = np.ones((T, joints), np.bool_)
    seen = valid.astype(np.float32)
    keypoints = Keypoints(xy.astype(np.float32), seen, valid, times, "openpose_137")
    with tempfile.TemporaryDirectory(prefix="emoframe-") as folder:
        video = Path(folder) / "clip.mp4"
        rgb = generator.integers(0, 255, (T, SIZE[1], SIZE[0], 3), dtype=np.uint8)
        encode(zip(rgb, times.tolist(), strict=True), video)
        with opened(video, Show(), keypoints if part.reads_keypoints else None) as clip:
            yield replace(clip, key=CLIP)


@contextmanager
def _offline() -> Iterator[list[str]]:
    """Refuse every connection, and list where to."""
    reached: list[str] = []

    def refuse(_: socket.socket, address: Any) -> int:
        reached.append(str(address))
        raise ConnectionRefusedError(errno.ECONNREFUSED, "the contract allows no connection")

    def refuse_quietly(_: socket.socket, address: Any) -> int:
        reached.append(str(address))
        return errno.ECONNREFUSED

    def unknown(host: Any, *_: Any, **__: Any) -> list[Any]:
        reached.append(str(host))
        raise socket.gaierror(socket.EAI_NONAME, "the contract allows no look-up")

    with (
        patch.object(socket.socket, "connect", refuse),
        patch.object(socket.socket, "connect_ex", refuse_quietly),
        patch.object(socket, "getaddrinfo", unknown),
    ):
        yield reached


LABELLING_CHECKS: dict[str, Callable[[str, Any], None]] = {"vlm_labeler": check_vlm_labeler}
"""The check of each kind; it raises `AssertionError`."""

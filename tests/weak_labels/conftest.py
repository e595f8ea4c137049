"""What the tests of the label store share: a store with one of everything in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from emoframe.labelling import (
    Correction,
    Evidence,
    Prompt,
    Reply,
    Show,
    Unit,
    Usage,
    WeakLabel,
)
from emoframe.weak_labels.store import Answer, LabelerRecord, LabelStore, QuestionKey, Review, now

CLIP, OTHER_CLIP = "c1" * 32, "c2" * 32
PROMPT = Prompt(
    "cot", "Look.", "Won or lost? ½", {"type": "object"}, ("win", "loss"),
    codes={"FACS": {"12": "Lip Corner Puller", "4": "Brow Lowerer"}}, rules={"R1": "Sweat itches."},
    show=Show(draw=("box",), frames="one"),
)  # fmt: skip
LABELER = LabelerRecord(
    "ab" * 32, {"type": "gemini", "fps": 5}, {"emoframe": "0.1"}, "gemini-2.5-pro", True, False
)
KEY = QuestionKey(CLIP, PROMPT.hash, LABELER.key, 0)
UNITS = (
    Unit("FACS", "12", "Lip Corner Puller", 1.234, 2.345, 0.8, "left", "C", ("joy",), "a smile"),
    Unit("OTHER", "x", "odd thing", 3.0, 3.0, 0.5),
)
LABEL = WeakLabel(
    ("win", "loss"), (0.7, 0.2), 0, "smiles, so a win", "smiles", UNITS,
    (Evidence("win", "a smile", (0,), ("R1",), 0.9),), (Correction("R1", 0, "weaker"),),
    ("mended",),
)  # fmt: skip
REPLY = Reply(
    '{"a": "é\\ud800\\u0000"}', "stop", "STOP", Usage(100, 20, 3, 4), "gemini-2.5-pro-001", "r-1",
    "thought", {"seed": 1, "more": [1, {"a": None}]},
)  # fmt: skip


def make_answer(key: QuestionKey = KEY, **changes: Any) -> Answer:
    """Return an answer that uses every field, changed where it is asked for."""
    told: dict[str, Any] = {
        "key": key, "status": "ok", "reason": "", "reply": REPLY, "label": LABEL, "usd": 0.0123,
        "calls": 2, "asked_at": now(), "answered_at": now(), "versions": {"emoframe": "0.1"},
    }  # fmt: skip
    return Answer(**{**told, **changes})


@pytest.fixture
def parts() -> Any:
    """Return the names of this file, since test modules cannot import it."""

    class Parts:
        clip, other_clip, prompt, labeler, key = CLIP, OTHER_CLIP, PROMPT, LABELER, KEY
        units, label, reply = UNITS, LABEL, REPLY
        answer = staticmethod(make_answer)

    return Parts


@pytest.fixture
def fill() -> Callable[[LabelStore], LabelStore]:
    """Return what puts one of everything into a store."""

    def filled(store: LabelStore) -> LabelStore:
        store.add_prompt(PROMPT)
        store.add_labeler(LABELER)
        store.add_items("imigue", {"0001": CLIP, "0002": OTHER_CLIP})
        store.settle(store.reserve(KEY, 0.05), make_answer())
        second = KEY._replace(clip=OTHER_CLIP)
        lost = make_answer(
            second, status="quota", reason="no more today", reply=None, label=None, usd=None
        )
        store.settle(store.reserve(second, 0.05), lost)
        store.fail(store.reserve(second, 0.05), "it took too long", paid=True)
        store.fail(store.reserve(second, 0.05), "refused before it was read", paid=False)
        store.reserve(second._replace(sample=1), 0.05)
        store.add_review(Review("imigue", "0001", "loss", UNITS, "ann", now(), "looks down"))
        store.add_consent("imigue", "upload: ask")
        store.add_opening("imigue", "runs/1", PROMPT.hash)
        store.add_batch("b-1", LABELER.key, [KEY, second])
        store.set_job("b-1", "batches/7")
        return store

    return filled

"""What a replay promises: the words of then, for nothing, and never a call."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from emoframe.core.errors import DataError
from emoframe.labelling import CallError, Clip, Prompt, Question, Reply, Usage, WeakLabel
from emoframe.records import Frames
from emoframe.weak_labels.asking.labelers import built
from emoframe.weak_labels.contract import check_vlm_labeler
from emoframe.weak_labels.exchange.transfer import export
from emoframe.weak_labels.store import Answer, LabelerRecord, LabelStore, QuestionKey, now
from emoframe.weak_labels.vlm_labelers.recorded import Recorded

A, B = "a1" * 32, "b2" * 32
COT = Prompt("cot", "Look.", "Won or lost?", {"type": "object"}, ("win", "loss"))
SIMPLE = replace(COT, name="simple", text="Well?")
GEMINI = LabelerRecord("ab" * 32, {"type": "gemini"}, {}, "gemini-2.5-pro", True, False)
FAKE = LabelerRecord("cd" * 32, {"type": "simulated"}, {}, "", False, True)
REPLY = Reply("{}", "stop", "STOP", Usage(100, 20), "gemini-2.5-pro-001", "r-1", "hm", {"x": 1})
LABEL = WeakLabel(("win", "loss"), (0.7, 0.2), 0, "so a win", "smiles")


def question(key: str, sample: int = 0) -> Question:
    def frames(count: int) -> Frames:
        raise AssertionError("nobody looks at the clip")

    return Question(Clip(key, None, 10.0, 25.0, (0, 0), frames), COT, sample)


def put(
    store: LabelStore,
    clip: str = A,
    sample: int = 0,
    prompt: Prompt = COT,
    labeler: LabelerRecord = GEMINI,
    **changes: Any,
) -> None:
    store.add_prompt(prompt)
    store.add_labeler(labeler)
    key = QuestionKey(clip, prompt.hash, labeler.key, sample)
    told: dict[str, Any] = {
        "status": "ok", "reason": "", "reply": REPLY, "label": LABEL, "usd": 0.1, "calls": 1,
        "asked_at": now(), "answered_at": now(), "versions": {}, **changes,
    }  # fmt: skip
    store.settle(store.reserve(key, 0.1), Answer(key, **told))


@pytest.fixture
def store(tmp_path: Path) -> LabelStore:
    return LabelStore(tmp_path / "labels.sqlite")


def lines(path: Path, *rows: Any) -> Path:
    path.write_text(
        "".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows)
    )
    return path


def test_an_answer_of_a_store_comes_back_word_for_word_and_free(store: LabelStore) -> None:
    put(store)
    put(store, sample=1, reply=replace(REPLY, text="other"))
    part = Recorded(path=store.path)
    assert part.ask(question(A)) == replace(REPLY, usage=Usage())
    assert part.ask(question(A, 1)).text == "other"
    assert part.tokens(question(A)) == Usage()
    assert (part.uploads, part.simulated, part.model) == (False, False, "")


def test_an_export_replays_like_the_store_that_it_came_from(
    store: LabelStore, tmp_path: Path
) -> None:
    put(store)
    put(store, B, status="blocked", label=None, reply=Reply("", "blocked", "SAFETY"))
    export(store.contents(), [], tmp_path / "answers.jsonl")
    one, other = Recorded(path=store.path), Recorded(path=tmp_path / "answers.jsonl")
    for key in (A, B):
        assert one.ask(question(key)) == other.ask(question(key))
    assert one.ask(question(B)).finish == "blocked"
    assert one.fingerprint() == other.fingerprint()


def test_the_last_answer_that_ended_a_question_counts(store: LabelStore) -> None:
    put(store, reply=replace(REPLY, text="first"), answered_at="2026-01-01T00:00:00.000000+00:00")
    put(store, reply=replace(REPLY, text="last"), answered_at="2026-01-02T00:00:00.000000+00:00")
    put(store, status="quota", reason="no more", reply=None, label=None)
    assert Recorded(path=store.path).ask(question(A)).text == "last"


def test_what_was_not_answered_is_refused_with_the_reason(store: LabelStore) -> None:
    put(store)
    put(store, B, status="error", reason="the server broke", reply=None, label=None)
    part = Recorded(path=store.path)
    for key, sample, says in (
        (B, 0, "was error .the server broke."),
        (A, 1, "no answer to sample 1"),
        ("c" * 64, 0, "there is no answer to sample 0 about this clip .cccc"),
    ):
        with pytest.raises(CallError, match=says) as caught:
            part.ask(question(key, sample))
        assert (caught.value.status, caught.value.retry) == ("refused", False)


def test_a_label_without_an_answer_is_not_replayed_as_an_empty_one(store: LabelStore) -> None:
    put(store, reply=Reply(""))
    with pytest.raises(CallError, match="made elsewhere, and no text"):
        Recorded(path=store.path).ask(question(A))


def test_where_several_answered_one_must_be_named(store: LabelStore) -> None:
    put(store, reply=replace(REPLY, text="gemini cot"))
    put(store, prompt=SIMPLE, reply=replace(REPLY, text="gemini simple"))
    put(store, labeler=FAKE, reply=replace(REPLY, text="fake cot"))
    with pytest.raises(DataError, match=r"several.*cot@\w{8} by gemini@ababab.*name one of each"):
        Recorded(path=store.path).ask(question(A))
    with pytest.raises(DataError, match="none of its answers are of the prompt 'cut'"):
        Recorded(path=store.path, prompt="cut").ask(question(A))
    for prompt, labeler, text in (
        ("cot", "gemini", "gemini cot"),
        (SIMPLE.hash[:9], "", "gemini simple"),
        ("cot", "cdcd", "fake cot"),
        (f"cot@{COT.hash[:8]}", GEMINI.name, "gemini cot"),
    ):
        part = Recorded(path=store.path, prompt=prompt, labeler=labeler)
        assert part.ask(question(A)).text == text


def test_what_was_simulated_stays_marked(store: LabelStore, tmp_path: Path) -> None:
    put(store, labeler=FAKE)
    assert Recorded(path=store.path).simulated
    file = lines(tmp_path / "a.jsonl", {"key": A, "text": "{}"})
    assert not Recorded(path=file).simulated
    lines(file, {"key": A, "text": "{}"}, {"key": B, "text": "{}", "simulated": True})
    assert Recorded(path=file).simulated
    _, record = built({"type": "recorded", "path": str(file)})
    assert record.simulated


def test_answers_of_nobody_are_not_replayed(store: LabelStore, tmp_path: Path) -> None:
    put(store, labeler=FAKE)
    export(replace(store.contents(), labelers=()), [], tmp_path / "answers.jsonl")
    with pytest.raises(DataError, match="no line that says who gave its answers"):
        Recorded(path=tmp_path / "answers.jsonl").ask(question(A))


def test_a_file_of_lines_needs_no_more_than_key_and_text(tmp_path: Path) -> None:
    file = lines(
        tmp_path / "answers.txt",
        {"key": A, "text": "one"},
        "\n",
        {"clip": A, "sample": 1, "text": "two", "finish": "length", "model": "m", "thoughts": "hm"},
    )
    part = Recorded(path=file)
    assert part.ask(question(A)) == Reply("one")
    assert part.ask(question(A, 1)) == Reply("two", "length", model="m", thoughts="hm")


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"key": A}, "answers.jsonl:2: is no recorded answer .text: Field required"),
        ({"key": A, "text": "x", "temperatur": 1}, "temperatur: Extra inputs"),
        ({"key": A, "text": "x", "finish": "odd"}, "finish: Input should be 'stop'"),
        ("{not json\n", "is no recorded answer .*such as .*key"),
        ({"key": B, "text": "another"}, "a second answer to sample 0"),
    ],
)
def test_a_line_that_is_none_is_a_sentence(tmp_path: Path, row: Any, says: str) -> None:
    file = lines(tmp_path / "answers.jsonl", {"key": B, "text": "x"}, row)
    with pytest.raises(DataError, match=says):
        Recorded(path=file).ask(question(A))


def test_a_file_that_is_not_there_is_a_sentence_when_it_is_needed(tmp_path: Path) -> None:
    part = Recorded(path=tmp_path / "gone.jsonl")
    with pytest.raises(DataError, match="cannot be read .No such file"):
        part.ask(question(A))


def test_more_answers_make_another_labeler_and_another_place_does_not(tmp_path: Path) -> None:
    file = lines(tmp_path / "one.jsonl", {"key": A, "text": "x"})
    _, before = built({"type": "recorded", "path": str(file)})
    _, moved = built({"type": "recorded", "path": str(file.rename(tmp_path / "two.jsonl"))})
    lines(file, {"key": A, "text": "x"}, {"key": B, "text": "y"})
    _, grown = built({"type": "recorded", "path": str(file)})
    assert before.key == moved.key != grown.key


def test_it_keeps_the_contract(tmp_path: Path) -> None:
    check_vlm_labeler(
        "recorded", Recorded(path=lines(tmp_path / "a.jsonl", {"key": A, "text": ""}))
    )

"""What a simulated teacher promises: to be right, and sure of it, as often as it is asked to."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy.stats import binom

from emoframe.core.errors import ComponentError
from emoframe.core.registry import create
from emoframe.labelling import CallError, Clip, Prompt, Question
from emoframe.records import Frames
from emoframe.weak_labels.answers.fields import STEPS, answer_schema
from emoframe.weak_labels.answers.parse import parse
from emoframe.weak_labels.asking.labelers import built
from emoframe.weak_labels.vlm_labelers.simulated import Simulated

CLASSES = ("win", "loss")
COUNT = 5000
GOLD = {hashlib.sha256(f"clip {n}".encode()).hexdigest(): n % 2 for n in range(COUNT)}
BINS = 15


@functools.cache
def prompt(classes: tuple[str, ...] = CLASSES) -> Prompt:
    schema = answer_schema(STEPS, classes, ("FACS",), ("R1",))
    return Prompt("p", "", "", schema, tuple(classes), {"FACS": {}}, {"R1": "x"})


def question(key: str, sample: int = 0, classes: Sequence[str] = CLASSES) -> Question:
    def frames(count: int) -> Frames:
        raise AssertionError("nobody looks at the clip")

    return Question(Clip(key, None, 10.0, 25.0, (0, 0), frames), prompt(tuple(classes)), sample)


class Told(NamedTuple):
    """What an answer says: the class, and how sure it is of it."""

    label: int | None
    sure: float


def labels(gold: dict[str, int] = GOLD, classes: Sequence[str] = CLASSES, **how: Any) -> list[Told]:
    """Ask about every clip."""
    teacher = create("vlm_labeler", {"type": "simulated", **how}, {"gold": gold})
    found = []
    for key in gold:
        told = json.loads(teacher.ask(question(key, classes=classes)).text)
        stated = [row["confidence"] for row in told["confidences"]]
        assert told["abstain"] or sum(stated) == pytest.approx(1)
        most = max(stated, default=0.0)
        assert stated.count(most) == (0 if told["abstain"] else 1)
        found.append(Told(None if told["abstain"] else stated.index(most), most))
    return found


def within(hits: int, trials: int, share: float) -> bool:
    """Whether a count lies in the interval that holds 99.9 % of all draws."""
    low, high = binom.interval(0.999, trials, share)
    return low <= hits <= high


def calibration(found: Sequence[Told], gold: Sequence[int]) -> tuple[float, float]:
    """Return ECE over equal bins, and how far sampling alone may move it (three deviations)."""
    sure = np.array([label.sure for label in found])
    right = np.array([label.label == true for label, true in zip(found, gold, strict=True)])
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    ece = noise = 0.0
    for n in np.unique(bins):
        mine = bins == n
        ece += mine.mean() * abs(sure[mine].mean() - right[mine].mean())
        share = (right[mine].sum() + 1) / (mine.sum() + 2)
        noise += (mine.mean() * 3) ** 2 * share * (1 - share) / mine.sum()
    bias = sum(  # of the absolute value in each bin, where the true gap is 0
        mine.mean() * np.sqrt(2 / np.pi * 0.25 / mine.sum())
        for mine in (bins == n for n in np.unique(bins))
    )
    return ece, float(np.sqrt(noise) + bias)


def test_with_an_accuracy_of_644_in_1000_the_confusion_is_what_was_asked_for() -> None:
    found, gold = labels(accuracy=0.644), list(GOLD.values())
    for true in range(2):
        mine = [label.label for label, one in zip(found, gold, strict=True) if one == true]
        assert within(mine.count(true), len(mine), 0.644)


def test_rows_of_a_confusion_are_met_class_by_class() -> None:
    rows = [[0.7, 0.2, 0.1], [0.3, 0.4, 0.3], [0.0, 0.05, 0.95]]
    gold = {key: n % 3 for n, key in enumerate(GOLD)}
    found = labels(gold, ("a", "b", "c"), confusion=rows)
    for true, row in enumerate(rows):
        mine = [label.label for label, one in zip(found, gold.values(), strict=True) if one == true]
        for weak, share in enumerate(row):
            assert within(mine.count(weak), len(mine), share), (true, weak)


@pytest.mark.parametrize("errors", ["uncertain", "confident"])
@pytest.mark.parametrize(
    ("temperature", "over"), [(1.0, 0), (0.4, 1), (0.1, 1), (2.5, -1)],
    ids=["calibrated", "overconfident", "very_overconfident", "underconfident"],
)  # fmt: skip
def test_the_calibration_error_is_what_was_asked_for(
    errors: str, temperature: float, over: int
) -> None:
    how: dict[str, Any] = {"accuracy": 0.644, "errors": errors, "temperature": temperature}
    found, gold = labels(**how), list(GOLD.values())
    ece, noise = calibration(found, gold)
    expected = Simulated(**how).expected_ece(2)
    assert abs(ece - expected) < noise
    assert within(sum(a.label == b for a, b in zip(found, gold, strict=True)), COUNT, 0.644)
    gap = np.mean([label.sure for label in found]) - 0.644
    if errors == "uncertain":
        assert expected == pytest.approx(abs(gap), abs=0.02)
        assert gap * over > 0.05 if over else expected < 1e-3


def test_confidence_tells_truth_from_error_only_where_errors_are_uncertain() -> None:
    for errors, tells in (("uncertain", True), ("confident", False)):
        found = labels(errors=errors)
        sure: dict[bool, list[float]] = {True: [], False: []}
        for label, true in zip(found, GOLD.values(), strict=True):
            sure[label.label == true].append(label.sure)
        gap = np.mean(sure[True]) - np.mean(sure[False])
        assert (gap > 0.03) if tells else (abs(gap) < 0.015)


@pytest.mark.parametrize(
    ("classes", "accuracy"), [(3, 0.5), (7, 0.5), (2, 0.5), (2, 1.0), (4, 0.1)]
)
def test_it_works_for_any_number_of_classes_and_any_accuracy(classes: int, accuracy: float) -> None:
    names = [f"class{k}" for k in range(classes)]
    gold = {key: n % classes for n, key in enumerate(GOLD) if n < 2000}
    found = labels(gold, names, accuracy=accuracy)
    right = sum(label.label == true for label, true in zip(found, gold.values(), strict=True))
    assert within(right, len(gold), accuracy)
    ece, noise = calibration(found, list(gold.values()))
    expected = Simulated(accuracy=accuracy).expected_ece(classes)
    assert abs(ece - expected) < noise
    assert expected < 0.02 or accuracy < 1 / classes


def test_it_abstains_as_often_as_it_is_asked_to_and_else_says_the_same() -> None:
    silent, loud = labels(abstain=0.2), labels()
    kept = [(a.label, b.label) for a, b in zip(silent, loud, strict=True) if a.label is not None]
    assert within(COUNT - len(kept), COUNT, 0.2)
    assert all(one == other for one, other in kept)


def test_an_answer_is_a_function_of_seed_clip_and_sample_alone() -> None:
    key = next(iter(GOLD))
    one, again, other = (Simulated(gold=g) for g in (GOLD, {key: GOLD[key]}, {key: 1 - GOLD[key]}))
    assert one.ask(question(key)) == again.ask(question(key))
    assert one.ask(question(key)) != other.ask(question(key))
    replies = {Simulated(gold=GOLD, seed=seed).ask(question(key)).text for seed in range(5)}
    samples = {one.ask(question(key, sample)).text for sample in range(5)}
    assert len(replies) == len(samples) == 5


def test_a_clip_without_a_known_class_is_refused_so_test_labels_stay_sealed() -> None:
    for gold in ({}, None, {"0" * 64: 7}):
        with pytest.raises(CallError, match="sealed") as caught:
            Simulated(gold=gold).ask(question("0" * 64))
        assert caught.value.status == "refused"
        assert not caught.value.retry


def test_its_answers_are_read_as_those_of_any_labeler() -> None:
    for how in ({}, {"abstain": 1.0}):
        asked, teacher = question(next(iter(GOLD))), Simulated(gold=GOLD, **how)
        status, reason, label = parse(teacher.ask(asked), asked.prompt, 10.0, simulated=True)
        assert (status, reason) == ("ok", "")
        assert label is not None
        assert label.simulated
        assert (label.label is None) == bool(how)
        assert label.notes == ()


def test_a_prompt_gets_only_the_fields_that_it_asks_for() -> None:
    key = next(iter(GOLD))
    simple = answer_schema(("judge",), CLASSES, (), ())
    asked = Question(question(key).clip, Prompt("simple", "", "", simple, CLASSES))
    assert set(json.loads(Simulated(gold=GOLD).ask(asked).text)) == set(simple["properties"])


@pytest.mark.parametrize("temperature", [1e-4, 1e3])
def test_it_stays_a_confidence_at_any_temperature(temperature: float) -> None:
    gold = dict(list(GOLD.items())[:50])
    assert all(0.5 <= one.sure <= 1 for one in labels(gold, temperature=temperature))


def test_a_confusion_that_cannot_be_is_a_sentence() -> None:
    for rows in ([[0.5, 0.4], [0.1, 0.9]], [[1.0], [0.5, 0.5]], [[1.5, -0.5], [0, 1]]):
        with pytest.raises(ComponentError, match="sum to 1"):
            Simulated(confusion=rows)
    teacher = Simulated(confusion=[[1, 0], [0, 1]], gold={"k": 0})
    with pytest.raises(CallError, match="confusion of 2 classes, and the data set has 3"):
        teacher.ask(question("k", classes=("a", "b", "c")))


def test_its_labels_are_marked_as_simulated_and_gold_is_not_in_the_record() -> None:
    _, record = built({"type": "simulated", "accuracy": 0.7}, gold=GOLD)
    assert record.simulated
    assert not record.uploads
    assert next(iter(GOLD)) not in json.dumps(dict(record.config))

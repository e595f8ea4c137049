"""What `agree` promises: gold of training items alone, and no number without its interval."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emoframe import label as api
from emoframe.core.errors import DataError
from emoframe.evidence.grouped import NotMeasurableError
from emoframe.evidence.labels.agree import agree, judges_nothing, report
from emoframe.evidence.labels.calibrate import Calibration
from emoframe.evidence.labels.consistency import Consistency
from emoframe.evidence.labels.labelled import Material
from emoframe.evidence.labels.quality import kappa, quality
from emoframe.evidence.stats import Interval
from emoframe.labelling import Question, WeakLabel
from emoframe.weak_labels.exchange.intake import import_file
from emoframe.weak_labels.noise import noise_matrix
from emoframe.weak_labels.store import LabelStore
from emoframe.weak_labels.vlm_labelers.simulated import Simulated

Made = Callable[..., Material]
GOLD = [0, 1] * 20


def value(told: Any) -> float:
    assert isinstance(told, Interval), told
    return told.value


def test_accuracy_stands_with_its_interval_its_majority_and_its_n(made: Made) -> None:
    weak = [*GOLD[:30], *[None] * 6, *[1 - true for true in GOLD[36:]]]
    found = quality(made(GOLD, weak))
    assert value(found.accuracy) == pytest.approx(30 / 34)
    assert value(found.overall) == pytest.approx(30 / 40)
    assert value(found.abstains) == pytest.approx(6 / 40)
    assert found.statuses == {"ok": 40}
    rows = {row["measure"]: row for row in report(found).sections[0].rows}
    first = rows["accuracy where a class is named"]
    assert (first["n"], first["baseline"]) == (34, 0.5)
    assert "20 subjects" in rows["accuracy if every other answer is wrong"]["interval"]


def test_kappa_is_what_a_hand_counts_and_needs_two_classes() -> None:
    pairs = [(0, 0)] * 20 + [(0, 1)] * 5 + [(1, 0)] * 10 + [(1, 1)] * 15
    found = kappa(pairs, [f"s{n}" for n in range(50)])
    assert found.value == pytest.approx(0.4)
    assert found.low < 0.4 < found.high
    with pytest.raises(NotMeasurableError, match="one class in all items"):
        kappa([(1, 1)] * 9, [None] * 9)


def test_recall_is_told_by_class_with_how_often_it_is_named_anyway(made: Made) -> None:
    found = quality(made(GOLD, [1] * 40))
    assert value(found.recall["win"]) == 1
    assert value(found.recall["lose"]) == 0
    rows = [row for row in report(found).sections[0].rows if row["measure"].startswith("recall")]
    assert [row["baseline"] for row in rows] == [0, 1]


def test_simulated_labels_measure_as_they_were_asked_to_be(made: Made) -> None:
    gold = [n % 2 for n in range(1000)]
    bare = made(gold, gold, simulated=True)
    keys = {row.clip: row.gold for row in bare.rows}
    teacher = Simulated(accuracy=0.644, temperature=0.5, gold=keys)
    rows = []
    for row in bare.rows:
        clip: Any = type("Clip", (), {"key": row.clip})
        told = json.loads(teacher.ask(Question(clip, bare.prompt)).text) | {}
        stated = told.get("confidences") or []
        sure = tuple(one["confidence"] for one in stated)
        label = WeakLabel(bare.classes, sure, int(np.argmax(sure)), "", "", simulated=True)
        rows.append(replace(row, answers=(replace(row.answers[0], label=label),)))
    found = quality(replace(bare, rows=tuple(rows)))
    assert isinstance(found.accuracy, Interval)
    assert found.accuracy.low < 0.644 < found.accuracy.high
    (first, *mended) = found.calibrations
    assert isinstance(first, Calibration)
    assert value(first.ece) == pytest.approx(teacher.expected_ece(2), abs=0.04)
    for one in mended:
        assert isinstance(one, Calibration)
        assert value(one.ece) < one.perfect[1]
    three_errors = 3 * np.sqrt(0.644 * 0.356 / 500)
    assert found.noise.shares()[0] == pytest.approx([0.644, 0.356, 0], abs=three_errors)


def test_rationales_that_tell_their_verdict_are_consistent_and_others_not(made: Made) -> None:
    weak = [n // 2 % 2 for n in range(40)]
    texts = [("smiles and nods" if one else "frowns and sighs") for one in weak]
    texts[0], texts[2] = texts[2], texts[0]
    found = quality(made(GOLD, weak, texts=texts)).consistency
    assert isinstance(found, Consistency)
    assert found.share.value == pytest.approx(38 / 40)
    assert found.probability["item-000"] < 0.5 < found.probability["item-004"]
    assert found.split == (38, 2)
    same = quality(made(GOLD, weak, texts=["looks down"] * 40)).consistency
    assert isinstance(same, Consistency)
    assert same.share.low <= same.majority, "a text that is always the same tells nothing"
    silent = quality(made(GOLD, weak, texts=[""] * 40)).consistency
    assert silent == "not measurable: rationales without their verdict hold no word"


def test_samples_and_other_prompts_are_compared_on_what_both_name(made: Made) -> None:
    one = made(GOLD, GOLD)
    rows = [
        replace(row, answers=(*row.answers, *made([row.gold], [int(n % 4 > 0)]).rows[0].answers))
        for n, row in enumerate(one.rows)
    ]
    other = made(GOLD, [None] * 10 + GOLD[10:], name="other", simulated=True)
    found = quality(replace(one, rows=tuple(rows)), [other])
    assert found.samples is not None
    assert found.samples.count == 40
    assert value(found.samples.equal) == pytest.approx(0.75)
    (with_other,) = found.others
    assert with_other.count == 30
    assert value(with_other.kappa) == 1
    assert with_other.simulated
    assert quality(one).samples is None


@pytest.mark.parametrize(
    ("gold", "weak", "subjects"),
    [
        ([0], [0], ["a"]),
        ([0, 1], [None, None], ["a", "b"]),
        ([0, 0, 0], [0, 0, 0], ["a", "b", "c"]),
        ([0, 1, 0, 1], [0, 1, 1, 1], ["a"] * 4),
        ([0, 1, 0, 1], [0, 1, 1, 1], [None] * 4),
        ([0, 1, 1, 1], [0, 1, 0, 1], ["a", "b", "b", "c"]),
    ],
)
def test_few_items_are_sentences_and_never_nan(
    made: Made, gold: list[int], weak: list[int | None], subjects: list[str | None], tmp_path: Path
) -> None:
    sure = [(0.3, 0.7)] * len(gold)
    found = quality(made(gold, weak, subjects, confidence=sure))
    told = report(found, np.array([0.5, 0.5]))
    page = re.sub('src="[^"]*"', "", told.write(tmp_path / "agree.html").read_text())
    text = json.dumps(told.data())
    assert not re.search(r"\bnan\b|\binf\b|Infinity", f"{text} {page}", re.IGNORECASE)
    assert "not measurable" in text


def test_simulated_labels_are_marked_in_every_line_and_on_the_page(
    made: Made, tmp_path: Path
) -> None:
    told = report(quality(made(GOLD, GOLD, simulated=True)), np.array([0.4, 0.6]))
    assert all(line.startswith("[simulated]") for one in told.sections for line in one.lines)
    assert all(row["marks"] == "simulated" for one in told.sections for row in one.rows)
    page = told.write(tmp_path / "out" / "agree.html").read_text()
    assert "no model saw these videos" in page
    cells = re.findall("<td>(.*?)</td>", page)
    assert "simulated" not in cells, "it stands in every title, line and picture"
    assert "white-space: nowrap" in page
    assert page.count("data:image/png;base64,") == 1
    assert (tmp_path / "out" / "noise.png").is_file()


def test_it_reads_training_gold_alone_and_keeps_the_noise_matrix(world: Any) -> None:
    world.told["film-02"]["win"] = None
    api.label(world.experiment())  # those of test too; the data set breaks if asked for their truth
    told = agree(world.experiment(), {"win": 0.7})
    assert "16 labelled training videos" in told.about
    assert [one["item"] for one in told.items] == [f"film-{n:02d}" for n in range(16)]
    assert set(told.items[0]["confidence"]) == {
        "as stated", "isotonic, held out", "platt, held out",
    }  # fmt: skip
    with LabelStore(world.root / "labels.sqlite") as store:
        (prompt,), (labeler,) = store.prompts(), store.labelers()
        kept = noise_matrix(store, prompt.hash, labeler.key, "films")
    assert kept.counts == ((7, 0, 1), (0, 8, 0))
    assert kept.subjects == 8


def test_labels_made_elsewhere_are_measured_by_the_name_of_their_labeler(
    world: Any, tmp_path: Path
) -> None:
    api.label(world.experiment(), which=api.Which("train"))
    file = tmp_path / "theirs.csv"
    rows = [f"{item},{'lose' if n == 1 else ('lose', 'win')[world.gold[item]]}"
            for n, item in enumerate(list(world.gold)[:16])]  # fmt: skip
    file.write_text("\n".join(["item,label", *rows[::-1]]))  # win comes first in this file
    with LabelStore(world.root / "labels.sqlite") as store:
        done = import_file(store, file, "films", "ann")
    assert done.refused == ()
    for name in ("ann", done.made[0][1]):
        told = agree(world.experiment(), labeler=name)
        row = told.sections[0].rows[0]
        assert (value(row["value"]), row["n"]) == (15 / 16, 16)
    with LabelStore(world.root / "labels.sqlite") as store:
        kept = noise_matrix(store, "ann", "ann", "films")
    assert kept.counts == ((8, 0, 0), (1, 7, 0))
    agreement = next(one for one in told.sections if one.title.startswith("How much answers"))
    assert [row["n"] for row in agreement.rows] == [16]
    with pytest.raises(DataError, match="labeler 'bob': there is none"):
        agree(world.experiment(), labeler="bob")


def test_who_only_describes_gets_a_sentence_and_no_accuracy(made: Made, world: Any) -> None:
    rules = {"vlm_labeler": {"type": "rules"}, "prompt": "cot"}
    experiment = world.experiment("cot")
    experiment = replace(experiment, features={"keypoints": "dataset"},
                         weak_labels=replace(experiment.weak_labels, **rules))  # fmt: skip
    api.label(experiment, which=api.Which("train"))
    told = agree(experiment)
    (section,) = told.sections
    assert "gives no verdict: it names no class in any of its 16 answers" in section.lines[0]
    assert section.rows == ()
    with (
        LabelStore(world.root / "labels.sqlite") as store,
        pytest.raises(DataError, match="was never measured"),
    ):
        noise_matrix(store, "cot", "rules")
    assert not judges_nothing(made(GOLD, [None] * 40, confidence=[(0.5, 0.5)] * 40))


def test_a_reliability_diagram_has_items_in_each_bin_or_is_a_sentence(made: Made) -> None:
    sure = [(round(0.5 - n / 100, 2), round(0.5 + n / 100, 2)) for n in range(40)]
    few = quality(made(GOLD[:20], GOLD[:20], confidence=sure[:20]))
    section = next(one for one in report(few).sections if "confidences" in one.title)
    assert section.drawing is None
    assert "not drawn: the intervals of 20 items" in section.lines[-1]
    enough = quality(made(GOLD, GOLD, confidence=sure))
    assert isinstance(enough.calibrations, list)
    assert all(each.count >= 8 for one in enough.calibrations for each in one.bins)
    drawn = next(one for one in report(enough).sections if "confidences" in one.title)
    assert drawn.drawing is not None
    assert "number of items in each bin" in drawn.drawing.caption


def test_labels_that_were_never_made_are_told_with_what_to_run(world: Any) -> None:
    with pytest.raises(DataError, match="there is no such label store"):
        agree(world.experiment())
    api.label(world.experiment("simple"), which=api.Which("train", limit=2))
    with pytest.raises(DataError, match=r"asked about with cot@.*run emoframe label CONFIG"):
        agree(world.experiment("cot"))
    told = agree(world.experiment("simple"))
    assert "14 never asked, 2 ok" in told.sections[0].lines[0]


def test_a_video_that_is_listed_twice_counts_once(world: Any) -> None:
    rows = json.loads((world.root / "films.json").read_text())
    (world.root / "film-99.mp4").write_bytes((world.root / "film-00.mp4").read_bytes())
    (world.root / "films.json").write_text(json.dumps([*rows, {**rows[0], "id": "film-99"}]))
    api.label(world.experiment(), which=api.Which("train"))
    told = agree(world.experiment())
    assert "16 labelled training videos" in told.about
    assert "1 items show a video of another item" in told.sections[0].lines[1]

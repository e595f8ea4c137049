"""Weak labels teach what they may, count what they should, and never sit where one is judged."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from emoframe import api
from emoframe.cli.app import build_app
from emoframe.core.config import dump
from emoframe.core.errors import DataError, RunError
from emoframe.label import label
from emoframe.learning.data import Data, prepare
from emoframe.learning.experiment import Experiment
from emoframe.learning.stages import Weak
from emoframe.learning.weak import Lesson, candidates, lesson, taught
from emoframe.weak_labels.settings import WeakLabels


@pytest.fixture(scope="module")
def experiment(tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """Videos with and without gold, all of which a simulated teacher has spoken about."""
    store = tmp_path_factory.mktemp("labels") / "labels.sqlite"
    teacher = "{type: simulated, accuracy: 0.8, abstain: 0.2}"
    given = [
        *tiny,
        "dataset.train=48",
        "dataset.unlabelled=24",
        "folds=3",
        f"weak_labels={{store: {store}, vlm_labeler: {teacher}}}",
    ]
    label("quickstart", given)
    return api.load("quickstart", [*given, "weak={}"])


@pytest.fixture(scope="module")
def data(experiment: Experiment) -> Data:
    return prepare(experiment)


def of(experiment: Experiment, data: Data, **changes: object) -> Lesson:
    return lesson(replace(experiment, weak=Weak(**changes)), data)  # type: ignore[arg-type]


def named(found: Lesson) -> Counter[int | None]:
    return Counter(one.label for one in found.used)


def test_gold_wins_and_validation_gets_none(experiment: Experiment, data: Data) -> None:
    for mode in ("inductive", "transductive"):
        more = taught(data, of(experiment, data, mode=mode))
        weak = {item for item, goal in more.train.goals.items() if goal.weak}
        gold = {ref.id for ref in [*data.train.refs, *data.val.refs]}
        assert weak and not weak & gold
        assert all(more.train.goals[ref.id] == data.train.goals[ref.id] for ref in data.train.refs)
        assert [ref.id for ref in more.val.refs] == [ref.id for ref in data.val.refs]
        assert len(more.train) == len(data.train) + len(weak)
    found = of(experiment, data)
    for ref in (data.train.refs[0], data.val.refs[0]):
        with pytest.raises(DataError, match="has gold, and takes no weak label"):
            taught(data, replace(found, said=[replace(found.used[0], item=ref.id)]))


def test_only_transductive_training_sees_what_it_is_judged_on(
    experiment: Experiment, data: Data
) -> None:
    held = {ref.id for ref in data.held.refs}
    assert not held & set(of(experiment, data).goals(2))
    assert held & set(of(experiment, data, mode="transductive").goals(2))
    whole = prepare(replace(experiment, folds=0))
    test = {ref.id for ref in whole.test.refs}
    assert test <= {ref.id for ref in candidates(whole, "transductive")}
    assert not test & {ref.id for ref in candidates(whole, "inductive")}


def test_abstentions_teach_nothing(experiment: Experiment, data: Data) -> None:
    found = of(experiment, data)
    silent = [one for one in found.said if one.left_out == "abstained"]
    assert silent and all(one.weight == 0 and one.label is None for one in silent)
    assert not {one.item for one in silent} & set(found.goals(2))


def test_confidence_weighs_and_filters(experiment: Experiment, data: Data) -> None:
    unit, sure, margin = (
        of(experiment, data, weight=0.5, weighting=how) for how in ("unit", "confidence", "margin")
    )
    assert {one.weight for one in unit.used} == {0.5}
    for one in sure.used:
        assert one.weight == pytest.approx(0.5 * one.confidence)
    for one in margin.used:
        assert one.weight == pytest.approx(0.5 * (2 * one.confidence - 1))
    few = of(experiment, data, least_confidence=0.8)
    assert 0 < len(few.used) < len(unit.used)
    assert min(one.confidence for one in few.used) >= 0.8
    top = of(experiment, data, per_class=3)
    assert set(named(top).values()) == {3}
    worst = min(one.confidence for one in top.used if one.label == 0)
    others = [one for one in top.said if one.label == 0 and one.left_out]
    assert all(one.confidence <= worst for one in others)


def test_shuffled_ones_keep_how_often_each_class_is_named(
    experiment: Experiment, data: Data
) -> None:
    found, dealt = of(experiment, data), of(experiment, data, shuffle=True)
    assert named(found) == named(dealt)
    assert [one.item for one in found.said] == [one.item for one in dealt.said]
    assert [one.label for one in found.said] != [one.label for one in dealt.said]


def test_the_noise_is_counted_on_what_is_trained_on(experiment: Experiment, data: Data) -> None:
    matrix = np.array(of(experiment, data).noise_matrix)
    assert matrix.sum(1) == pytest.approx(1)
    assert np.trace(matrix) > 1  # better than chance
    assert taught(data, of(experiment, data)).wiring.noise_matrix is not None
    other = prepare(replace(experiment, fold=1))
    assert of(experiment, other).noise_matrix != of(experiment, data).noise_matrix


def test_no_label_at_all_is_refused(experiment: Experiment, data: Data, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not one weak label can be used in mode 'inductive'"):
        of(experiment, replace(data, unlabelled=()))
    settings = replace(experiment.weak_labels or WeakLabels(), store=tmp_path / "none.sqlite")
    with pytest.raises(DataError, match="there is no label store"):
        lesson(replace(experiment, weak_labels=settings), data)


def test_labels_of_another_tool_teach_by_the_name_of_their_source(
    experiment: Experiment, data: Data, tmp_path: Path
) -> None:
    store, first, other = tmp_path / "labels.sqlite", *data.dataset.classes
    file = tmp_path / "theirs.csv"
    rows = [f"more-{n:05d},{first if n % 3 else other}" for n in range(24)]
    file.write_text("\n".join(["item,label", *rows]))
    settings = replace(experiment.weak_labels or WeakLabels(), store=store, labeler="theirs")
    named = replace(experiment, weak_labels=settings)
    config = tmp_path / "config.yaml"
    config.write_text(dump(replace(named, weak=None)))
    done = CliRunner().invoke(
        build_app(), ["labels", "import", str(store), str(file), "--config", str(config)]
    )
    assert done.exit_code == 0, done.output
    found = lesson(named, data)
    assert Counter(one.label for one in found.used) == {0: 16, 1: 8} and not found.simulated
    nobody = replace(named, weak_labels=replace(settings, labeler="ours"))
    with pytest.raises(DataError, match="labeler 'ours': there is none"):
        lesson(nobody, data)


def test_a_run_says_what_taught_it(experiment: Experiment, tmp_path: Path) -> None:
    run = api.train(experiment, tmp_path / "run")
    weak = run.card["weak"]
    assert run.mode == "inductive" and weak["simulated"] and run.synthetic
    assert sum(weak["used"].values()) == weak["weight"] > 0
    rows = (run.folder / "weak_labels.csv").read_text().splitlines()
    assert rows[0] == "item,class,confidence,weight,left_out" and len(rows) == weak["items"] + 1
    assert api.evaluate(run, "held").count == run.card["items"]["held"]
    with pytest.raises(RunError, match=r"weak\.weight was 1\.0, now 0\.5"):
        api.train(replace(experiment, weak=Weak(weight=0.5)), tmp_path / "run")


def test_every_item_is_held_out_once_and_nobody_is_on_both_sides(experiment: Experiment) -> None:
    folds = [prepare(replace(experiment, fold=fold)) for fold in range(3)]
    held = [ref.id for data in folds for ref in data.held.refs]
    assert sorted(held) == [f"train-{n:05d}" for n in range(48)]
    for data in folds:
        others = {ref.subject for ref in [*data.train.refs, *data.val.refs, *data.unlabelled]}
        assert not others & {ref.subject for ref in data.held.refs}
        assert all(ref.label is None for ref in data.held.refs) and not data.held.goals


def test_folds_by_item_put_people_on_both_sides(experiment: Experiment) -> None:
    data = prepare(replace(experiment, folds_by="item"))
    others = {ref.subject for ref in [*data.train.refs, *data.val.refs]}
    assert others & {ref.subject for ref in data.held.refs}


def test_too_many_folds_and_scoring_without_one_are_refused(
    experiment: Experiment, finished: Path
) -> None:
    with pytest.raises(DataError, match="40 folds need 40 items of each of two classes"):
        prepare(replace(experiment, folds=40))
    with pytest.raises(RunError, match="held no fold out"):
        api.evaluate(finished, "held")
    with pytest.raises(RunError, match="one of val, held, test, not on 'train'"):
        api.evaluate(finished, "train")

"""A rationale comes from the answers to exactly these settings, and what it was is on record."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from emoframe import api
from emoframe.core.errors import ConfigError, DataError, RunError
from emoframe.label import Which, label
from emoframe.learning.data import check_clips, prepare
from emoframe.learning.datasets.planted import Planted
from emoframe.learning.experiment import Experiment
from emoframe.weak_labels.settings import WeakLabels
from emoframe.weak_labels.store import LabelStore

TEXT = "text: {text_encoder: {type: tfidf, max_features: 64}, out_dim: 8}"


@pytest.fixture(scope="module")
def overrides(tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Overrides for a text branch alone, whose rules have spoken about every item."""
    store = tmp_path_factory.mktemp("labels") / "labels.sqlite"
    given = [
        *[item for item in tiny if "keypoints" not in item],
        "features={keypoints: null, text: rationale}",
        f"model.branches={{keypoints: null, {TEXT}}}",
        f"weak_labels={{store: {store}, vlm_labeler: {{type: rules}}}}",
    ]
    assert label("quickstart", given).statuses == {"ok": 30}
    return given


@pytest.fixture
def experiment(overrides: list[str]) -> Experiment:
    return api.load("quickstart", overrides)


def of_settings(experiment: Experiment, **changes: object) -> Experiment:
    """Return the experiment with other settings of weak labels."""
    settings = experiment.weak_labels or WeakLabels()
    return replace(experiment, weak_labels=replace(settings, **changes))  # type: ignore[arg-type]


def test_a_text_branch_learns_from_what_the_rules_say(
    experiment: Experiment, tmp_path: Path
) -> None:
    run = api.train(experiment, tmp_path / "run")
    assert api.evaluate(run, "test", "a branch of text alone can be judged").count == 6
    settings = experiment.weak_labels or WeakLabels()
    with LabelStore(settings.store) as store:
        (opened,) = store.openings("planted")
    data = prepare(experiment)
    assert opened.prompt == data.origin["prompt"] and opened.run == "run"
    text = data.train.fetch(data.train.refs[0])["text"]
    assert isinstance(text, str) and "FACS" in text
    assert run.card["rationales"] == data.origin
    assert {"prompt", "labeler", "texts"} == set(data.origin)


def test_without_the_verdict_is_another_text(experiment: Experiment) -> None:
    full, bare = (
        prepare(replace(experiment, view=replace(experiment.view, text=view)))
        for view in (
            experiment.view.text,
            replace(experiment.view.text, rationale="no_verdict"),
        )
    )
    ref = full.train.refs[0]
    assert "Verdict" in str(full.train.fetch(ref)["text"])
    assert "Verdict" not in str(bare.train.fetch(ref)["text"])
    assert full.hash != bare.hash


def test_answers_to_other_settings_are_not_read(experiment: Experiment) -> None:
    for other in (
        of_settings(experiment, prompt="simple"),
        of_settings(experiment, vlm_labeler={"type": "simulated"}),
        of_settings(experiment, task="A person talks after a match."),
    ):
        with pytest.raises(DataError, match=r"nobody was asked with these settings.*there is none"):
            prepare(other)
    with pytest.raises(DataError, match=r"there is no label store .*run emoframe label first"):
        prepare(of_settings(experiment, store=Path("nowhere.sqlite")))


def test_rationales_that_change_are_other_data(experiment: Experiment, tmp_path: Path) -> None:
    assert experiment.weak_labels is not None
    copy = tmp_path / "labels.sqlite"
    copy.write_bytes(experiment.weak_labels.store.read_bytes())
    mine = of_settings(experiment, store=copy)
    run = api.train(mine, tmp_path / "run")
    with sqlite3.connect(copy) as database:
        database.execute("UPDATE answer SET label = replace(label, 'FACS', 'AU')")
    database.close()
    with pytest.raises(RunError, match="data set changed since this run began"):
        api.evaluate(run)


def test_an_item_that_nobody_was_asked_about_is_without_text_and_says_why(
    tiny: list[str], tmp_path: Path
) -> None:
    given = [
        *tiny,
        "features.text=rationale",
        f"model.branches.{TEXT.replace(': ', '=', 1)}",
        f"weak_labels={{store: {tmp_path / 'labels.sqlite'}, vlm_labeler: {{type: rules}}}}",
    ]
    experiment = api.load("quickstart", given)
    label(experiment, which=Which(split="train"))
    data = prepare(experiment)
    check_clips(data)
    sample = data.test[0]
    assert sample.present == {"keypoints": True, "text": False}
    assert "text" not in sample.inputs
    alone = replace(
        experiment,
        features={"text": "rationale"},
        model=replace(experiment.model, branches={"text": experiment.model.branches["text"]}),
    )
    with pytest.raises(DataError, match=r"6 items cannot be used:\n.*has no rationale of it"):
        check_clips(prepare(alone))


def test_a_run_on_simulated_rationales_is_marked(
    tmp_path: Path, overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Planted, "synthetic", False)
    assert not prepare(api.load("quickstart", overrides)).synthetic
    store = f"weak_labels={{store: {tmp_path / 'l.sqlite'}, vlm_labeler: {{type: simulated}}}}"
    experiment = api.load("quickstart", [*overrides, store])
    label(experiment, which=Which(split="train"))
    assert prepare(experiment).synthetic


def test_rationales_need_a_section_that_says_whose(overrides: list[str]) -> None:
    with pytest.raises(ConfigError, match="add a `weak_labels` section to use rationales"):
        api.load("quickstart", [*overrides, "weak_labels=null"])

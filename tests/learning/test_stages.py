"""A recipe's stages build on one another, are trained once, and never go on from something else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from emoframe import api
from emoframe.core.errors import ConfigError, RunError
from emoframe.learning.data import prepare
from emoframe.learning.experiment import Experiment
from emoframe.learning.model import Recognizer
from emoframe.learning.run import Run, load_run
from emoframe.learning.stages import Stage, Weak

CONFIG = """
base: quickstart
dataset: {type: planted, train: 48, test: 6, frames: 24, videos_per_subject: 2, unlabelled: 8}
features: {keypoints: dataset, frames: dataset}
view: {keypoints: {frames: 16}}
model:
  branches:
    keypoints:
      keypoint_backbone: {hidden: 8}
      temporal_encoder: {dim: 8, heads: 2}
      out_dim: 8
    frames:
      keypoint_backbone: null
      temporal_encoder: {type: transformer, dim: 8, layers: 1, heads: 2}
      out_dim: 8
train: {epochs: 1, batch_size: 6}
stages:
  body: {branches: [keypoints]}
  scene: {branches: [frames], train: {lr: 2.0e-4}}
  joint:
    init: {keypoints: body, frames: scene}
    weak: {source: body, weight: 0.5}
    train: {lr: 1.0e-5}
"""
Trained = tuple[Run, list[str]]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe of three stages."""
    file = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    file.write_text(CONFIG)
    return file


@pytest.fixture(scope="module")
def folder(config: Path) -> Path:
    """Where it was trained."""
    return config.parent / "run"


@pytest.fixture(scope="module")
def first(config: Path, folder: Path) -> Trained:
    """The run of the last stage, and the stages of which an epoch was trained."""
    return trained(config, folder)


def trained(
    config: Path | Experiment, folder: Path, *overrides: str, stages: Path | None = None
) -> Trained:
    seen: list[str] = []
    run = api.train(config, folder, overrides, lambda row: seen.append(row["stage"]), stages)
    return run, seen


def stage_folder(run: Run, branch: str) -> Path:
    return run.folder / "stages" / run.card["init"][branch]["run"]


def test_branches_are_trained_alone_and_then_together(first: Trained) -> None:
    run, seen = first
    assert seen == ["body", "scene", "joint"]
    assert list(run.experiment.model.branches) == ["keypoints", "frames"]
    assert run.experiment.train.lr == 1e-5 and run.asked.train.lr == 1e-3
    alone = load_run(stage_folder(run, "frames"))
    assert list(alone.experiment.model.branches) == ["frames"]
    assert list(alone.experiment.features) == ["frames"] and alone.experiment.train.lr == 2e-4
    assert api.evaluate(run).count > 0 and api.evaluate(alone).count > 0


def test_a_stage_starts_from_the_selected_weights_of_another(
    first: Trained, config: Path, tmp_path: Path
) -> None:
    kept = load_run(stage_folder(first[0], "keypoints")).weights()
    still = trained(config, tmp_path / "run", "stages.joint.train={lr: 1.0e-30, epochs: 1}")[0]
    now = still.weights()
    assert all(
        torch.equal(now[key], value)
        for key, value in kept.items()
        if key.startswith("branches.keypoints") and not key.endswith(("_VC", "count"))
    )
    assert set(first[0].card["init"]) == {"keypoints", "frames", "weak labels"}


def test_weights_that_do_not_fit_are_refused_whole(config: Path) -> None:
    experiment = api.load(config)
    model = Recognizer(experiment.model, prepare(experiment).wiring)
    weights: dict[str, Any] = dict(model.branches["frames"].state_dict())
    weights.pop(next(iter(weights)))
    with pytest.raises(RunError, match="do not fit the branch 'frames'"):
        model.start_from({"frames": weights})


def test_finished_stages_are_not_trained_again(
    first: Trained, config: Path, folder: Path, tmp_path: Path
) -> None:
    again = trained(config, folder)[1]
    assert again == []
    other = trained(
        config, tmp_path / "other", "stages.joint.train.lr=2e-5", stages=folder / "stages"
    )
    assert other[1] == ["joint"]


def test_what_a_stage_depends_on_trains_it_again(
    first: Trained, config: Path, folder: Path, tmp_path: Path
) -> None:
    shared = folder / "stages"
    seen = trained(config, tmp_path / "a", "stages.scene.train.lr=3e-4", stages=shared)[1]
    assert seen == ["scene", "joint"]
    seen = trained(config, tmp_path / "b", "dataset.seed=1", stages=shared)[1]
    assert seen == ["body", "scene", "joint"]


def test_a_folder_of_another_recipe_says_what_changed(
    first: Trained, config: Path, folder: Path
) -> None:
    told = r"stages\.joint\.weak\.weight was 0\.5, now 1\.0"
    with pytest.raises(RunError, match=told):
        trained(config, folder, "stages.joint.weak.weight=1.0")


def test_a_run_folder_can_be_started_from(first: Trained, config: Path, tmp_path: Path) -> None:
    body = stage_folder(first[0], "keypoints")
    experiment = api.load(config)
    stage = replace(experiment.stages["joint"], init={"keypoints": str(body)}, weak=None)
    run, seen = trained(replace(experiment, stages={"joint": stage}), tmp_path / "run")
    assert seen == ["joint"] and list(run.card["init"]) == ["keypoints"]
    lone = replace(stage, init={"keypoints": str(tmp_path / "nothing")})
    with pytest.raises(RunError, match="is no run folder"):
        trained(replace(experiment, stages={"joint": lone}), tmp_path / "other")


def test_weights_that_know_what_is_judged_here_are_refused(config: Path, tmp_path: Path) -> None:
    told = "has learned from .* of {}"
    with pytest.raises(RunError, match=told.format("validation")):
        trained(config, tmp_path / "other cut", "stages.body.train.val_fraction=0.5")
    whole = api.load(config).stage("body")
    trained(whole, tmp_path / "whole")
    start = Stage(["keypoints"], {"keypoints": str(tmp_path / "whole")})
    for seed in (0, 1):
        folded = replace(api.load(config), folds=3, seed=seed, stages={"joint": start})
        with pytest.raises(RunError, match=told.format("(validation|the held-out fold)")):
            trained(folded, tmp_path / str(seed))


def test_being_transductive_is_no_excuse_for_gold_of_what_is_judged(
    config: Path, tmp_path: Path
) -> None:
    whole = replace(api.load(config), folds=2)
    seen = replace(whole.stages["scene"], weak=Weak(source="body", mode="transductive"))
    stages = {"body": whole.stages["body"], "scene": seen}
    run, _ = trained(replace(whole, stages=stages), tmp_path / "seen")
    assert run.mode == "transductive"
    start = Stage(["frames"], {"frames": str(run.folder)})
    again, _ = trained(replace(whole, stages={"joint": start}), tmp_path / "again")
    assert again.mode == "transductive"
    with pytest.raises(RunError, match="has learned from .* of (validation|the held-out fold)"):
        trained(replace(whole, fold=1, stages={"joint": start}), tmp_path / "other")


def test_a_run_takes_over_the_mode_of_what_it_starts_from(config: Path, tmp_path: Path) -> None:
    seen = "stages.scene.weak={source: body, mode: transductive}"
    run, _ = trained(config, tmp_path / "run", seen, "stages.joint.weak=null")
    assert run.card["weak"] is None and run.mode == "transductive"


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("stages.body.branches=[keypoint]", "there is no branch 'keypoint'; did you mean"),
        ("stages.joint.init.frames=scenes", "'scenes' is no earlier stage; did you mean 'scene'"),
        ("stages.joint.init.frames=body", "stage 'body' does not train the branch 'frames'"),
        ("stages.scene.init.keypoints=body", "is no branch of this stage"),
        ("stages.scene.init.frames=joint", "is no earlier stage"),
        ("stages.joint.weak.source=scen", "neither `labels` nor an earlier stage; did you mean"),
        ("stages.joint.weak.source=labels", "needs a section `weak_labels`"),
        ("stages.joint.weak.weight=0", "must be float > 0"),
        ("stages.joint.train.lrr=1", "unknown; did you mean 'lr'"),
        ("stages.joint.loss={type: contrastive}", "says nothing of classes"),
        ("weak={source: body}", "belongs to a stage where there are stages"),
        ("folds=1", "leaves nothing to train on"),
        ("fold=2", "with 0 folds the last is"),
    ],
)
def test_what_does_not_fit_is_found_before_anything_is_trained(
    config: Path, override: str, told: str
) -> None:
    with pytest.raises(ConfigError) as error:
        api.load(config, [override])
    assert told in str(error.value)

"""Configs inherit, override and swap parts without keeping what belonged to the old one."""

from __future__ import annotations

from pathlib import Path

import pytest

from emoframe.core import config
from emoframe.core.errors import ConfigError, EmoframeError
from emoframe.learning.experiment import Experiment


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_mapping_whose_type_changes_is_replaced() -> None:
    base = {"backbone": {"type": "gcn", "hidden": 64, "layers": 3}, "lr": 1}
    over = {"backbone": {"type": "mlp", "width": 8}}
    assert config.merge(base, over) == {"backbone": {"type": "mlp", "width": 8}, "lr": 1}


def test_a_mapping_of_the_same_type_is_merged() -> None:
    base = {"backbone": {"type": "gcn", "hidden": 64}}
    assert config.merge(base, {"backbone": {"hidden": 8}}) == {
        "backbone": {"type": "gcn", "hidden": 8}
    }


def test_overrides_swap_a_part_whatever_their_order(tmp_path: Path) -> None:
    file = write(tmp_path, "a.yaml", "part: {type: gcn, layers: 3}\n")
    for items in (["part.type=mlp", "part.hidden=8"], ["part.hidden=8", "part.type=mlp"]):
        assert config.load(file, items).data == {"part": {"type": "mlp", "hidden": 8}}


def test_bases_are_found_beside_the_file_and_later_ones_win(tmp_path: Path) -> None:
    write(tmp_path, "one.yaml", "a: 1\nb: 1\n")
    write(tmp_path, "two.yaml", "b: 2\n")
    file = write(tmp_path, "top.yaml", "base: [one, two.yaml]\nc: 3\n")
    assert config.load(file).data == {"a": 1, "b": 2, "c": 3}


def test_each_value_knows_where_it_was_written(tmp_path: Path) -> None:
    write(tmp_path, "one.yaml", "train:\n  lr: 1.0e-3\n")
    file = write(tmp_path, "top.yaml", "base: one\n\nseed: 3\n")
    read = config.load(file, ["train.epochs=3"])
    assert read.where("train.lr") == "one.yaml:2"
    assert read.where("seed") == "top.yaml:3"
    assert read.where("train.epochs") == "command line"
    assert read.data["train"] == {"lr": 1e-3, "epochs": 3}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- 1\n", "mapping"),
        ("a: [1\n", "cannot be read"),
        ("a: 1\na: 2\n", "duplicate"),
        ("base: absent\n", "there is no config 'absent'"),
        ("base: self\n", "there is no config 'self'"),
    ],
)
def test_a_file_that_is_no_config_is_refused(tmp_path: Path, text: str, says: str) -> None:
    write(tmp_path, "self.yaml", text)
    with pytest.raises(ConfigError, match=says):
        config.load(tmp_path / "self.yaml")


def test_an_interpolation_to_nowhere_is_a_problem_with_its_place(tmp_path: Path) -> None:
    file = write(tmp_path, "a.yaml", "base: quickstart\nseed: ${nowhere}\n")
    with pytest.raises(ConfigError, match=r"a.yaml:2  seed: .*nowhere"):
        config.check(Experiment, config.load(file))


def test_a_config_cannot_read_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "sesame")
    with pytest.raises(ConfigError) as refused:
        config.check(
            Experiment, config.load("quickstart", ["features.keypoints=${oc.env:SOME_KEY}"])
        )
    assert "sesame" not in str(refused.value)


@pytest.mark.parametrize("base", ["null", "3", "[1]", "{a: b}"])
def test_a_base_that_is_no_name_is_refused(base: str, tmp_path: Path) -> None:
    file = write(tmp_path, "a.yaml", f"base: {base}\n")
    with pytest.raises(ConfigError, match="base"):
        config.load(file)


def test_a_part_that_a_base_swapped_keeps_nothing_of_an_earlier_base(tmp_path: Path) -> None:
    write(tmp_path, "one.yaml", "loss: {type: a, balanced: true}\n")
    write(tmp_path, "two.yaml", "loss: {type: b}\n")
    file = write(tmp_path, "top.yaml", "base: [one, two]\nloss: {type: a}\n")
    assert config.load(file).data == {"loss": {"type": "a"}}


@pytest.mark.parametrize("item", ["seed", "=3", "a.b", "seed=[1"])
def test_a_malformed_override_is_refused(item: str) -> None:
    with pytest.raises(ConfigError, match="command line"):
        config.load("quickstart", [item])


def test_an_unknown_config_gets_a_suggestion() -> None:
    with pytest.raises(EmoframeError, match="did you mean 'quickstart.yaml'"):
        config.load("quickstrt.yaml")


def test_a_filled_config_is_a_config_that_says_the_same() -> None:
    first = config.check(Experiment, config.load("quickstart"))
    text = config.dump(first)
    again = config.check(
        Experiment, config.Config(config.OmegaConf.to_container(config.OmegaConf.create(text)))
    )  # type: ignore[arg-type]
    assert again == first


def test_a_part_swapped_with_left_over_keys_is_refused(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "a.yaml",
        "base: quickstart\nmodel: {branches: {keypoints: {keypoint_backbone: "
        "{type: deep_sets, layers: 3}}}}\n",
    )
    with pytest.raises(ConfigError, match=r"keypoint_backbone.layers: unknown"):
        config.check(Experiment, config.load(file))


def test_an_input_that_nothing_feeds_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="model.branches.frames: has no partner in `features`"):
        config.check(Experiment, config.load("quickstart", ["model.branches.frames={}"]))
    with pytest.raises(ConfigError, match="add a `perception` section"):
        config.check(Experiment, config.load("quickstart", ["features.keypoints=mediapipe"]))


def test_files_that_inherit_in_a_circle_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "one.yaml", "base: other\n")
    write(tmp_path, "other.yaml", "base: one\n")
    with pytest.raises(ConfigError, match="inherits from itself"):
        config.load(tmp_path / "one.yaml")


def test_a_file_may_have_the_name_of_the_shipped_config_it_extends(tmp_path: Path) -> None:
    write(tmp_path, "quickstart.yaml", "base: quickstart\nseed: 7\n")
    data = config.load(tmp_path / "quickstart.yaml").data
    assert data["seed"] == 7
    assert data["dataset"]["type"] == "planted"

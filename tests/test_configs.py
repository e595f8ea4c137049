"""Every shipped config is right, and a typo at any of its keys is refused by name and place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from emoframe.core import config
from emoframe.core.errors import ConfigError
from emoframe.learning.experiment import Experiment

ROOT = Path(__file__).parents[1] / "configs"
OTHERS = {"ablations", "submissions"}
"""Folders of what is no experiment, each with tests of its own."""
EXPERIMENTS = sorted(
    path for path in ROOT.rglob("*.yaml") if path.relative_to(ROOT).parts[0] not in OTHERS
)
WHOLE = [path for path in EXPERIMENTS if "base" not in path.relative_to(ROOT).parts]


def given(path: Path) -> list[str]:
    """Return what a user of this config has to add: where the data lies."""
    dataset = config.load(path).data["dataset"]
    return [f"dataset.{key}=x" for key, value in dataset.items() if value == "???"]


def read_for(path: Path) -> list[Path]:
    """Return every file that a config is made of."""
    return [file.resolve() for file in config.load(path).files]


def keys(node: yaml.Node, path: str = "") -> Iterator[tuple[str, yaml.Node]]:
    """Yield the dotted path and the node of every key of a YAML file."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = f"{path}.{key.value}".strip(".")
            yield inner, key
            yield from keys(value, inner)


def typos() -> list[Any]:
    found = []
    for path in EXPERIMENTS:
        for dotted, key in keys(yaml.compose(path.read_text())):
            if dotted.rpartition(".")[0].endswith(("frame_encoders", "stages")):
                continue  # any name will do
            found.append(pytest.param(path, key, id=f"{path.stem}:{dotted}"))
    return found


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.stem)
def test_a_shipped_config_has_no_problem(path: Path) -> None:
    assert config.check(Experiment, config.load(path, given(path)))


@pytest.mark.parametrize(("path", "key"), typos())
def test_a_typo_is_refused_with_path_line_and_nearest_name(
    path: Path, key: Any, tmp_path: Path
) -> None:
    text = path.read_text()
    typo = f"{key.value}x"
    broken = text[: key.start_mark.index] + typo + text[key.end_mark.index :]
    for source in ROOT.rglob("*.yaml"):
        target = tmp_path / source.relative_to(ROOT)
        target.parent.mkdir(exist_ok=True)
        target.write_text(broken if source == path else source.read_text())
    whole = next(one for one in [path, *WHOLE] if one in WHOLE and path in read_for(one))
    with pytest.raises(ConfigError) as refused:
        config.check(Experiment, config.load(tmp_path / whole.relative_to(ROOT), given(whole)))
    mine = [p for p in refused.value.problems if p.path.split(".")[-1] == typo]
    assert mine, [str(problem) for problem in refused.value.problems]
    assert mine[0].where == f"{path.name}:{key.start_mark.line + 1}"
    assert f"did you mean '{key.value}'" in mine[0].text

"""Parts are built by name: lazily, with suggestions, and only from what is registered."""

from __future__ import annotations

import pytest

import emoframe
from emoframe.core.component import Component
from emoframe.core.errors import ComponentError, ConfigError
from emoframe.core.plugins import Offer, loaded
from emoframe.core.registry import create, registry


@pytest.fixture
def absent() -> object:
    """Register a part whose package is not installed."""
    component = Component(
        kind="pooling", name="absent_part", target="absent_package.x:Y", needs=("absent-package",)
    )
    loaded().add(Offer(component, "somebody 1.0"))
    yield component
    loaded().offers.pop(("pooling", "absent_part"))


def test_an_unknown_name_gets_suggestions_and_the_full_list() -> None:
    with pytest.raises(ComponentError, match="mean 'transformer'.*installed: .*transformer"):
        registry("temporal_encoder").get("transfomer")


def test_a_dotted_name_is_never_imported() -> None:
    with pytest.raises(ComponentError, match=r"no pooling 'os.path.join'"):
        create("pooling", {"type": "os.path.join"})


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ComponentError, match="did you mean 'pooling'"):
        registry("poolin")


def test_a_part_whose_package_is_absent_says_what_to_install(absent: object) -> None:
    with pytest.raises(ComponentError, match="pip install absent-package"):
        registry("pooling").get("absent_part")


def test_a_part_is_built_with_checked_parameters_and_wiring() -> None:
    mlp = emoframe.build(
        "keypoint_backbone", "mlp", num_joints=5, in_channels=3, hidden=7, layers=1
    )
    assert mlp.out_dim == 7
    with pytest.raises(ConfigError, match=r"hidden: must be int > 0, got -1"):
        emoframe.build("keypoint_backbone", "mlp", num_joints=5, in_channels=3, hidden=-1)
    with pytest.raises(ConfigError, match="needs in_channels from the model"):
        emoframe.build("keypoint_backbone", "mlp", num_joints=5)

"""The contract finds what breaks it: each of these parts is wrong in one way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from emoframe import Component
from emoframe.core.plugins import Offer, loaded
from emoframe.records import Frames
from emoframe.testing import check_component


class Sums(nn.Module):
    """Lets masked values through.

    Args:
        in_channels: C.
    """

    def __init__(self, *, in_channels: int) -> None:
        super().__init__()
        self.out_dim = 4
        self.layer = nn.Linear(in_channels, 4)

    def forward(self, x_NTVC: torch.Tensor, mask_NTV: torch.Tensor) -> torch.Tensor:
        return self.layer(x_NTVC).sum(2)


class Unused(Sums):
    """Has a parameter that nothing uses.

    Args:
        in_channels: C.
    """

    def __init__(self, *, in_channels: int) -> None:
        super().__init__(in_channels=in_channels)
        self.lost = nn.Parameter(torch.ones(3))

    def forward(self, x_NTVC: torch.Tensor, mask_NTV: torch.Tensor) -> torch.Tensor:
        return self.layer(x_NTVC).masked_fill(~mask_NTV[..., None], 0).sum(2)


class Wide(Unused):
    """Promises another width than it has.

    Args:
        in_channels: C.
    """

    def __init__(self, *, in_channels: int) -> None:
        super().__init__(in_channels=in_channels)
        self.out_dim = 5


class Nameless:
    """Finds a number instead of boxes."""

    def detect(self, frames: Frames) -> list[Any]:
        return [42]


class Undocumented(nn.Module):
    def __init__(self, *, in_dim: int) -> None:
        super().__init__()


@pytest.fixture
def offered(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """Register a broken part for one test."""
    kind, cls = request.param
    part = Component(kind=kind, name="broken", target=f"{__name__}:{cls.__name__}")
    loaded().add(Offer(part, "tests", cls))
    yield kind, "broken"
    loaded().offers.pop((kind, "broken"))


@pytest.mark.parametrize(
    ("offered", "says"),
    [
        (("keypoint_backbone", Sums), "masked values"),
        (("keypoint_backbone", Unused), "lost"),
        (("keypoint_backbone", Wide), "out_dim promises"),
        (("detector", Nameless), "gave 1 results"),
        (("pooling", Undocumented), "no docstring"),
    ],
    indirect=["offered"],
)
def test_a_broken_part_is_found(offered: tuple[str, str], says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        check_component(*offered)

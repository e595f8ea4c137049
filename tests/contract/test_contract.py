"""The contract finds what breaks it: each of these parts is wrong in one way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from emoframe import Component
from emoframe.core.plugins import Offer, loaded
from emoframe.records import Frames, Output, Target
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


class Unweighted(nn.Module):
    """Learns from samples of weight 0."""

    def forward(self, output: Output, target: Target) -> torch.Tensor:
        return nn.functional.cross_entropy(output.logits_NK, target.prob_NK)


class Absolute(nn.Module):
    """Divides by the number of samples instead of by their weights."""

    def forward(self, output: Output, target: Target) -> torch.Tensor:
        loss_N = -(target.prob_NK * output.logits_NK.log_softmax(-1)).sum(-1)
        hidden = target.weight_N == 0
        return (loss_N.masked_fill(hidden, 0) * target.weight_N).sum() / (~hidden).sum()


class Weightless(nn.Module):
    """Is NaN where no sample has weight."""

    def forward(self, output: Output, target: Target) -> torch.Tensor:
        kept = target.weight_N > 0
        prob, logits, weight = target.prob_NK[kept], output.logits_NK[kept], target.weight_N[kept]
        loss_N = -(prob * logits.float().log_softmax(-1)).sum(-1)
        return (loss_N * weight).sum() / weight.sum()


class Joined(nn.Module):
    """Multiplies what is missing by 0, which lets NaN through.

    Args:
        in_dims: Width of each branch.
    """

    def __init__(self, *, in_dims: dict[str, int]) -> None:
        super().__init__()
        self.out_dim = 4
        self.layers = nn.ModuleDict({n: nn.Linear(dim, 4) for n, dim in in_dims.items()})

    def kept(self, z: dict[str, torch.Tensor], present: dict[str, torch.Tensor]) -> torch.Tensor:
        kept = [layer(z[n]) * present[n][:, None] for n, layer in self.layers.items()]
        return torch.stack(kept, 1)

    def forward(self, z: dict[str, torch.Tensor], present: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.kept(z, present).sum(1)


class Averaged(Joined):
    """Has no answer where all branches are missing.

    Args:
        in_dims: Width of each branch.
    """

    def kept(self, z: dict[str, torch.Tensor], present: dict[str, torch.Tensor]) -> torch.Tensor:
        z = {n: x.masked_fill(~present[n][:, None], 0) for n, x in z.items()}
        return super().kept(z, present) / sum(present.values())[:, None, None]  # type: ignore[index]


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
        (("loss", Unweighted), "weight 0 gets a gradient"),
        (("loss", Absolute), "scaling all weights must change nothing"),
        (("loss", Weightless), "without any weight costs nan"),
        (("fusion_head", Joined), "NaN or infinity .a missing branch"),
        (("fusion_head", Averaged), "NaN or infinity"),
    ],
    indirect=["offered"],
)
def test_a_broken_part_is_found(offered: tuple[str, str], says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        check_component(*offered)

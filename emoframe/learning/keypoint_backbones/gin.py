"""The graph isomorphism network (Xu et al. 2019; specs section 4; W2S-20).

Its sum is not normalised, so that it can count neighbours. Here the MLP has a layer norm where the
source has a batch norm: statistics of a batch would let padded frames and masked joints change the
result in training.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Lt
from torch import nn

from emoframe.learning.keypoint_backbones.graph import (
    GraphNetwork,
    Readout,
    adjacency,
    mix_and_project,
)


class GIN(GraphNetwork):
    """Adds the neighbours to each joint and maps the sum with an MLP.

    Y = ReLU(LN(MLP((1 + eps) X + A X))), MLP = Linear, layer norm, ReLU, Linear; eps is learned. A
    masked joint is taken out of the graph and adds nothing to the frame vector. Differs from
    W2S-20 in the layer norms, which the source has as one batch norm.

    Args:
        num_joints: Joints V of the group.
        in_channels: Channels C of a joint.
        edges: Pairs of joints that exchange messages; direction and repetition change nothing.
        channels: Channels of a joint inside and after each MLP.
        layers: Number of layers.
        hidden: Width D of the frame vector.
        readout: Whether a Linear makes it of all joints, each with weights of its own (`flatten`,
            W2S-20), or of their mean, which keeps the weights shared (`mean`).
        dropout: Share of the frame vector dropped in training.

    Shape:
        x_NTVC (N, T, V, C), mask_NTV (N, T, V) -> h_NTD (N, T, hidden)

    Raises:
        DataError: Several joints without any edge, or an edge to a joint that is not there.
    """

    def __init__(
        self,
        *,
        num_joints: int,
        in_channels: int,
        edges: Sequence[tuple[int, int]],
        channels: Annotated[int, Gt(0)] = 32,
        layers: Annotated[int, Gt(0)] = 2,
        hidden: Annotated[int, Gt(0)] = 256,
        readout: Readout = "flatten",
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.1,
    ) -> None:
        super().__init__(
            num_joints=num_joints,
            widths=[in_channels] + [channels] * layers,
            make_layer=partial(GINLayer, adjacency(num_joints, edges)),
            hidden=hidden,
            readout=readout,
            dropout=dropout,
        )


class GINLayer(nn.Module):
    """MLP((1 + eps) X + A X) over the valid joints of each frame."""

    def __init__(self, adjacency_VV: torch.Tensor, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.adjacency_VV: torch.Tensor
        self.register_buffer("adjacency_VV", adjacency_VV, persistent=False)
        self.eps = nn.Parameter(torch.zeros(()))
        self.linear = nn.Linear(in_dim, out_dim)
        self.rest = nn.Sequential(
            OrderedDict(
                norm=nn.LayerNorm(out_dim),
                activation=nn.ReLU(inplace=True),
                linear=nn.Linear(out_dim, out_dim),
            )
        )

    def forward(self, x_VFC: torch.Tensor, mask_VF: torch.Tensor) -> torch.Tensor:
        """Return the channels of each joint; a masked one holds what its neighbours make of it."""
        valid_VF1 = mask_VF[..., None].to(x_VFC)

        def mix(x: torch.Tensor) -> torch.Tensor:
            x = x * valid_VF1
            return (self.adjacency_VV @ x.flatten(1)).view(x.shape) + (1 + self.eps) * x

        return self.rest(mix_and_project(mix, self.linear, x_VFC))

"""The graph convolutional network (Kipf and Welling 2017; specs section 4; W2S-20)."""

from __future__ import annotations

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


class GCN(GraphNetwork):
    """Averages each joint with its neighbours, weighted by degree.

    Y = ReLU(LN(D^-1/2 (A + I) D^-1/2 X W + b)), where the degree D counts the joints that are valid
    in that frame. A masked joint is taken out of the graph and adds nothing to the frame vector.

    Args:
        num_joints: Joints V of the group.
        in_channels: Channels C of a joint.
        edges: Pairs of joints that exchange messages; direction and repetition change nothing.
        channels: Channels of a joint after each layer.
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
            make_layer=partial(GCNLayer, adjacency(num_joints, edges)),
            hidden=hidden,
            readout=readout,
            dropout=dropout,
        )


class GCNLayer(nn.Module):
    """D^-1/2 (A + I) D^-1/2 X W + b over the valid joints of each frame."""

    def __init__(self, adjacency_VV: torch.Tensor, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.linked_VV: torch.Tensor
        linked_VV = adjacency_VV + torch.eye(len(adjacency_VV))
        self.register_buffer("linked_VV", linked_VV, persistent=False)
        self.linear = nn.Linear(in_dim, out_dim)

    def forward(self, x_VFC: torch.Tensor, mask_VF: torch.Tensor) -> torch.Tensor:
        """Return the channels of each joint; a masked one holds the bias."""
        valid_VF = mask_VF.to(self.linked_VV)
        degree_VF = (self.linked_VV @ valid_VF).clamp(min=1)
        scale_VF1 = (degree_VF.rsqrt() * valid_VF)[..., None]

        def mix(x: torch.Tensor) -> torch.Tensor:
            return (self.linked_VV @ (x * scale_VF1).flatten(1)).view(x.shape) * scale_VF1

        return mix_and_project(mix, self.linear, x_VFC)

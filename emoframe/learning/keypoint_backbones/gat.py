"""The graph attention network (Velickovic et al. 2018; specs section 4; W2S-20).

Attention is computed for the neighbours only, from a padded table of them: a skeleton has few, and
all pairs of 70 joints in 64000 frames would be gigabytes per head.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Lt
from torch import nn

from emoframe.core.errors import DataError
from emoframe.learning.keypoint_backbones.graph import GraphNetwork, Readout, neighbour_table

SLOPE = 0.2
"""Slope of the leaky ReLU below zero, as in the source."""


class GAT(GraphNetwork):
    """Lets each joint weigh itself and its neighbours by what they hold.

    h = X W per head; alpha_uv = softmax_v(LeakyReLU(a_receiver . h_u + a_sender . h_v)) over the
    valid neighbours v of u and u itself; Y_u = ReLU(LN(concat_heads(sum_v alpha_uv h_v))). A masked
    joint is taken out of the graph and adds nothing to the frame vector.

    Args:
        num_joints: Joints V of the group.
        in_channels: Channels C of a joint.
        edges: Pairs of joints that exchange messages; direction and repetition change nothing.
        channels: Channels of a joint after each layer, all heads together; a multiple of `heads`.
        layers: Number of layers.
        heads: Attention heads.
        hidden: Width D of the frame vector.
        readout: Whether a Linear makes it of all joints, each with weights of its own (`flatten`,
            W2S-20), or of their mean, which keeps the weights shared (`mean`).
        dropout: Share of the frame vector dropped in training.

    Shape:
        x_NTVC (N, T, V, C), mask_NTV (N, T, V) -> h_NTD (N, T, hidden)

    Raises:
        DataError: Several joints without any edge, an edge to a joint that is not there, or
            `channels` that cannot be shared out among `heads`.
    """

    def __init__(
        self,
        *,
        num_joints: int,
        in_channels: int,
        edges: Sequence[tuple[int, int]],
        channels: Annotated[int, Gt(0)] = 32,
        layers: Annotated[int, Gt(0)] = 2,
        heads: Annotated[int, Gt(0)] = 4,
        hidden: Annotated[int, Gt(0)] = 256,
        readout: Readout = "flatten",
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.1,
    ) -> None:
        if channels % heads:
            raise DataError(
                f"gat: channels {channels} is no multiple of heads {heads}; change one of them"
            )
        super().__init__(
            num_joints=num_joints,
            widths=[in_channels] + [channels] * layers,
            make_layer=partial(GATLayer, *neighbour_table(num_joints, edges), heads),
            hidden=hidden,
            readout=readout,
            dropout=dropout,
        )


class GATLayer(nn.Module):
    """Attention over the valid neighbours of each joint and itself, heads joined."""

    def __init__(
        self,
        table_VM: torch.Tensor,
        filled_VM: torch.Tensor,
        heads: int,
        in_dim: int,
        out_dim: int,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.table_VM: torch.Tensor
        self.filled_VM: torch.Tensor
        self.register_buffer("table_VM", table_VM, persistent=False)
        self.register_buffer("filled_VM", filled_VM, persistent=False)
        self.linear = nn.Linear(in_dim, out_dim, bias=False)
        self.receiver_HC = nn.Parameter(torch.empty(heads, out_dim // heads))
        self.sender_HC = nn.Parameter(torch.empty(heads, out_dim // heads))
        nn.init.xavier_uniform_(self.receiver_HC)
        nn.init.xavier_uniform_(self.sender_HC)

    def forward(self, x_VFC: torch.Tensor, mask_VF: torch.Tensor) -> torch.Tensor:
        """Return the channels of each joint; a masked one holds what it makes of the others."""
        sent_VFC = self.linear(x_VFC)
        weight_VMFH = self.attend(x_VFC, mask_VF)
        parts = [
            sent_VFC.index_select(0, self.table_VM[:, m]).unflatten(-1, (self.heads, -1))
            * weight_VFH[..., None]
            for m, weight_VFH in enumerate(weight_VMFH.unbind(1))
        ]
        return torch.stack(parts).sum(0).flatten(-2)

    def attend(self, x_VFC: torch.Tensor, mask_VF: torch.Tensor) -> torch.Tensor:
        """Return the weight of each joint in the table, (V, M, F, H); they sum to one over M."""
        receive_VFH, send_VFH = self.scores(x_VFC).split(self.heads, -1)
        score_VMFH = receive_VFH[:, None] + send_VFH[self.table_VM]
        heard_VMF = mask_VF[self.table_VM] & self.filled_VM[..., None]
        # a masked joint hears itself, for a softmax over nothing is NaN; nobody hears the joint
        heard_VMF[:, 0] = True
        score_VMFH = nn.functional.leaky_relu(score_VMFH, SLOPE)
        return score_VMFH.masked_fill(~heard_VMF[..., None], -torch.inf).softmax(1)

    def scores(self, x_VFC: torch.Tensor) -> torch.Tensor:
        """Return a_receiver . h and a_sender . h of every joint and head, (V, F, 2H).

        The vectors are folded into the weights first, which saves a pass over h.
        """
        weight_HDC = self.linear.weight.unflatten(0, (self.heads, -1))
        vector_RHD = torch.stack([self.receiver_HC, self.sender_HC])
        folded = torch.einsum("rhd,hdc->rhc", vector_RHD, weight_HDC)
        return nn.functional.linear(x_VFC, folded.flatten(0, 1))

"""What the graph networks share: who is linked to whom, and the way of a frame through the layers.

A clip is 4000 frames of up to 70 joints, so memory traffic decides the speed, not arithmetic.
Decided here:
    * Layers see x_VFC: joints first, then frames F (N and T folded), then channels. Messages of all
      frames are then one product with a constant (V, V) matrix, and a Linear needs no copy. No
      tensor has the size (F, V, V).
    * Frames are independent, and a CPU works through them in pieces that fit its cache: three times
      as fast as in one go. Training still keeps what each layer needs for its gradient.
    * A masked joint neither sends nor receives, and its place in the frame vector is zero before
      the last Linear, so that it adds nothing there: the result is that of the same network on a
      graph without this joint. A learned vector, as in `mlp`, would be a joint of its own.
    * Dropout acts on the frame vector only: to draw a number for every channel of every joint costs
      as much as a layer.

Shape letters beyond those of `emoframe.interfaces`: F frames of all clips, M places in a row of
neighbours, H heads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import nn

from emoframe.core.errors import DataError

Edges = Sequence[tuple[int, int]]
Readout = Literal["flatten", "mean"]
MakeLayer = Callable[[int, int], nn.Module]

PIECE = 2**20
"""Numbers in one activation of a piece of frames: 4 MB, which the cache and malloc both reuse."""


class GraphNetwork(nn.Module):
    """Graph layers, each followed by layer norm and ReLU; then the readout and a Linear.

    Args:
        num_joints: Joints V.
        widths: Channels of a joint before and after each layer.
        make_layer: Makes a layer from its two widths. A layer is called (x_VFC, mask_VF) -> x_VFC;
            what a masked joint holds must not reach another, and is finite.
        hidden: Width D of the frame vector.
        readout: What the Linear sees: all joints one after another, or their mean.
        dropout: Share of the frame vector dropped in training.

    Shape:
        x_NTVC (N, T, V, C), mask_NTV (N, T, V) -> h_NTD (N, T, hidden)
    """

    def __init__(
        self,
        *,
        num_joints: int,
        widths: Sequence[int],
        make_layer: MakeLayer,
        hidden: int,
        readout: Readout,
        dropout: float,
    ) -> None:
        super().__init__()
        self.out_dim, self.readout = hidden, readout
        self.layers = nn.ModuleList(make_layer(*pair) for pair in pairwise(widths))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in widths[1:])
        seen = num_joints if readout == "flatten" else 1
        self.projection = nn.Linear(seen * widths[-1], hidden)
        self.dropout = nn.Dropout(dropout)
        self.piece = max(1, PIECE // (num_joints * max(widths)))

    def forward(self, x_NTVC: torch.Tensor, mask_NTV: torch.Tensor) -> torch.Tensor:
        """Return h_NTD."""
        x_FVC, mask_FV = x_NTVC.flatten(0, 1), mask_NTV.flatten(0, 1)
        piece = self.piece if x_NTVC.device.type == "cpu" else max(1, len(x_FVC))
        pieces = zip(x_FVC.split(piece), mask_FV.split(piece), strict=True)
        h_FD = torch.cat([self.encode(*of_frames) for of_frames in pieces])
        return self.dropout(h_FD).unflatten(0, x_NTVC.shape[:2])

    def encode(self, x_FVC: torch.Tensor, mask_FV: torch.Tensor) -> torch.Tensor:
        """Return h_FD of some frames."""
        mask_VF = mask_FV.t().contiguous()
        x = x_FVC.transpose(0, 1).contiguous().masked_fill(~mask_VF[..., None], 0)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = norm(layer(x, mask_VF)).relu_()
        # finite by now, so that a product takes a masked joint out
        x = x * mask_VF[..., None].to(x)
        if self.readout == "mean":
            return self.projection(x.sum(0) / mask_VF.sum(0)[:, None].clamp(min=1))
        return self.projection(x.transpose(0, 1).flatten(1))


def neighbours(num_joints: int, edges: Edges) -> list[list[int]]:
    """Return the neighbours of each joint, sorted, itself left out.

    Loops, repeated edges and edges given in both directions change nothing.

    Raises:
        DataError: An edge names a joint that is not there, or several joints have no edge at all.
    """
    found: list[set[int]] = [set() for _ in range(num_joints)]
    for a, b in edges:
        if not (0 <= a < num_joints and 0 <= b < num_joints):
            raise DataError(
                f"graph network: edge ({a}, {b}) names a joint that this group of {num_joints} "
                f"does not have; joints are 0 to {num_joints - 1}; correct the layout's edges"
            )
        if a != b:
            found[a].add(b)
            found[b].add(a)
    if num_joints > 1 and not any(found):
        raise DataError(
            f"graph network: this group of {num_joints} joints has no edge between two of them, "
            "and messages pass along edges only; give its layout edges, or use the keypoint "
            "backbone mlp, which needs none"
        )
    return [sorted(joints) for joints in found]


def adjacency(num_joints: int, edges: Edges) -> torch.Tensor:
    """Return A, (V, V): 1 where two joints share an edge, 0 elsewhere and on the diagonal.

    Raises:
        DataError: As for `neighbours`.
    """
    matrix_VV = torch.zeros(num_joints, num_joints)
    for joint, others in enumerate(neighbours(num_joints, edges)):
        matrix_VV[joint, others] = 1
    return matrix_VV


def neighbour_table(num_joints: int, edges: Edges) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the joints that each joint hears, itself first, (V, M), and which places are filled.

    M is one more than the most neighbours of a joint; a place that is not filled names the joint
    itself.

    Raises:
        DataError: As for `neighbours`.
    """
    found = neighbours(num_joints, edges)
    table_VM = torch.arange(num_joints)[:, None].repeat(1, 1 + max(map(len, found)))
    filled_VM = torch.zeros_like(table_VM, dtype=torch.bool)
    for joint, others in enumerate(found):
        table_VM[joint, 1 : 1 + len(others)] = torch.tensor(others, dtype=torch.long)
        filled_VM[joint, : 1 + len(others)] = True
    return table_VM, filled_VM


def mix_and_project(
    mix: Callable[[torch.Tensor], torch.Tensor], linear: nn.Linear, x_VFC: torch.Tensor
) -> torch.Tensor:
    """Return linear(mix(x)) for a `mix` that is linear over joints, on the narrower side of both.

    Mixing costs as much as the channels it is done in, and commutes with the weights.
    """
    if linear.in_features > linear.out_features:
        return mix(nn.functional.linear(x_VFC, linear.weight)) + linear.bias
    return linear(mix(x_VFC))

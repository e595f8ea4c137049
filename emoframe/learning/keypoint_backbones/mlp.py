"""The MLP over all joints of a frame (paper section 3.2, "MLP-ification"; W2S-21).

A graph network passes messages along skeleton edges; this one lets every pair of joints interact,
which is the paper's argument for it: OpenPose links neither eye with lip nor hand with hand.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Lt
from torch import nn


class MLP(nn.Module):
    """Flattens the joints of a frame and maps them with fully connected layers.

    Each layer is linear, layer norm, GELU, dropout. A masked joint is replaced by a learned vector.

    Args:
        num_joints: Joints V of the group.
        in_channels: Channels C of a joint.
        hidden: Width D of every layer and of the output.
        layers: Number of layers.
        dropout: Share of activations dropped in training.

    Shape:
        x_NTVC (N, T, V, C), mask_NTV (N, T, V) -> h_NTD (N, T, hidden)
    """

    def __init__(
        self,
        *,
        num_joints: int,
        in_channels: int,
        hidden: Annotated[int, Gt(0)] = 256,
        layers: Annotated[int, Gt(0)] = 2,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.1,
    ) -> None:
        super().__init__()
        self.out_dim = hidden
        self.missing_VC = nn.Parameter(torch.zeros(num_joints, in_channels))
        nn.init.trunc_normal_(self.missing_VC, std=0.02)
        widths = [num_joints * in_channels] + [hidden] * layers
        self.layers = nn.Sequential(
            OrderedDict(
                (f"layer{i}", _layer(widths[i], widths[i + 1], dropout)) for i in range(layers)
            )
        )

    def forward(self, x_NTVC: torch.Tensor, mask_NTV: torch.Tensor) -> torch.Tensor:
        """Return h_NTD."""
        x = torch.where(mask_NTV[..., None], x_NTVC, self.missing_VC.to(x_NTVC))
        return self.layers(x.flatten(-2))


def _layer(in_dim: int, out_dim: int, dropout: float) -> nn.Module:
    return nn.Sequential(
        nn.Linear(in_dim, out_dim), nn.LayerNorm(out_dim), nn.GELU(), nn.Dropout(dropout)
    )

"""A learned vector in the place of a branch whose input is missing.

Decided here: heads take branches by the order of their names, never by that of the config, so that
a checkpoint means the same under a config that names them in another order.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn


class Missing(nn.ParameterDict):
    """One vector per branch, which stands in where that branch is missing.

    Args:
        in_dims: Width of each branch by name.
    """

    def __init__(self, in_dims: Mapping[str, int]) -> None:
        super().__init__(
            {name: nn.Parameter(torch.randn(in_dims[name]) * 0.02) for name in sorted(in_dims)}
        )

    def fill(
        self, z: Mapping[str, torch.Tensor], present: Mapping[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Return what is there of each branch, (N, D), or its vector, in the order of names."""
        return {
            name: torch.where(present[name][:, None], z[name], missing.to(z[name]))
            for name, missing in self.items()
        }

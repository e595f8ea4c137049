"""The fast Transformer: several frames a token.

Attention costs the square of the tokens and everything else their number: twelve frames a token
make a clip of 4000 frames 334 tokens. The cues that are looked for are shorter than half a second
(W2S-03), 12 frames at 25 per second, so that a token holds one whole, and its Linear sees the order
of the frames in it, differences included.

Decided here: a frame that is masked is zero, which adds nothing, and says so by a bit beside its
features. The weights of that bit are what a learned vector for a missing frame would be, one for
each place in the patch.
"""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge, Gt, Lt
from torch import nn

from emoframe.learning.temporal_encoders.transformer import Transformer


class PatchTransformer(Transformer):
    """A Transformer encoder over patches of consecutive frames.

    A token's time is the mean of its valid frames. Frames are counted from the first of the clip;
    the last patch is filled up with masked frames, and a clip shorter than a patch is one token.

    Args:
        in_dim: Width of the frame vectors.
        patch: Frames a token.
        dim: Width of the tokens; a multiple of `heads`.
        layers: Number of layers.
        heads: Attention heads.
        expansion: Width of the feed-forward layers over `dim`.
        dropout: Share of activations dropped in training.

    Shape:
        h_NTD (N, T, in_dim), time_NT (N, T) in seconds, mask_NT (N, T)
        -> h_NSD (N, S, dim), span_NS2 (N, S, 2) in seconds, mask_NS (N, S), S = ceil(T / patch)
    """

    def __init__(
        self,
        *,
        in_dim: int,
        patch: Annotated[int, Gt(0)] = 12,
        dim: Annotated[int, Gt(0)] = 256,
        layers: Annotated[int, Gt(0)] = 2,
        heads: Annotated[int, Gt(0)] = 4,
        expansion: Annotated[float, Gt(0)] = 4.0,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.1,
    ) -> None:
        super().__init__(
            in_dim=patch * (in_dim + 1),
            dim=dim,
            layers=layers,
            heads=heads,
            expansion=expansion,
            dropout=dropout,
        )
        self.patch = patch

    def forward(
        self, h_NTD: torch.Tensor, time_NT: torch.Tensor, mask_NT: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return tokens, the times of their first and last valid frame, and their mask."""
        frames = torch.cat([h_NTD, torch.ones_like(h_NTD[..., :1])], -1)
        frames = frames.masked_fill(~mask_NT[..., None], 0)
        fill = -frames.shape[1] % self.patch
        frames = nn.functional.pad(frames, (0, 0, 0, fill))
        x_NSD = frames.unflatten(1, (-1, self.patch)).flatten(2)
        mask_NSP = nn.functional.pad(mask_NT, (0, fill)).unflatten(1, (-1, self.patch))
        time_NSP = nn.functional.pad(time_NT, (0, fill)).unflatten(1, (-1, self.patch))
        mean_NS, span_NS2 = summary(time_NSP, mask_NSP)
        mask_NS = mask_NSP.any(-1)
        return self.encode(x_NSD, mean_NS, mask_NS), span_NS2, mask_NS


def summary(time_NSP: torch.Tensor, mask_NSP: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean time of the valid frames of each patch, and the first and last of them.

    All are 0 for a patch without any, which is masked as a whole.
    """
    hidden = ~mask_NSP
    mean = time_NSP.masked_fill(hidden, 0).sum(-1) / mask_NSP.sum(-1).clamp(min=1)
    first = time_NSP.masked_fill(hidden, torch.inf).amin(-1)
    last = time_NSP.masked_fill(hidden, -torch.inf).amax(-1)
    span = torch.stack([first, last], -1)
    return mean, span.masked_fill(hidden.all(-1)[..., None], 0)

"""The frame encoder `xclip`: one vector per clip, the paper's other visual branch (W2S-40)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge

from emoframe_transformers.checkpoint import Precision
from emoframe_transformers.encoder import TransformersEncoder

if TYPE_CHECKING:
    from torch import nn


class XClip(TransformersEncoder):
    """One vector per clip of as many frames as the weights take, by X-CLIP.

    Source: https://arxiv.org/abs/2208.02816.

    Args:
        weights: Folder of a checkpoint, or published name; its config says how many frames make a
            clip and the size of the pictures.
        every: Encode each n-th frame; with 16 frames and 25 fps, 6 makes clips of 3.8 seconds.
        batch: Clips computed together.
        precision: Number format of the computation.
        device: Where it computes: `cpu`, `cuda:0`, ...

    Shape:
        T pictures -> x (T / `span`, D), D the projection of the weights.
    """

    name = "xclip"
    classes = {"xclip": "XCLIPModel"}

    def __init__(
        self,
        *,
        weights: str = "microsoft/xclip-base-patch16-16-frames",
        every: Annotated[int, Ge(1)] = 6,
        batch: Annotated[int, Ge(1)] = 4,
        precision: Precision = "float32",
        device: str = "cpu",
    ) -> None:
        super().__init__(
            weights=weights, every=every, batch=batch, precision=precision, device=device
        )

    @property
    def size(self) -> int:
        """Side in pixels of the pictures that the weights were trained on."""
        return self.checkpoint.config.vision_config.image_size

    @property
    def span(self) -> int:
        """Number of frames of a clip, from the config of the weights."""
        return self.checkpoint.config.vision_config.num_frames

    @property
    def out_dim(self) -> int:
        """D, from the config of the weights."""
        return self.checkpoint.config.projection_dim

    def _wrap(self, model: Any) -> nn.Module:
        from emoframe_transformers.modules import XClipVideo

        return XClipVideo(model)

"""The frame encoder `clip`: pictures in the space that CLIP shares with text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge

from emoframe_transformers.checkpoint import CLIP, Precision
from emoframe_transformers.encoder import TransformersEncoder

if TYPE_CHECKING:
    from torch import nn


class Clip(TransformersEncoder):
    """One vector per picture by CLIP's image tower, projected, not scaled to length 1.

    Source: https://arxiv.org/abs/2103.00020.

    Args:
        weights: Folder of a checkpoint, or published name; its config says the size of the
            pictures.
        every: Encode each n-th frame.
        batch: Pictures computed together.
        precision: Number format of the computation.
        device: Where it computes: `cpu`, `cuda:0`, ...

    Shape:
        T pictures -> x (T, D), D the projection of the weights.
    """

    name = "clip"
    classes = dict.fromkeys(("clip", "clip_vision_model"), "CLIPVisionModelWithProjection")
    scale = CLIP

    def __init__(
        self,
        *,
        weights: str = "openai/clip-vit-large-patch14",
        every: Annotated[int, Ge(1)] = 6,
        batch: Annotated[int, Ge(1)] = 32,
        precision: Precision = "float32",
        device: str = "cpu",
    ) -> None:
        super().__init__(
            weights=weights, every=every, batch=batch, precision=precision, device=device
        )

    @property
    def size(self) -> int:
        """Side in pixels of the pictures that the weights were trained on."""
        return self.checkpoint.config.image_size

    @property
    def out_dim(self) -> int:
        """D, from the config of the weights."""
        return self.checkpoint.config.projection_dim

    def _wrap(self, model: Any) -> nn.Module:
        from emoframe_transformers.modules import ClipImage

        return ClipImage(model)

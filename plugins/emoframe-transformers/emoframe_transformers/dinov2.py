"""The frame encoder `dinov2`, the paper's visual branch (W2S-07 to W2S-10).

Decided here: the paper's 37 x 37 patches of 14 pixels need pictures of 518, where the library's own
processor would crop the middle 224 out; the class token is the default, since the paper does not
say and it is what the model itself hands out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge

from emoframe import ComponentError
from emoframe_transformers.checkpoint import Precision
from emoframe_transformers.encoder import TransformersEncoder

if TYPE_CHECKING:
    from torch import nn


class Dinov2(TransformersEncoder):
    """One vector per picture by DINOv2, small to giant, with or without registers.

    The mean over the patches includes those that show nothing but the border of the letterbox:
    encoders are not told where it lies. Registers are never taken for patches.

    Source: https://arxiv.org/abs/2304.07193, https://arxiv.org/abs/2309.16588 (registers).

    Args:
        weights: Folder of a checkpoint, or published name: `facebook/dinov2-small`, `-base`,
            `-large`, `-giant`, or `facebook/dinov2-with-registers-base` and so on.
        size: Side of the square pictures in pixels; 518, the paper's, costs about 6 times 224.
        token: `cls`; `mean` of the patches; or both one after the other, `cls_mean`.
        every: Encode each n-th frame; the paper's frames lie at least 6 apart.
        batch: Pictures computed together.
        precision: Number format of the computation.
        device: Where it computes: `cpu`, `cuda:0`, ...

    Shape:
        T pictures -> x (T, D), D the hidden size of the weights, twice that for `cls_mean`.
    """

    name = "dinov2"
    classes = {"dinov2": "Dinov2Model", "dinov2_with_registers": "Dinov2WithRegistersModel"}

    def __init__(
        self,
        *,
        weights: str = "facebook/dinov2-base",
        size: Literal[224, 518] = 518,
        token: Literal["cls", "mean", "cls_mean"] = "cls",
        every: Annotated[int, Ge(1)] = 6,
        batch: Annotated[int, Ge(1)] = 16,
        precision: Precision = "float32",
        device: str = "cpu",
    ) -> None:
        super().__init__(
            weights=weights, every=every, batch=batch, precision=precision, device=device
        )
        self._size = size
        self.token: str = token

    @property
    def size(self) -> int:
        """Side in pixels of the square pictures."""
        return self._size

    @property
    def out_dim(self) -> int:
        """D, from the config of the weights.

        Raises:
            ComponentError: The config is not here, or its patches do not tile the picture.
        """
        config = self.checkpoint.config
        if self.size % config.patch_size:
            raise ComponentError(
                f"{self.checkpoint.part}: size={self.size} is no multiple of the patches of "
                f"{config.patch_size} pixels of the weights {self.weights!r}, so that a strip of "
                "the picture would be lost; give a size or weights that fit each other"
            )
        return config.hidden_size * (2 if self.token == "cls_mean" else 1)

    def _wrap(self, model: Any) -> nn.Module:
        from emoframe_transformers.modules import Dinov2Tokens

        return Dinov2Tokens(model, self.token)

"""The frame encoder `patch_binding`: what DINOv2 sees under each keypoint (W2S-48).

It is `dinov2` with another way of reading the tokens: the patches stay where they are and are
looked up at the keypoints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from annotated_types import Ge

from emoframe import ComponentError
from emoframe.records import Features
from emoframe_transformers.checkpoint import Precision
from emoframe_transformers.dinov2 import Dinov2

if TYPE_CHECKING:
    from emoframe.records import Frames, Keypoints


class PatchBinding(Dinov2):
    """One vector per keypoint: DINOv2's patches, bilinear between their centres.

    A keypoint that is masked or lies outside the picture has no vector. `module()` gives the map of
    patches, (N, 3, H, W) -> (N, D, P, P).

    Source: https://arxiv.org/abs/2602.08057, its future work, W2S-48.

    Args:
        weights: Folder of a checkpoint of DINOv2, or published name, as for `dinov2`.
        size: Side of the square pictures in pixels: 37 x 37 patches for 518, 16 x 16 for 224.
        every: Encode each n-th frame.
        batch: Pictures computed together.
        precision: Number format of the computation.
        device: Where it computes: `cpu`, `cuda:0`, ...

    Shape:
        T pictures with V keypoints -> x (T, V, D), D the hidden size of the weights.
    """

    name = "patch_binding"
    reads_keypoints = True

    def __init__(
        self,
        *,
        weights: str = "facebook/dinov2-base",
        size: Literal[224, 518] = 518,
        every: Annotated[int, Ge(1)] = 6,
        batch: Annotated[int, Ge(1)] = 16,
        precision: Precision = "float32",
        device: str = "cpu",
    ) -> None:
        super().__init__(
            weights=weights,
            size=size,
            every=every,
            batch=batch,
            precision=precision,
            device=device,
        )
        self.token = "patches"

    def encode(self, frames: Frames, keypoints: Keypoints | None) -> Features:
        """Look up the patch vector under each keypoint.

        Args:
            frames: T square pictures of `size` pixels.
            keypoints: Those of the same frames, in pixels of the pictures.

        Returns:
            Vectors (T, V, D) in single precision, NaN and masked where a keypoint is masked or
            outside the picture.

        Raises:
            ComponentError: The pictures or keypoints are not what was asked for, or the weights
                are not here or cannot be used.
        """
        from emoframe_transformers.modules import bind

        pictures = self._groups(frames)
        if keypoints is None or len(keypoints) != len(frames):
            given = "none" if keypoints is None else f"those of {len(keypoints)}"
            raise ComponentError(
                f"{self.checkpoint.part}: needs the keypoints of the {len(frames)} frames and was "
                f"given {given}"
            )
        xy = keypoints.xy[..., :2]
        with np.errstate(invalid="ignore"):
            inside = ((xy >= 0) & (xy <= self.size)).all(-1)  # false where a coordinate is NaN
        valid = keypoints.valid & inside
        points = np.where(valid[..., None], xy, 0)
        x = np.full((*valid.shape, self.out_dim), np.nan, np.float32)
        for here, patches in self._run(pictures):
            x[here] = bind(patches, points[here], self.size).cpu().numpy()
        x[~valid] = np.nan
        return Features(x, valid, self._times(frames))

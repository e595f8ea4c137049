"""The torch side: modules from normalised pixels to vectors, and how they are run.

Here alone torch is imported at the top, so that a part can be listed and checked without it. A
module holds only what takes part in its result, so that every parameter is trained when it is
fine-tuned.

Shape letters: N pictures or clips, T frames, H and W pixels, P patches along a side, D features.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emoframe_transformers.checkpoint import Scale


class Dinov2Tokens(nn.Module):
    """DINOv2 with one way of reading its tokens, W2S-08 and W2S-09.

    Args:
        model: Dinov2Model or Dinov2WithRegistersModel of transformers.
        token: `cls`; `mean` of the patches; `cls_mean`, both one after the other; or `patches`.

    Shape:
        pixels_N3HW -> z_ND; map_NDPP for `patches`.
    """

    def __init__(self, model: Any, token: str) -> None:
        super().__init__()
        self.model, self.token = model, token
        self.first_patch = 1 + getattr(model.config, "num_register_tokens", 0)
        if model.embeddings.mask_token is not None:  # of use in its own pre-training only
            model.embeddings.mask_token.requires_grad_(False)

    def forward(self, pixels_N3HW: torch.Tensor) -> torch.Tensor:
        """Return what `token` asks for."""
        tokens = self.model(pixels_N3HW).last_hidden_state
        cls, patches = tokens[:, 0], tokens[:, self.first_patch :]
        if self.token == "patches":
            side = pixels_N3HW.shape[-1] // self.model.config.patch_size
            return patches.transpose(1, 2).unflatten(2, (side, side))
        if self.token == "cls":
            return cls
        mean = patches.mean(1)
        return mean if self.token == "mean" else torch.cat([cls, mean], 1)


class ClipImage(nn.Module):
    """CLIP's image tower and projection.

    Args:
        model: CLIPVisionModelWithProjection of transformers.

    Shape:
        pixels_N3HW -> z_ND, not normalised to length 1.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels_N3HW: torch.Tensor) -> torch.Tensor:
        """Return the projected vector of each picture."""
        return self.model(pixels_N3HW).image_embeds


class XClipVideo(nn.Module):
    """X-CLIP's video side: frame tower, projection and multi-frame integration.

    Args:
        model: XCLIPModel of transformers; its text side is dropped.

    Shape:
        pixels_NT3HW -> z_ND, T the model's number of frames.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        used = {"vision_model", "visual_projection", "mit"}
        for name in {child for child, _ in model.named_children()} - used:
            delattr(model, name)
        for name in [name for name, _ in model.named_parameters(recurse=False)]:
            delattr(model, name)
        self.model = model

    def forward(self, pixels_NT3HW: torch.Tensor) -> torch.Tensor:
        """Return one vector per clip."""
        return self.model.get_video_features(pixels_NT3HW).pooler_output


@torch.inference_mode()
def run(
    module: nn.Module, rgb: NDArray[np.uint8], batch: int, scale: Scale
) -> Iterator[tuple[slice, torch.Tensor]]:
    """Run pictures through a module, batch by batch.

    Args:
        module: One of this file, in evaluation mode.
        rgb: Pictures (N, H, W, 3) or clips (N, T, H, W, 3).
        batch: How many of the N are computed together.
        scale: How the module wants its pixels.

    Yields:
        Which of the N, and their result in single precision, still on the device.
    """
    parameter = next(module.parameters())
    mean, std = (torch.tensor(v, device=parameter.device)[:, None, None] for v in scale[:2])
    for start in range(0, len(rgb), batch):
        part = torch.from_numpy(np.ascontiguousarray(rgb[start : start + batch]))
        if parameter.is_cuda:  # the next batch is copied while the device works on this one
            part = part.pin_memory()
        pixels = part.to(parameter.device, non_blocking=True).movedim(-1, -3).float()
        pixels = (pixels * scale.factor - mean) / std
        yield slice(start, start + len(part)), module(pixels.to(parameter.dtype)).float()


def bind(map_NDPP: torch.Tensor, xy: NDArray[np.floating[Any]], size: int) -> torch.Tensor:
    """Look up the patch vector under each point, bilinear between the centres of the patches.

    Nearer to the border than half a patch, the outermost centre counts. Source: W2S-48.

    Args:
        map_NDPP: One vector per patch.
        xy: Points in pixels of the picture, (0, 0) its upper left corner, shape (N, V, 2), finite.
        size: Side of the picture in pixels.

    Returns:
        Shape (N, V, D).
    """
    grid = torch.as_tensor(xy, dtype=map_NDPP.dtype, device=map_NDPP.device) * (2 / size) - 1
    found = nn.functional.grid_sample(
        map_NDPP, grid[:, :, None], mode="bilinear", padding_mode="border", align_corners=False
    )
    return found[..., 0].transpose(1, 2)

"""What `dinov2` and `patch_binding` promise of DINOv2's tokens."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from emoframe_transformers.dinov2 import Dinov2
from emoframe_transformers.patch_binding import PatchBinding

from emoframe.core.errors import ComponentError
from emoframe.records import Frames, Keypoints

Weights = Callable[[str], str]
Pictures = Callable[..., Frames]


def own_tokens(folder: str, frames: Frames, mean: tuple[float, ...], std: Any) -> torch.Tensor:
    """What transformers alone makes of the pictures: its processor, its model."""
    side = frames.rgb.shape[1]
    processor = transformers.BitImageProcessor(
        size={"height": side, "width": side},
        do_center_crop=False,
        image_mean=list(mean),
        image_std=list(std),
    )
    pixels = processor(images=list(frames.rgb), return_tensors="pt")["pixel_values"]
    model: Any = transformers.AutoModel.from_pretrained(folder)
    with torch.no_grad():
        output = model(pixels)
    assert torch.equal(output.pooler_output, output.last_hidden_state[:, 0])
    return output.last_hidden_state


IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.mark.parametrize("size", [224, 518])
@pytest.mark.parametrize("kind", ["dinov2", "registers"])
def test_the_tokens_are_those_of_the_library(
    kind: str, size: Any, weights: Weights, pictures: Pictures
) -> None:
    folder, frames = weights(kind), pictures(2, size)
    tokens = own_tokens(folder, frames, *IMAGENET).numpy()
    first = 5 if kind == "registers" else 1  # the registers lie in between
    assert tokens.shape[1] == first + (size // 14) ** 2
    cls, mean = tokens[:, 0], tokens[:, first:].mean(1)
    for token, expected in (("cls", cls), ("mean", mean), ("cls_mean", np.hstack([cls, mean]))):
        part = Dinov2(weights=folder, size=size, token=token)
        np.testing.assert_allclose(part.encode(frames, None).x, expected, atol=1e-5)


def test_pixels_are_normalised_as_the_checkpoint_says(
    weights: Weights, pictures: Pictures, tmp_path: Path
) -> None:
    folder = shutil.copytree(weights("dinov2"), tmp_path / "copy")
    mean, std = (0.1, 0.5, 0.6), (0.3, 0.2, 0.1)
    transformers.BitImageProcessor(image_mean=mean, image_std=std).save_pretrained(folder)
    found = Dinov2(weights=str(folder), size=224).encode(pictures(1, 224), None)
    expected = own_tokens(weights("dinov2"), pictures(1, 224), mean, std)[:, 0]
    np.testing.assert_allclose(found.x, expected.numpy(), atol=1e-5)


def test_a_size_that_the_patches_do_not_tile_is_refused(
    weights: Weights, pictures: Pictures
) -> None:
    part = Dinov2(weights=weights("patch16"), size=518)
    with pytest.raises(ComponentError, match="size=518 is no multiple of the patches of 16 pixels"):
        part.encode(pictures(1, 518), None)
    assert Dinov2(weights=weights("patch16"), size=224).out_dim == 32


def keypoints(xy: list[list[float]], valid: list[bool] | None = None) -> Keypoints:
    points = np.array([xy], np.float32)
    ok = np.array([valid or [True] * len(xy)])
    return Keypoints(points, ok.astype(np.float32), ok, np.zeros(1), "openpose_137")


@pytest.mark.parametrize(("kind", "first"), [("dinov2", 1), ("registers", 5)])
def test_a_keypoint_gets_the_patch_under_it(
    kind: str, first: int, weights: Weights, pictures: Pictures
) -> None:
    frames = pictures(1, 224)
    patches = own_tokens(weights(kind), frames, *IMAGENET)[0, first:].reshape(16, 16, -1).numpy()
    found = PatchBinding(weights=weights(kind), size=224).encode(
        frames,
        keypoints([
            [7, 7], [3 * 14 + 7, 5 * 14 + 7],  # centres
            [4 * 14, 5 * 14 + 7], [3 * 14 + 7, 6 * 14], [4 * 14, 6 * 14],  # half way
            [3 * 14 + 10.5, 5 * 14 + 7],  # a quarter
            [0, 0], [224, 224],  # corners
        ]),
    )  # fmt: skip
    square = patches[5:7, 3:5]
    expected = [
        patches[0, 0], patches[5, 3],
        square[0].mean(0), square[:, 0].mean(0), square.mean((0, 1)),
        0.75 * square[0, 0] + 0.25 * square[0, 1],
        patches[0, 0], patches[15, 15],
    ]  # fmt: skip
    np.testing.assert_allclose(found.x[0], expected, atol=1e-5)
    assert found.valid.all()


def test_a_keypoint_that_is_masked_or_outside_has_no_vector(
    weights: Weights, pictures: Pictures
) -> None:
    found = PatchBinding(weights=weights("dinov2"), size=224).encode(
        pictures(1, 224),
        keypoints(
            [[9, 9], [9, 9], [-1, 9], [9, 225], [np.nan, 9]], [True, False, True, True, True]
        ),
    )
    assert found.valid.tolist() == [[True, False, False, False, False]]
    assert np.isnan(found.x[~found.valid]).all()
    assert np.isfinite(found.x[found.valid]).all()


def test_patch_binding_needs_the_keypoints_of_its_frames(
    weights: Weights, pictures: Pictures
) -> None:
    part = PatchBinding(weights=weights("dinov2"), size=224)
    with pytest.raises(
        ComponentError, match="needs the keypoints of the 2 frames and was given no"
    ):
        part.encode(pictures(2, 224), None)
    with pytest.raises(ComponentError, match="was given those of 1"):
        part.encode(pictures(2, 224), keypoints([[9, 9]]))
